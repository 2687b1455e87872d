//! Pruning: revocations, events, batches and spent codes are removed once they are old enough.

use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::store::{AgentChange, Change, REVOCATION_GRACE, TokenChange};

use super::kit::{EVENTS, NOW, batch_at, commit, create, grants, id, jti, send, token};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_revocation_stays_until_its_grace_is_over,
    only_events_of_tokens_go_and_only_when_old,
    a_batch_is_remembered_for_a_day,
    pruning_goes_in_small_steps,
}

const KEEP_EVENTS: i64 = 1 << 40;

async fn a_revocation_stays_until_its_grace_is_over(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let jti = jti();
    commit(
        &*store,
        Change::Token(TokenChange::Revoke {
            jti,
            agent_id: None,
            expires_at: NOW,
        }),
    )
    .await;
    for (after, gone) in [
        (0, 0),
        (REVOCATION_GRACE, 0),
        (REVOCATION_GRACE + 1, 1),
        (REVOCATION_GRACE + 1, 0),
    ] {
        db.set_clock(Timestamp(NOW.0 + after));
        let pruned = store
            .prune(Timestamp(NOW.0 + after), KEEP_EVENTS, 100)
            .await
            .unwrap();
        assert_eq!(pruned, gone);
        let revoked = store.standing(&[token(jti, "a")]).await.unwrap()[0].revoked;
        assert_eq!(revoked, after <= REVOCATION_GRACE);
    }
}

async fn only_events_of_tokens_go_and_only_when_old(db: &Database) {
    let store = db.open().await;
    db.announce_prune().await;
    create(&*store, "a").await;
    for at in [NOW.0 - 1, NOW.0, NOW.0 + 1] {
        db.set_clock(Timestamp(at));
        send(
            &*store,
            &batch_at(Timestamp(at), grants(&*store, "a", 2, None).await),
        )
        .await;
    }
    commit(&*store, Change::Agent(AgentChange::RevokeTokens(id("a")))).await;
    let late = Timestamp(NOW.0 + 100);
    db.set_clock(late);
    assert_eq!(store.prune(late, 99, 100).await.unwrap(), 4);
    assert_eq!(store.prune(late, 99, 100).await.unwrap(), 0);
    assert_eq!(db.number(EVENTS).await, 2);
    assert_eq!(store.prune(late, 0, 100).await.unwrap(), 2);
    let kinds = db.texts("select kind from audit_event order by id").await;
    assert_eq!(kinds, ["agent.created", "agent.tokens_revoked"]);
    // The counter is not an event, so pruning keeps it.
    assert_eq!(db.number("select used from quota").await, 6);
}

async fn a_batch_is_remembered_for_a_day(db: &Database) {
    let store = db.open().await;
    db.announce_prune().await;
    create(&*store, "a").await;
    send(&*store, &batch_at(NOW, grants(&*store, "a", 1, None).await)).await;
    let day = Timestamp(NOW.0 + 86_400);
    db.set_clock(Timestamp(day.0 + 1));
    assert_eq!(store.prune(day, KEEP_EVENTS, 100).await.unwrap(), 0);
    assert_eq!(
        store
            .prune(Timestamp(day.0 + 1), KEEP_EVENTS, 100)
            .await
            .unwrap(),
        1
    );
    assert_eq!(db.number("select count(*) from batch").await, 0);
}

async fn pruning_goes_in_small_steps(db: &Database) {
    let store = db.open().await;
    db.announce_prune().await;
    create(&*store, "a").await;
    send(
        &*store,
        &batch_at(NOW, grants(&*store, "a", 10, None).await),
    )
    .await;
    for _ in 0..5 {
        commit(
            &*store,
            Change::Token(TokenChange::Revoke {
                jti: jti(),
                agent_id: None,
                expires_at: NOW,
            }),
        )
        .await;
    }
    let later = Timestamp(NOW.0 + 1_000);
    db.set_clock(later);
    let mut steps = Vec::new();
    loop {
        let gone = store.prune(later, 0, 4).await.unwrap();
        steps.push(gone);
        if gone == 0 {
            break;
        }
    }
    assert_eq!(steps, [8, 5, 2, 0]);
}
