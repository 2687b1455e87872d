//! Counting tokens: what a batch stores, which grants are stale, and batches that arrive twice.

use std::sync::Arc;

use sealwright::testing::domain::agent::LiveTokens;
use sealwright::testing::domain::catalogue::CatalogueEntry;
use sealwright::testing::domain::id::BatchId;
use sealwright::testing::domain::scope::Scope;
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::store::{AgentChange, Batch, Change, Freshness, Outcome, ScopeChange};

use super::kit::{
    EVENTS, MILLIS, NOW, Seen, agent, batch, batch_at, code, commit, count, counted, create,
    creation, exchange, grant_for, grants, id, issue, read, send, suspension, used, uuid,
};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_counted_token_leaves_its_event,
    a_token_about_a_user_says_so_in_its_event,
    an_empty_batch_has_no_verdicts,
    a_batch_of_many_agents_gets_each_its_own_verdict,
    a_full_batch_of_different_agents_is_counted,
    a_decision_on_an_old_agent_is_stale,
    a_decision_on_an_old_catalogue_is_stale,
    an_unknown_agent_is_stale,
    tokens_carry_the_epoch_that_the_counting_saw,
    a_batch_that_comes_twice_counts_once,
    a_batch_that_comes_again_after_a_kill_keeps_its_verdicts,
    a_batch_that_is_sent_twice_at_once_counts_once,
    what_a_landed_batch_did_not_count_is_decided_again,
    no_clock_makes_it_panic,
}

async fn a_counted_token_leaves_its_event(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let batch = batch(grants(&*store, "a", 1, Some(10)).await);
    assert_eq!(send(&*store, &batch).await, [counted(0)]);
    assert_eq!(used(&*store, "a").await, Some(1));
    let event = "select agent_id || '|' || at || '|' || epoch || '|' || inline from token_event";
    let (from, until) = (NOW.0, NOW.0 + 600);
    let terms =
        "{\"aud\":[\"https://issuer.example\"],\"scope\":\"agents:read tokens:read\",\"ttl\":600}";
    let expected = format!("a|{from}|0|{terms}");
    assert_eq!(db.texts(event).await, [expected]);
    let jti = batch.grants[0].jti();
    let issued = store.issued_token(jti).await.unwrap().unwrap();
    assert_eq!(
        (issued.jti, issued.agent_id, issued.expires_at.0),
        (jti, id("a"), until)
    );
}

async fn a_token_about_a_user_says_so_in_its_event(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    send(
        &*store,
        &batch(vec![exchange(&*store, "a", code(), None).await]),
    )
    .await;
    let events = store.events(0, i64::MAX, 10).await.unwrap();
    let issued = events.last().unwrap().logged().unwrap();
    assert_eq!(&*issued.scope.unwrap(), "agents:read tokens:read");
    assert_eq!(
        issued.detail.unwrap().as_str(),
        "{\"aud\":[\"https://issuer.example\"],\"ttl\":600,\"user\":\"user 42\"}"
    );
}

async fn an_empty_batch_has_no_verdicts(db: &Database) {
    let store = db.open().await;
    assert_eq!(send(&*store, &batch(vec![])).await, []);
}

async fn a_batch_of_many_agents_gets_each_its_own_verdict(db: &Database) {
    use Seen::{QuotaReached, Stale};
    let store = db.open().await;
    for agent_id in ["a", "b", "c"] {
        create(&*store, agent_id).await;
    }
    let stale = grants(&*store, "c", 1, None).await.remove(0);
    commit(&*store, Change::Agent(AgentChange::RevokeTokens(id("c")))).await;
    let (a, b, c) = (
        grants(&*store, "a", 3, Some(2)).await,
        grants(&*store, "b", 2, None).await,
        grants(&*store, "c", 1, None).await,
    );
    // The agents are out of order, and the batch holds decisions on two versions of one agent.
    let mixed = [&b[0], &a[0], &stale, &a[1], &c[0], &a[2], &b[1]]
        .map(Arc::clone)
        .to_vec();
    let seen = send(&*store, &batch(mixed)).await;
    assert_eq!(
        seen,
        [
            counted(0),
            counted(0),
            Stale,
            counted(0),
            counted(MILLIS),
            QuotaReached,
            counted(0)
        ]
    );
    let totals = [
        used(&*store, "a").await,
        used(&*store, "b").await,
        used(&*store, "c").await,
    ];
    assert_eq!(totals, [Some(2), Some(2), Some(1)]);
    assert_eq!(db.number(EVENTS).await, 5);
}

async fn a_full_batch_of_different_agents_is_counted(db: &Database) {
    let store = db.open().await;
    let names: Vec<String> = (0..256).map(|n| format!("agent-{n}")).collect();
    let made = names
        .iter()
        .map(|name| super::kit::write(creation(name)))
        .collect();
    assert!(
        store
            .commit(made)
            .await
            .unwrap()
            .iter()
            .all(|o| *o == Outcome::Applied)
    );
    let catalogue = store.catalogue(Freshness::Fresh).await.unwrap();
    let all: Vec<_> = names
        .iter()
        .rev()
        .map(|n| grant_for(&agent(n), &catalogue, Some(1)))
        .collect();
    assert_eq!(
        send(&*store, &batch(all.clone())).await,
        vec![counted(0); 256]
    );
    assert_eq!(
        send(&*store, &batch(all.clone())).await,
        vec![Seen::QuotaReached; 256]
    );
    assert_eq!(db.number("select sum(used) from quota").await, 256);
    assert_eq!(
        db.number("select count(distinct jti) from token_event")
            .await,
        256
    );
    for grant in [&all[0], &all[100], &all[255]] {
        let issued = store.issued_token(grant.jti()).await.unwrap().unwrap();
        assert_eq!(issued.agent_id, *grant.agent_id());
    }
}

async fn a_decision_on_an_old_agent_is_stale(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let old = grants(&*store, "a", 1, None).await;
    let profile = Box::new(agent("a").profile);
    let update = Change::Agent(AgentChange::Update {
        agent_id: id("a"),
        expected_version: 1,
        before: profile.clone(),
        profile,
        tokens: LiveTokens::Keep,
    });
    assert_eq!(commit(&*store, update).await, Outcome::Applied);
    assert_eq!(send(&*store, &batch(old)).await, [Seen::Stale]);
    let before = grants(&*store, "a", 1, None).await;
    commit(&*store, suspension(id("a"))).await;
    assert_eq!(send(&*store, &batch(before)).await, [Seen::Stale]);
    // This decision has the right version but calls the agent active. The store counts only for an
    // agent whose row is active.
    let mut lying = read(&*store, "a").await.agent.clone();
    lying.status = sealwright::testing::domain::agent::AgentStatus::Active;
    let catalogue = store.catalogue(Freshness::Fresh).await.unwrap();
    assert_eq!(
        send(&*store, &batch(vec![grant_for(&lying, &catalogue, None)])).await,
        [Seen::Stale]
    );
    assert_eq!(used(&*store, "a").await, None);
    assert_eq!(db.number(EVENTS).await, 0);
}

async fn a_decision_on_an_old_catalogue_is_stale(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let old = grants(&*store, "a", 1, None).await;
    let entry = CatalogueEntry {
        scope: Scope::parse("db:read").unwrap(),
        description: "Read".to_owned(),
        high_risk: true,
    };
    commit(&*store, Change::Scope(ScopeChange::Add(entry))).await;
    assert_eq!(send(&*store, &batch(old)).await, [Seen::Stale]);
    assert_eq!(issue(&*store, "a", 1, None).await, [counted(0)]);
}

async fn an_unknown_agent_is_stale(db: &Database) {
    let store = db.open().await;
    let catalogue = store.catalogue(Freshness::Fresh).await.unwrap();
    assert_eq!(
        send(
            &*store,
            &batch(vec![grant_for(&agent("a"), &catalogue, None)])
        )
        .await,
        [Seen::Stale]
    );
}

async fn tokens_carry_the_epoch_that_the_counting_saw(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    assert_eq!(issue(&*store, "a", 1, None).await, [counted(0)]);
    commit(&*store, Change::Agent(AgentChange::RevokeTokens(id("a")))).await;
    assert_eq!(
        issue(&*store, "a", 2, None).await,
        [counted(MILLIS), counted(MILLIS)]
    );
}

async fn a_batch_that_comes_twice_counts_once(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    create(&*store, "b").await;
    let mut tokens = grants(&*store, "a", 3, Some(100)).await;
    tokens.extend(grants(&*store, "b", 2, None).await);
    let batch = batch(tokens);
    let first = send(&*store, &batch).await;
    assert_eq!(first, vec![counted(0); 5]);
    // When the batch comes again, the process's clock may have moved on, and another process may
    // send it.
    let again = Batch {
        now: Timestamp(NOW.0 + 7).into(),
        ..batch
    };
    assert_eq!(send(&*store, &again).await, first);
    assert_eq!(send(&*db.open().await, &again).await, first);
    assert_eq!(
        (used(&*store, "a").await, db.number(EVENTS).await),
        (Some(3), 5)
    );
}

async fn a_batch_that_comes_again_after_a_kill_keeps_its_verdicts(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let batch = batch(grants(&*store, "a", 2, None).await);
    let first = send(&*store, &batch).await;
    commit(&*store, suspension(id("a"))).await;
    // The tokens were counted under the old epoch, so they are already revoked.
    assert_eq!(send(&*store, &batch).await, first);
    assert_eq!(db.number(EVENTS).await, 2);
}

async fn a_batch_that_is_sent_twice_at_once_counts_once(db: &Database) {
    let (one, other) = (db.open().await, db.open().await);
    create(&*one, "a").await;
    for round in 1..=10 {
        let batch = batch(grants(&*one, "a", 4, None).await);
        let (first, second) = tokio::join!(send(&*one, &batch), send(&*other, &batch));
        assert_eq!((first, second), (vec![counted(0); 4], vec![counted(0); 4]));
        assert_eq!(
            (used(&*one, "a").await, db.number(EVENTS).await),
            (Some(4 * round), 4 * round)
        );
    }
}

async fn what_a_landed_batch_did_not_count_is_decided_again(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let batch = batch(grants(&*store, "a", 3, Some(2)).await);
    assert_eq!(
        send(&*store, &batch).await,
        [counted(0), counted(0), Seen::QuotaReached]
    );
    assert_eq!(
        send(&*store, &batch).await,
        [counted(0), counted(0), Seen::Stale]
    );
    assert_eq!(used(&*store, "a").await, Some(2));
}

async fn no_clock_makes_it_panic(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    // A process's clock counts milliseconds: the first and the last value are its limits in
    // seconds.
    for now in [i64::MIN / 1_000, -1, 0, 253_402_300_800, i64::MAX / 1_000] {
        let batch = batch_at(Timestamp(now), grants(&*store, "a", 1, None).await);
        let batch = Batch {
            id: BatchId(uuid(NOW)),
            ..batch
        };
        let seen = send(&*store, &batch).await;
        assert_eq!(count(&seen), 1);
        let Seen::Counted { iat, .. } = seen[0] else {
            unreachable!()
        };
        assert!(iat.0 <= now);
        // A database with its own clock counts in the month of that clock.
        let month = if db.clock().is_some() { NOW } else { iat };
        assert!(used_in(&*store, month).await);
    }
    assert_eq!(db.number("select sum(used) from quota").await, 5);
}

async fn used_in(store: &dyn sealwright::testing::store::Records, at: Timestamp) -> bool {
    store
        .used(&[id("a")], at.month())
        .await
        .unwrap()
        .contains_key(&id("a"))
}
