//! Looking up the tokens of killed agents.

use std::sync::Arc;

use sealwright::testing::domain::agent::{Epoch, LiveTokens};
use sealwright::testing::domain::id::Jti;
use sealwright::testing::domain::org::OrgEpoch;
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::domain::ttl::Ttl;
use sealwright::testing::store::{
    AgentChange, Change, KilledAgentQuery, KilledTokens, Records, Store,
};

use super::kit::{
    NOW, agent, batch, batch_at, commit, create, grants, id, issue, read, send, suspension,
};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    killed_tokens_are_those_below_the_epoch_that_still_live,
    killed_tokens_are_found_hours_back,
    of_too_many_killed_tokens_those_that_expire_last_are_found,
    the_tokens_of_several_agents_are_found_together,
    only_what_was_recorded_behind_a_place_is_looked_through,
}

fn sought(agent_id: &str, below: i64, issued_from: i64) -> KilledAgentQuery {
    KilledAgentQuery {
        agent_id: id(agent_id),
        below: Epoch(below),
        org_below: OrgEpoch(0),
        issued_from: Timestamp(issued_from),
    }
}

async fn one(store: &dyn Records, sought: KilledAgentQuery, most: usize) -> KilledTokens {
    let mut found = store
        .killed_tokens(&[sought], None, NOW, most)
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    let found = found.remove(0);
    assert!(found.tokens.iter().all(|token| token.expires_at > NOW));
    assert!(
        found
            .tokens
            .is_sorted_by_key(|token| std::cmp::Reverse((token.expires_at, token.jti)))
    );
    found
}

fn jtis(found: &KilledTokens) -> Vec<Jti> {
    let mut jtis: Vec<Jti> = found.tokens.iter().map(|token| token.jti).collect();
    jtis.sort_unstable();
    jtis
}

async fn with_ttl(store: &dyn Store, agent_id: &str, expected_version: i64, ttl: i64) {
    let mut profile = agent(agent_id).profile;
    Arc::make_mut(&mut profile.terms).ttl = Some(Ttl::new(ttl).unwrap());
    let change = Change::Agent(AgentChange::Update {
        agent_id: id(agent_id),
        expected_version,
        before: Box::new(agent(agent_id).profile),
        profile: Box::new(profile),
        tokens: LiveTokens::Keep,
    });
    commit(store, change).await;
}

async fn killed_tokens_are_those_below_the_epoch_that_still_live(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    create(&*store, "b").await;
    let mut expected = Vec::new();
    for age in [500, 100, 10] {
        db.set_clock(Timestamp(NOW.0 - age));
        let batch = batch_at(Timestamp(NOW.0 - age), grants(&*store, "a", 2, None).await);
        send(&*store, &batch).await;
        expected.push(batch.grants.iter().map(|g| g.jti()).collect::<Vec<_>>());
    }
    db.set_clock(NOW);
    let expired = batch_at(Timestamp(NOW.0 - 600), grants(&*store, "a", 1, None).await);
    send(&*store, &expired).await;
    issue(&*store, "b", 3, None).await;
    commit(&*store, suspension(id("a"))).await;
    commit(&*store, Change::Agent(AgentChange::Reactivate(id("a")))).await;
    let alive = batch(grants(&*store, "a", 1, None).await);
    send(&*store, &alive).await;
    let epoch = read(&*store, "a").await.agent.epoch.0;
    let killed = async |ago: i64, most| {
        let found = one(&*store, sought("a", epoch, NOW.0 - ago), most).await;
        (jtis(&found), found.omitted)
    };
    let of = |batches: &[Vec<Jti>]| {
        let mut jtis = batches.concat();
        jtis.sort_unstable();
        jtis
    };
    assert_eq!(killed(86_400, 100).await, (of(&expected), 0));
    assert_eq!(killed(100, 100).await, (of(&expected[1..]), 0));
    assert_eq!(killed(86_400, 2).await, (of(&expected[2..]), 4));
    assert_eq!(killed(86_400, 0).await, (vec![], 6));
    assert!(
        store
            .killed_tokens(&[], None, NOW, 100)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn killed_tokens_are_found_hours_back(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    with_ttl(&*store, "a", 1, 86_400).await;
    for hours in (0..30).rev() {
        let at = Timestamp(NOW.0 - hours * 3_600);
        send(&*store, &batch_at(at, grants(&*store, "a", 1, None).await)).await;
    }
    commit(&*store, Change::Agent(AgentChange::RevokeTokens(id("a")))).await;
    let epoch = read(&*store, "a").await.agent.epoch.0;
    assert_eq!(
        one(&*store, sought("a", epoch, i64::MIN), 100)
            .await
            .tokens
            .len(),
        24
    );
}

async fn of_too_many_killed_tokens_those_that_expire_last_are_found(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    with_ttl(&*store, "a", 1, 86_400).await;
    let long = batch(grants(&*store, "a", 1, None).await);
    send(&*store, &long).await;
    let version = read(&*store, "a").await.agent.version;
    with_ttl(&*store, "a", version, 300).await;
    for _ in 0..20 {
        let many = grants(&*store, "a", 100, None).await;
        send(&*store, &batch(many)).await;
    }
    commit(&*store, suspension(id("a"))).await;
    let epoch = read(&*store, "a").await.agent.epoch.0;
    let found = one(&*store, sought("a", epoch, NOW.0 - 86_400), 50).await;
    assert_eq!((found.tokens.len(), found.omitted), (50, 1_951));
    assert_eq!(found.tokens[0].jti, long.grants[0].jti());
}

async fn the_tokens_of_several_agents_are_found_together(db: &Database) {
    let store = db.open().await;
    let mut expected = Vec::new();
    for (n, agent_id) in ["a", "b", "c"].into_iter().enumerate() {
        create(&*store, agent_id).await;
        let tokens = batch(grants(&*store, agent_id, n + 1, None).await);
        send(&*store, &tokens).await;
        let mut jtis: Vec<Jti> = tokens.grants.iter().map(|g| g.jti()).collect();
        jtis.sort_unstable();
        expected.push(jtis);
    }
    let asked = [
        sought("c", 1, i64::MIN),
        sought("nobody", 1, i64::MIN),
        sought("a", 1, i64::MIN),
        sought("b", 0, i64::MIN),
    ];
    let found = store.killed_tokens(&asked, None, NOW, 100).await.unwrap();
    let found: Vec<Vec<Jti>> = found.iter().map(jtis).collect();
    assert_eq!(
        found,
        [expected[2].clone(), vec![], expected[0].clone(), vec![]]
    );
}

async fn only_what_was_recorded_behind_a_place_is_looked_through(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    issue(&*store, "a", 3, None).await;
    let place = store.newest_event().await.unwrap();
    let since = async |place| {
        let found = store
            .killed_tokens(&[sought("a", 9, i64::MIN)], Some(place), NOW, 100)
            .await
            .unwrap();
        jtis(&found[0])
    };
    assert!(since(place).await.is_empty());
    let later = batch(grants(&*store, "a", 1, None).await);
    send(&*store, &later).await;
    assert_eq!(since(place).await, [later.grants[0].jti()]);
    assert_eq!(since(0).await.len(), 4);
    assert!(store.newest_event().await.unwrap() > place);
}
