//! The database is wound back under running processes, by a restore or by a failover that lost the
//! last commits, and is then changed again (faults R2, R2b). Processes must distinguish the lost
//! state from the new one.

use super::introspect::INACTIVE;
use super::on_both;
use super::token::INVALID_CLIENT;
use crate::harness::app::{Agent, TestApp, claims};

on_both! {
    a_token_that_was_killed_stays_dead_when_a_backup_is_killed_again,
    a_secret_that_was_lost_opens_nothing,
    a_scope_that_was_lost_is_not_granted,
    an_agent_made_again_does_not_revive_the_tokens_of_the_first,
}

const TABLES: [&str; 4] = ["credential", "agent", "revision", "revoked_token"];

pub async fn back_up(app: &TestApp<'_>) {
    for table in TABLES {
        app.database
            .execute(&format!(
                "create table kept_{table} as select * from {table}"
            ))
            .await;
    }
}

/// Restores the rows of the backup. The processes keep running.
pub async fn wind_back(app: &TestApp<'_>) {
    let ids = "credential_id, agent_id, hash, tag, prefix, created_at, expires_at, raw_basic";
    for table in TABLES {
        app.database.execute(&format!("delete from {table}")).await;
    }
    for table in ["agent", "revision", "revoked_token"] {
        app.database
            .execute(&format!("insert into {table} select * from kept_{table}"))
            .await;
    }
    app.database
        .execute(&format!(
            "insert into credential ({ids}) select {ids} from kept_credential"
        ))
        .await;
}

async fn a_token_that_was_killed_stays_dead_when_a_backup_is_killed_again(app: &TestApp<'_>) {
    let (caller, agent) = (
        app.agent("tokens:read").await,
        app.agent("agents:read").await,
    );
    back_up(app).await;
    app.revoke_tokens(&agent).await;
    let token = app.token(&agent).await;
    app.clock.advance(1);
    app.revoke_tokens(&agent).await;
    app.clock.advance(1);
    wind_back(app).await;
    // A process that saw nothing of what was lost.
    let late = app.beside().await;
    late.introspect(&caller, &token).await.is(200, INACTIVE);
    for _ in 0..3 {
        late.revoke_tokens(&agent).await;
        late.introspect(&caller, &token).await.is(200, INACTIVE);
    }
    // JSON parsers read integers exactly only below 2^53.
    assert!(claims(&late.token(&agent).await)["epoch"].as_i64().unwrap() < 1 << 53);
}

/// When the new change comes in the same second as the lost one, the versions may be equal. The
/// counting statement also compares the credential.
async fn a_secret_that_was_lost_opens_nothing(app: &TestApp<'_>) {
    let other = app.beside().await;
    for seconds in [0, 1] {
        let first = app.agent("agents:read").await;
        back_up(app).await;
        let lost = app.rotate(&first, 0).await;
        app.token(&lost).await;
        app.clock.advance(seconds);
        wind_back(app).await;
        let now = other.rotate(&first, 0).await;
        for _ in 0..2 {
            app.ask(&lost, "").await.is(401, INVALID_CLIENT);
        }
        app.token(&now).await;
        for table in TABLES {
            app.database
                .execute(&format!("drop table kept_{table}"))
                .await;
        }
    }
}

async fn a_scope_that_was_lost_is_not_granted(app: &TestApp<'_>) {
    use sealwright::testing::domain::scope::parse_scope_list;
    use sealwright::testing::service::manage::patch::ProfilePatch;
    let other = app.beside().await;
    let agent = app.agent("agents:read").await;
    let widen = async |app: &TestApp<'_>, scopes: &str| {
        let patch = ProfilePatch {
            scopes: Some(parse_scope_list(scopes).unwrap()),
            ..ProfilePatch::default()
        };
        app.agents()
            .update(&agent.parsed_id(), &patch, &app.opened.operator())
            .await
            .unwrap();
    };
    back_up(app).await;
    widen(app, "agents:read audit:read").await;
    assert_eq!(
        app.ask(&agent, "").await.text("scope"),
        "agents:read audit:read"
    );
    app.clock.advance(1);
    wind_back(app).await;
    widen(&other, "agents:read tokens:read").await;
    assert_eq!(
        app.ask(&agent, "").await.text("scope"),
        "agents:read tokens:read"
    );
}

async fn an_agent_made_again_does_not_revive_the_tokens_of_the_first(app: &TestApp<'_>) {
    let caller = app.agent("tokens:read").await;
    back_up(app).await;
    let agent = app.agent_named("agt_1", "agents:read").await;
    let token = app.token(&agent).await;
    app.suspend(&agent).await;
    app.clock.advance(1);
    wind_back(app).await;
    let again: Agent = app.agent_named("agt_1", "agents:read").await;
    app.introspect(&caller, &token).await.is(200, INACTIVE);
    app.ask(&agent, "").await.is(401, INVALID_CLIENT);
    app.token(&again).await;
}
