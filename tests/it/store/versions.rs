//! Epochs and versions are never given twice, even within one second: when rows are wound back
//! between two changes of the same second, the second change gets other numbers than the first.

use sealwright::testing::domain::agent::LiveTokens;
use sealwright::testing::domain::catalogue::CatalogueEntry;
use sealwright::testing::domain::id::CredentialId;
use sealwright::testing::domain::scope::Scope;
use sealwright::testing::domain::time::Moment;
use sealwright::testing::store::{
    AgentChange, Batch, Change, CredentialChange, Freshness, Outcome, ScopeChange, Store,
    TokenChange,
};

use super::kit::{
    MILLIS, agent, batch, code, commit_at, create, credential, exchange, id, jti, read, send,
    suspension, uuid,
};
use super::on_both;
use crate::harness::database::Database;
use crate::harness::time::NOW;

on_both! {
    rows_wound_back_within_a_second_get_other_epochs_and_versions,
    a_list_wound_back_within_a_second_gets_other_versions,
}

/// Makes the change `millis` milliseconds into the second, by the clocks of the database and of the
/// process.
async fn at(db: &Database, store: &dyn Store, millis: i64, change: Change) {
    set(db, millis);
    assert_eq!(
        commit_at(store, Moment(MILLIS + millis), change).await,
        Outcome::Applied
    );
}

fn set(db: &Database, millis: i64) {
    if let Some(clock) = db.clock() {
        clock.set(MILLIS + millis);
    }
}

/// The agent's epoch, the agent's version and the catalogue's version.
async fn seen(store: &dyn Store) -> (i64, i64, i64) {
    let agent = &read(store, "a").await.agent;
    (
        agent.epoch.0,
        agent.version,
        store.catalogue(Freshness::Fresh).await.unwrap().version(),
    )
}

async fn rows_wound_back_within_a_second_get_other_epochs_and_versions(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let addition = |name: String| {
        let scope = Scope::parse(&name).unwrap();
        Change::Scope(ScopeChange::Add(CatalogueEntry {
            scope,
            description: String::new(),
            high_risk: false,
        }))
    };
    let rotation = || {
        Change::Credential(CredentialChange::Rotate {
            credential: Box::new(credential("a", &CredentialId(uuid(NOW)).to_string())),
            overlap: 0,
            label: None,
            max_live: 2,
        })
    };
    let update = |tokens| {
        Change::Agent(AgentChange::Update {
            agent_id: id("a"),
            expected_version: 1,
            before: Box::new(agent("a").profile),
            profile: Box::new(agent("a").profile),
            tokens,
        })
    };
    let suspension = || suspension(id("a"));
    let changes: [(&str, &dyn Fn() -> Change); 6] = [
        ("kill", &|| {
            Change::Agent(AgentChange::RevokeTokens(id("a")))
        }),
        ("suspend", &suspension),
        ("reactivate", &|| {
            Change::Agent(AgentChange::Reactivate(id("a")))
        }),
        ("rotate", &rotation),
        ("update", &|| update(LiveTokens::Keep)),
        ("narrow", &|| update(LiveTokens::Kill)),
    ];
    let wind_back = async |status: &str| {
        db.execute(&format!(
            "update agent set epoch = 0, version = 1, status = '{status}'"
        ))
        .await;
        db.execute("update revision set version = 0").await;
    };
    for (name, change) in changes {
        let status = if name == "reactivate" {
            "suspended"
        } else {
            "active"
        };
        let mut all = Vec::new();
        for (millis, added) in [(100, "one:read"), (900, "two:read")] {
            wind_back(status).await;
            at(db, &*store, millis, change()).await;
            at(db, &*store, millis, addition(format!("{name}:{added}"))).await;
            all.push(seen(&*store).await);
        }
        let [(first, ..), (last, ..)] = all[..] else {
            unreachable!()
        };
        assert_eq!(all[0].1 + 800, all[1].1, "{name}");
        assert_eq!(all[0].2 + 800, all[1].2, "{name}");
        let kills = !["reactivate", "rotate", "update"].contains(&name);
        assert_eq!(last - first, if kills { 800 } else { 0 }, "{name}");
    }
}

async fn a_list_wound_back_within_a_second_gets_other_versions(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let version = "select version from revision where name = 'revocation'";
    let presented = code();
    send(
        &*store,
        &batch(vec![exchange(&*store, "a", presented, None).await]),
    )
    .await;
    let (mut by_revocation, mut by_code) = (Vec::new(), Vec::new());
    for millis in [100, 900] {
        db.execute("update revision set version = 0").await;
        let revocation = Change::Token(TokenChange::Revoke {
            jti: jti(),
            agent_id: None,
            expires_at: NOW,
        });
        at(db, &*store, millis, revocation).await;
        by_revocation.push(db.number(version).await);
        // A code that is presented again revokes its first token, in the commit that finds the code
        // spent.
        db.execute("update revision set version = 0").await;
        db.execute("delete from revoked_token").await;
        let again = batch(vec![exchange(&*store, "a", presented, None).await]);
        send(
            &*store,
            &Batch {
                now: Moment(MILLIS + millis),
                ..again
            },
        )
        .await;
        by_code.push(db.number(version).await);
    }
    for versions in [by_revocation, by_code] {
        assert_eq!(versions, [MILLIS + 100, MILLIS + 900]);
    }
}
