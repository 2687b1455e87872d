//! A write is applied only if what it was decided upon is still so when it is committed.

use std::sync::Arc;

use sealwright::testing::domain::act::Act;
use sealwright::testing::domain::agent::SuspendedBy;
use sealwright::testing::domain::catalogue::CatalogueEntry;
use sealwright::testing::domain::org::{Org, OrgEpoch, OrgId, OrgName, OrgStatus};
use sealwright::testing::domain::scope::Scope;
use sealwright::testing::store::{
    AgentChange, Backend, Change, CommitCondition, OrgChange, Outcome, ScopeChange, Write,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::task::JoinSet;

use super::kit::{NOW, commit, create, id, read};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_write_is_applied_if_all_is_as_it_was_read,
    a_caller_that_was_stopped_or_changed_meanwhile_changes_nothing,
    a_target_that_was_changed_meanwhile_stays_as_it_is,
    of_many_writes_decided_upon_one_version_one_is_applied,
    a_caller_changes_nothing_after_its_suspension_was_answered,
    agents_that_change_each_other_at_once_never_wait_for_each_other,
    a_write_rests_on_the_organization_as_it_was_read,
}

/// What `caller` reads now before it changes `target`.
async fn decided(store: &dyn Backend, caller: &str, target: &str) -> Vec<CommitCondition> {
    let (seen, of_target) = (read(store, caller).await, read(store, target).await);
    vec![
        CommitCondition::Caller {
            agent_id: id(caller),
            version: seen.agent.version,
            epoch: seen.agent.epoch,
        },
        CommitCondition::Target {
            agent_id: id(target),
            version: of_target.agent.version,
        },
    ]
}

/// `caller` kills the tokens of `target`, as it decided earlier.
async fn kill(
    store: &dyn Backend,
    caller: &str,
    target: &str,
    conditions: Vec<CommitCondition>,
) -> Outcome {
    let change = Change::Agent(AgentChange::RevokeTokens(id(target)));
    let write = Write::new(Act::agent(id(caller), NOW.into()), change).only_if(conditions);
    store.commit(vec![write]).await.unwrap()[0]
}

fn suspension(agent_id: &str) -> Change {
    Change::Agent(AgentChange::Suspend(id(agent_id), SuspendedBy::Operator))
}

async fn acts_of(db: &Database, agent_id: &str) -> i64 {
    let sql = format!("select count(*) from audit_event where actor = 'agent:{agent_id}'");
    db.number(&sql).await
}

async fn a_write_is_applied_if_all_is_as_it_was_read(db: &Database) {
    let store = db.open().await;
    create(&*store, "caller").await;
    create(&*store, "target").await;
    for target in ["target", "caller"] {
        let conditions = decided(&*store, "caller", target).await;
        let outcome = kill(&*store, "caller", target, conditions).await;
        assert_eq!(outcome, Outcome::Applied, "{target}");
    }
    // A change of something that is no agent is bound to its caller too.
    let add = |name| {
        Change::Scope(ScopeChange::Add(CatalogueEntry {
            scope: Scope::parse(name).unwrap(),
            description: String::new(),
            high_risk: false,
        }))
    };
    let act = || Act::agent(id("caller"), NOW.into());
    let mut seen = decided(&*store, "caller", "target").await;
    seen.truncate(1);
    let write = Write::new(act(), add("db:read")).only_if(seen.clone());
    assert_eq!(store.commit(vec![write]).await.unwrap(), [Outcome::Applied]);
    commit(&*store, suspension("caller")).await;
    let writes = vec![
        Write::new(act(), add("db:write")).only_if(seen),
        // Another write of the same commit has conditions of its own.
        Write::new(act(), add("db:list")),
    ];
    assert_eq!(
        store.commit(writes).await.unwrap(),
        [Outcome::CallerChanged, Outcome::Applied]
    );
}

async fn a_caller_that_was_stopped_or_changed_meanwhile_changes_nothing(db: &Database) {
    let store = db.open().await;
    create(&*store, "target").await;
    let before = read(&*store, "target").await;
    for (caller, change) in [
        ("suspended", suspension("suspended")),
        (
            "decommissioned",
            Change::Agent(AgentChange::Decommission(id("decommissioned"))),
        ),
        (
            "killed",
            Change::Agent(AgentChange::RevokeTokens(id("killed"))),
        ),
    ] {
        create(&*store, caller).await;
        let conditions = decided(&*store, caller, "target").await;
        assert_eq!(commit(&*store, change).await, Outcome::Applied);
        let outcome = kill(&*store, caller, "target", conditions).await;
        assert_eq!(outcome, Outcome::CallerChanged, "{caller}");
        assert_eq!(acts_of(db, caller).await, 0);
    }
    create(&*store, "narrowed").await;
    let conditions = decided(&*store, "narrowed", "target").await;
    let narrow =
        "update agent set version = version + 1, scopes = '[]' where agent_id = 'narrowed'";
    db.execute(narrow).await;
    let outcome = kill(&*store, "narrowed", "target", conditions).await;
    assert_eq!(outcome, Outcome::CallerChanged);
    // An agent that a restore took away.
    let mut gone = decided(&*store, "narrowed", "target").await;
    gone[0] = CommitCondition::Caller {
        agent_id: id("gone"),
        version: 1,
        epoch: before.agent.epoch,
    };
    assert_eq!(
        kill(&*store, "gone", "target", gone).await,
        Outcome::CallerChanged
    );
    assert_eq!(read(&*store, "target").await, before);
}

async fn a_target_that_was_changed_meanwhile_stays_as_it_is(db: &Database) {
    let store = db.open().await;
    create(&*store, "caller").await;
    create(&*store, "target").await;
    let conditions = decided(&*store, "caller", "target").await;
    commit(&*store, suspension("target")).await;
    let before = read(&*store, "target").await;
    let outcome = kill(&*store, "caller", "target", conditions).await;
    assert_eq!(outcome, Outcome::TargetChanged);
    assert_eq!(read(&*store, "target").await, before);
    assert_eq!(acts_of(db, "caller").await, 0);
}

async fn of_many_writes_decided_upon_one_version_one_is_applied(db: &Database) {
    let (here, there) = (db.open().await, db.open().await);
    for agent_id in ["a", "b", "target"] {
        create(&*here, agent_id).await;
    }
    let mut writes = JoinSet::new();
    let decisions = [
        decided(&*here, "a", "target").await,
        decided(&*there, "b", "target").await,
    ];
    for ((store, caller), conditions) in [(here, "a"), (there, "b")].into_iter().zip(decisions) {
        for _ in 0..10 {
            let (store, conditions) = (Arc::clone(&store), conditions.clone());
            writes.spawn(async move { kill(&*store, caller, "target", conditions).await });
        }
    }
    let outcomes = writes.join_all().await;
    let count = |outcome| outcomes.iter().filter(|one| **one == outcome).count();
    assert_eq!(
        (count(Outcome::Applied), count(Outcome::TargetChanged)),
        (1, 19)
    );
    assert_eq!(acts_of(db, "a").await + acts_of(db, "b").await, 1);
}

/// The caller goes on through two replicas while it is suspended through a third.
async fn a_caller_changes_nothing_after_its_suspension_was_answered(db: &Database) {
    let (first, second, third) = (db.open().await, db.open().await, db.open().await);
    for agent_id in ["caller", "one", "two"] {
        create(&*first, agent_id).await;
    }
    let mut callers = JoinSet::new();
    for (store, target) in [(first, "one"), (second, "two")] {
        callers.spawn(async move {
            // Decided once, as a request that is slow to commit.
            let mut decision = decided(&*store, "caller", target).await;
            loop {
                match kill(&*store, "caller", target, decision.clone()).await {
                    Outcome::CallerChanged => return,
                    outcome => assert_eq!(outcome, Outcome::Applied),
                }
                let version = read(&*store, target).await.agent.version;
                decision[1] = CommitCondition::Target {
                    agent_id: id(target),
                    version,
                };
            }
        });
    }
    while acts_of(db, "caller").await < 6 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        commit(&*third, suspension("caller")).await,
        Outcome::Applied
    );
    let answered = acts_of(db, "caller").await;
    callers.join_all().await;
    assert_eq!(acts_of(db, "caller").await, answered);
}

async fn agents_that_change_each_other_at_once_never_wait_for_each_other(db: &Database) {
    let (here, there) = (db.open().await, db.open().await);
    create(&*here, "a").await;
    create(&*here, "b").await;
    let mut writes = JoinSet::new();
    for (store, caller, target) in [(&here, "a", "b"), (&there, "b", "a"), (&there, "a", "a")] {
        for _ in 0..8 {
            let store = Arc::clone(store);
            writes.spawn(async move {
                loop {
                    let mut decision = decided(&*store, caller, target).await;
                    // A kill needs no version of its target.
                    decision.truncate(1);
                    if kill(&*store, caller, target, decision).await == Outcome::Applied {
                        return;
                    }
                }
            });
        }
    }
    writes.join_all().await;
    assert_eq!(acts_of(db, "a").await, 16);
    assert_eq!(acts_of(db, "b").await, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_waits_for_an_open_change_of_its_caller_on_postgres() {
    let db = Database::postgres().await;
    let store = db.open().await;
    for agent_id in ["caller", "target"] {
        create(&*store, agent_id).await;
    }
    for (sql, expected) in [
        ("rollback", Outcome::Applied),
        ("commit", Outcome::CallerChanged),
    ] {
        let conditions = decided(&*store, "caller", "target").await;
        let mut other = PgConnection::connect(db.url()).await.unwrap();
        let narrow = "begin; update agent set version = version + 1 where agent_id = 'caller'";
        sqlx::raw_sql(narrow).execute(&mut other).await.unwrap();
        let write = tokio::spawn({
            let store = Arc::clone(&store);
            async move { kill(&*store, "caller", "target", conditions).await }
        });
        let waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'
                     and datname = current_database()";
        while db.number(waits).await == 0 {
            assert!(!write.is_finished());
        }
        let end = AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(end).execute(&mut other).await.unwrap();
        other.close().await.unwrap();
        assert_eq!(write.await.unwrap(), expected);
    }
    drop(store);
    db.remove().await;
}

async fn a_write_rests_on_the_organization_as_it_was_read(db: &Database) {
    let store = db.open().await;
    create(&*store, "target").await;
    let org_id = OrgId::parse("acme").unwrap();
    let org = Org {
        org_id: org_id.clone(),
        name: OrgName::parse("Acme").unwrap(),
        scopes: None,
        status: OrgStatus::Active,
        epoch: OrgEpoch(0),
        version: 5,
        created_at: NOW,
        updated_at: NOW,
    };
    let make = || Change::Org(OrgChange::Create(Box::new(org.clone())));
    assert_eq!(commit(&*store, make()).await, Outcome::Applied);
    assert_eq!(commit(&*store, make()).await, Outcome::Conflict);
    assert_eq!(store.org(&org_id).await.unwrap().unwrap(), org);
    let upon = |version| {
        vec![CommitCondition::Org {
            org_id: org_id.clone(),
            version,
        }]
    };
    let outcome = kill(&*store, "target", "target", upon(5)).await;
    assert_eq!(outcome, Outcome::Applied);
    let narrow = |before: &Org| {
        Change::Org(OrgChange::Update {
            before: Box::new(before.clone()),
            name: before.name.clone(),
            scopes: Some(vec![]),
        })
    };
    assert_eq!(commit(&*store, narrow(&org)).await, Outcome::Applied);
    assert_eq!(commit(&*store, narrow(&org)).await, Outcome::TargetChanged);
    let outcome = kill(&*store, "target", "target", upon(5)).await;
    assert_eq!(outcome, Outcome::TargetChanged);
    let changed = store.org(&org_id).await.unwrap().unwrap();
    assert_eq!((changed.scopes, changed.version > 5), (Some(vec![]), true));
    let missing = vec![CommitCondition::Org {
        org_id: OrgId::parse("nowhere").unwrap(),
        version: 5,
    }];
    let outcome = kill(&*store, "target", "target", missing).await;
    assert_eq!(outcome, Outcome::TargetChanged);
}
