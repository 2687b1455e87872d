//! The ids of agents and users: no id ever names both an agent and a user (item 56; RFC 9700
//! §4.15).

use std::sync::Arc;

use sealwright::testing::domain::agent::{LiveTokens, UserId};
use sealwright::testing::store::{AgentChange, Change, Freshness, Outcome, Store};
use tokio::task::JoinSet;

use super::kit::{USER, agent, commit, create, creation, credential, id, read, write};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    an_agent_gets_no_id_of_a_user,
    nobody_acts_for_a_user_with_an_agents_id,
    a_clash_writes_nothing_and_leaves_its_neighbours_alone,
    two_servers_never_give_an_agent_and_a_user_one_id,
    users_that_were_there_before_are_known,
}

fn parsed(users: &[&str]) -> Vec<UserId> {
    users
        .iter()
        .map(|user| UserId::parse(user).unwrap())
        .collect()
}

fn creation_for(agent_id: &str, users: &[&str]) -> Change {
    let mut agent = agent(agent_id);
    Arc::make_mut(&mut agent.profile.terms).user_ids = parsed(users);
    Change::Agent(AgentChange::Create {
        agent: Box::new(agent),
        credential: Box::new(credential(agent_id, "first")),
    })
}

async fn update_for(store: &dyn Store, agent_id: &str, users: &[&str]) -> Change {
    let record = read(store, agent_id).await;
    let mut profile = record.agent.profile.clone();
    Arc::make_mut(&mut profile.terms).user_ids = parsed(users);
    Change::Agent(AgentChange::Update {
        agent_id: id(agent_id),
        expected_version: record.agent.version,
        before: Box::new(record.agent.profile.clone()),
        profile: Box::new(profile),
        tokens: LiveTokens::Keep,
    })
}

async fn an_agent_gets_no_id_of_a_user(db: &Database) {
    let store = db.open().await;
    assert_eq!(
        commit(&*store, creation_for("a", &["u", "v", "u"])).await,
        Outcome::Applied
    );
    assert_eq!(commit(&*store, creation("u")).await, Outcome::Clash);
    assert_eq!(
        commit(&*store, creation_for("own", &["own"])).await,
        Outcome::Clash
    );
    // No agent may act for this user any more, but tokens about the user may still be valid.
    let cleared = update_for(&*store, "a", &[]).await;
    assert_eq!(commit(&*store, cleared).await, Outcome::Applied);
    assert_eq!(commit(&*store, creation("u")).await, Outcome::Clash);
    assert_eq!(commit(&*store, creation("U")).await, Outcome::Applied);
}

async fn nobody_acts_for_a_user_with_an_agents_id(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    create(&*store, "b").await;
    commit(&*store, Change::Agent(AgentChange::Decommission(id("b")))).await;
    for users in [&["b"][..], &["a"], &["u", "b"]] {
        let update = update_for(&*store, "a", users).await;
        assert_eq!(commit(&*store, update).await, Outcome::Clash);
        assert_eq!(
            commit(&*store, creation_for("c", users)).await,
            Outcome::Clash
        );
    }
    // Each change for the user `u` was refused, so an agent may still get this id.
    assert_eq!(commit(&*store, creation("u")).await, Outcome::Applied);
    // Several agents may act for one user.
    for agent_id in ["d", "e"] {
        assert_eq!(
            commit(&*store, creation_for(agent_id, &["w"])).await,
            Outcome::Applied
        );
    }
}

async fn a_clash_writes_nothing_and_leaves_its_neighbours_alone(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let writes = [
        creation("b"),
        creation(USER_AS_ID),
        creation_for("c", &["b"]),
        creation("d"),
    ];
    let user = commit(&*store, creation_for("x", &[USER_AS_ID])).await;
    assert_eq!(user, Outcome::Applied);
    let outcomes = store.commit(writes.map(write).to_vec()).await.unwrap();
    assert_eq!(
        outcomes,
        [
            Outcome::Applied,
            Outcome::Clash,
            Outcome::Clash,
            Outcome::Applied
        ]
    );
    for (agent_id, exists) in [("b", true), (USER_AS_ID, false), ("c", false), ("d", true)] {
        assert_eq!(
            store
                .agent(&id(agent_id), Freshness::Fresh)
                .await
                .unwrap()
                .is_some(),
            exists
        );
    }
    assert_eq!(
        db.number("select count(*) from audit_event where kind = 'agent.created'")
            .await,
        4
    );
    let before = read(&*store, "a").await;
    let update = update_for(&*store, "a", &["d"]).await;
    assert_eq!(commit(&*store, update).await, Outcome::Clash);
    assert_eq!(read(&*store, "a").await, before);
    assert!(
        before
            .agent
            .profile
            .terms
            .user_ids
            .iter()
            .any(|user| user.as_str() == USER)
    );
}

const USER_AS_ID: &str = "user-as-id";

async fn two_servers_never_give_an_agent_and_a_user_one_id(db: &Database) {
    let stores = [db.open().await, db.open().await];
    create(&*stores[0], "a").await;
    for round in 0..30 {
        let name = format!("name-{round}");
        let asks = [
            creation(&name),
            creation_for(&format!("for-{round}"), &[&name]),
        ];
        let mut tasks = JoinSet::new();
        for (store, ask) in stores.iter().cloned().zip(asks) {
            tasks.spawn(async move { commit(&*store, ask).await });
        }
        let mut outcomes = tasks.join_all().await;
        outcomes.sort_by_key(|outcome| *outcome == Outcome::Clash);
        assert_eq!(outcomes, [Outcome::Applied, Outcome::Clash]);
    }
    let both = "select count(*) from known_user join agent on agent_id = user_id";
    assert_eq!(db.number(both).await, 0);
}

async fn users_that_were_there_before_are_known(db: &Database) {
    let store = db.open().await;
    assert_eq!(
        commit(&*store, creation_for("a", &["u", "v 1"])).await,
        Outcome::Applied
    );
    assert_eq!(
        commit(&*store, creation_for("b", &["u"])).await,
        Outcome::Applied
    );
    drop(store);
    // Restore the schema from before migration 4, which makes `known_user`.
    db.execute("drop table known_user; delete from _sqlx_migrations where version = 4")
        .await;
    if let Database::Postgres { url, .. } = db {
        sealwright::testing::store::postgres::migrate(&[url])
            .await
            .unwrap();
    }
    let store = db.open().await;
    assert_eq!(commit(&*store, creation("u")).await, Outcome::Clash);
    assert_eq!(db.number("select count(*) from known_user").await, 2);
}
