//! Counting tokens that cost client assertions: each assertion is spent at most once, in the same
//! commit that counts its token.

use std::sync::Arc;

use sealwright::testing::domain::assertion::AssertionRef;
use sealwright::testing::domain::grant::Grant;
use sealwright::testing::domain::quota::Limit;
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::store::{Batch, SPENT_GRACE, Store, StoreError};

use super::kit::{
    EVENTS, NOW, Seen, batch, commit, counted, create, grants, id, send, suspension, used,
};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    an_assertion_is_spent_once_on_all_servers_and_after_a_restart,
    of_several_grants_for_one_assertion_the_first_gets_it,
    a_batch_that_comes_twice_recalls_its_assertions,
    a_batch_that_is_sent_twice_at_once_recalls_its_assertions,
    a_token_that_is_not_counted_spends_nothing,
    a_spent_assertion_is_forgotten_long_after_its_end,
}

const SPENT: &str = "select count(*) from spent_assertion";

/// A token of this agent that costs the assertion with this `jti`.
async fn paid(store: &dyn Store, agent_id: &str, jti: &str, limit: Limit) -> Arc<Grant> {
    let assertion = AssertionRef::new(&id(agent_id), jti, Timestamp(NOW.0 + 60));
    let grant = grants(store, agent_id, 1, limit).await.remove(0);
    Arc::new(Grant::clone(&grant).costing(Some(assertion)))
}

async fn one(store: &dyn Store, agent_id: &str, jti: &str) -> Batch {
    batch(vec![paid(store, agent_id, jti, None).await])
}

/// Also if the process ended between the commit and its answer.
async fn an_assertion_is_spent_once_on_all_servers_and_after_a_restart(db: &Database) {
    let (here, elsewhere) = (db.open().await, db.open().await);
    for agent_id in ["a", "b"] {
        create(&*here, agent_id).await;
    }
    assert_eq!(
        send(&*here, &one(&*here, "a", "1").await).await,
        [counted(0)]
    );
    let restarted = db.open().await;
    for store in [&here, &elsewhere, &restarted] {
        let again = one(&**store, "a", "1").await;
        assert_eq!(send(&**store, &again).await, [Seen::Spent]);
        // Another agent's `jti` is another assertion.
        let hash = again.grants[0].assertion().unwrap().hash;
        assert!(store.is_spent(hash).await.unwrap());
    }
    assert_eq!(
        send(&*here, &one(&*here, "b", "1").await).await,
        [counted(0)]
    );
    assert_eq!(
        (used(&*here, "a").await, db.number(SPENT).await),
        (Some(1), 2)
    );
}

async fn of_several_grants_for_one_assertion_the_first_gets_it(db: &Database) {
    let store = db.open().await;
    for agent_id in ["a", "b"] {
        create(&*store, agent_id).await;
    }
    send(&*store, &one(&*store, "b", "spent").await).await;
    let mut mixed = vec![
        paid(&*store, "a", "1", None).await,
        paid(&*store, "b", "spent", None).await,
        paid(&*store, "a", "1", None).await,
        paid(&*store, "a", "2", None).await,
    ];
    mixed.extend(grants(&*store, "b", 1, None).await);
    let seen = send(&*store, &batch(mixed)).await;
    // On PostgreSQL, a spent assertion refuses the other tokens of its agent, which the server then
    // decides again.
    let plain = seen[4];
    assert!(plain == counted(0) || plain == Seen::Stale, "{seen:?}");
    let first = [seen[0], seen[2]];
    assert!(
        first == [counted(0), Seen::Spent] || first == [Seen::Stale; 2],
        "{seen:?}"
    );
    assert_eq!(seen[1], Seen::Spent);
    let events = db.number(EVENTS).await;
    let spent = db.number(SPENT).await;
    let plain = i64::from(plain == counted(0));
    assert_eq!(events, spent + plain, "each assertion has its token");
}

async fn a_batch_that_comes_twice_recalls_its_assertions(db: &Database) {
    let (store, elsewhere) = (db.open().await, db.open().await);
    for agent_id in ["a", "b"] {
        create(&*store, agent_id).await;
    }
    let alone = one(&*store, "a", "alone").await;
    let several = batch(vec![
        paid(&*store, "a", "1", None).await,
        paid(&*store, "a", "2", None).await,
        paid(&*store, "b", "1", None).await,
    ]);
    let sent = [(&alone, 1), (&several, 3)];
    for store in [&store, &store, &elsewhere] {
        for (batch, tokens) in sent {
            assert_eq!(send(&**store, batch).await, vec![counted(0); tokens]);
        }
    }
    commit(&*store, suspension(id("a"))).await;
    for (batch, tokens) in sent {
        assert_eq!(send(&*store, batch).await, vec![counted(0); tokens]);
    }
    assert_eq!(
        (
            used(&*store, "a").await,
            db.number(EVENTS).await,
            db.number(SPENT).await
        ),
        (Some(3), 4, 4)
    );
}

async fn a_batch_that_is_sent_twice_at_once_recalls_its_assertions(db: &Database) {
    let (one, other) = (db.open().await, db.open().await);
    create(&*one, "a").await;
    let mut tokens = 0;
    for round in 1..=10 {
        // In rounds 1 to 5 the token is alone in its batch.
        let mut grants = vec![];
        for n in 0..if round > 5 { 3 } else { 1 } {
            grants.push(paid(&*one, "a", &format!("{round} {n}"), None).await);
        }
        tokens += i64::try_from(grants.len()).unwrap();
        let batch = batch(grants);
        let (first, second) = tokio::join!(send(&*one, &batch), send(&*other, &batch));
        assert_eq!((&first, &second), (&vec![counted(0); first.len()], &first));
        assert_eq!(
            (used(&*one, "a").await, db.number(SPENT).await),
            (Some(tokens), tokens)
        );
    }
}

async fn a_token_that_is_not_counted_spends_nothing(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let over = batch(vec![paid(&*store, "a", "1", Some(0)).await]);
    assert_eq!(send(&*store, &over).await, [Seen::QuotaReached]);
    let broken = one(&*store, "a", "1").await;
    db.execute("alter table quota rename to away").await;
    let failed = store.issue(&broken).await;
    assert!(matches!(failed, Err(StoreError::Fault(_))), "{failed:?}");
    db.execute("alter table away rename to quota").await;
    assert_eq!(db.number(SPENT).await, 0);
    assert_eq!(send(&*store, &broken).await, [counted(0)]);
    assert_eq!(db.number(SPENT).await, 1);
}

async fn a_spent_assertion_is_forgotten_long_after_its_end(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    for n in 0..5 {
        send(&*store, &one(&*store, "a", &n.to_string()).await).await;
    }
    let end = NOW.0 + 60 + SPENT_GRACE;
    for (at, steps) in [(end, vec![0]), (end + 1, vec![4, 1, 0])] {
        for gone in steps {
            db.set_clock(Timestamp(at));
            assert_eq!(store.prune(Timestamp(at), 1 << 40, 4).await.unwrap(), gone);
        }
    }
    assert_eq!(db.number(SPENT).await, 0);
}
