//! Partners and agents that end: while a credential is made for them, and all at once.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{join, join3};
use serde_json::{Value, json};
use sqlx::Connection as _;

use super::platform::{CLUSTER, Stage, account, run};
use super::stops::{hold, wait_for};
use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, TestApp, bearer};

with_platform! {
    no_credential_outlives_its_partner,
    no_agent_gets_a_credential_once_it_has_ended,
    a_partner_and_the_tokens_of_its_agents_end_together,
}

/// How often two requests meet.
const ROUNDS: usize = 4;

/// The live credentials of partners that do not exist.
const ORPHANS: &str = "select count(*) from credential c
    where c.partner_id is not null and not exists (select 1 from partner p where p.partner_id = c.partner_id)";

/// The credentials that an agent was given after it had ended.
const TOO_LATE: &str = "select count(*) from audit_event made
    join audit_event ended on ended.agent_id = made.agent_id and ended.id < made.id
    where made.kind = 'credential.created' and ended.kind = 'agent.decommissioned'";

/// The answers to a request for a credential and to another one that is sent while it is made: on
/// PostgreSQL, in each second round, once the credential was decided and before its row is there.
async fn meet(
    app: &TestApp<'_>,
    round: usize,
    create: impl Future<Output = Answer>,
    other: impl Future<Output = Answer>,
) -> (Answer, Answer) {
    if round.is_multiple_of(2) {
        return join(create, other).await;
    }
    let held = hold(app, "lock table credential in share mode").await;
    let is_postgres = held.is_some();
    let is_over = AtomicBool::new(!is_postgres);
    let other = async {
        wait_for(app, 1, || !is_postgres).await;
        let answer = other.await;
        is_over.store(true, Ordering::SeqCst);
        answer
    };
    let release = async {
        wait_for(app, 2, || is_over.load(Ordering::SeqCst)).await;
        if let Some(held) = held {
            held.close().await.unwrap();
        }
    };
    let (made, other, ()) = join3(create, other, release).await;
    (made, other)
}

/// Sends a request to a process beside the one of the stage.
async fn send_to(app: &TestApp<'_>, stage: &Stage<'_>, line: &str, body: &Value) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    let json = ("content-type", "application/json");
    let headers = [("authorization", &*stage.admin), json];
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    app.send(method, path, &headers, body.into()).await
}

/// The body of a credential that trusts an account of this partner.
fn trust(partner: &str) -> Value {
    let mut body = account(partner);
    body["kind"] = "federated".into();
    body
}

async fn no_credential_outlives_its_partner(stage: &Stage<'_>) {
    let app = &stage.app;
    app.agent_named("reports", "agents:read").await;
    let beside = app.beside().await;
    let create = format!("POST {AGENTS}/reports/credentials");
    for round in 0..ROUNDS {
        let issuer = json!({ "issuer": CLUSTER });
        let partner = stage.partner("kubernetes", &issuer).await;
        let (delete, body) = (
            format!("DELETE /api/v1/partners/{partner}"),
            trust(&partner),
        );
        let (made, deleted) = meet(
            app,
            round,
            stage.send(&create, &body),
            send_to(&beside, stage, &delete, &Value::Null),
        )
        .await;
        assert_eq!(app.database.number(ORPHANS).await, 0, "round {round}");
        if made.status == 201 {
            deleted.is_management_error(409, "PARTNER_IN_USE");
            let end = format!(
                "DELETE {AGENTS}/reports/credentials/{}",
                made.text("credentialId")
            );
            assert_eq!(stage.send(&end, &Value::Null).await.status, 204);
            assert_eq!(stage.send(&delete, &Value::Null).await.status, 204);
        } else {
            assert_eq!(deleted.status, 204, "{made:?} {deleted:?}");
            made.is_management_error(400, "VALIDATION_ERROR");
            let errors = made.json()["details"]["errors"].clone();
            assert_eq!(errors[0]["field"], "/partnerId", "{made:?}");
        }
    }
}

async fn no_agent_gets_a_credential_once_it_has_ended(stage: &Stage<'_>) {
    let app = &stage.app;
    let beside = app.beside().await;
    let issuer = json!({ "issuer": CLUSTER });
    let partner = stage.partner("kubernetes", &issuer).await;
    for round in 0..ROUNDS {
        let agent = app.agent_named(&format!("a{round}"), "agents:read").await;
        let create = format!("POST {AGENTS}/{}/credentials", agent.id);
        let end = format!("POST {AGENTS}/{}/decommission", agent.id);
        let body = trust(&partner);
        let (made, ended) = meet(
            app,
            round,
            stage.send(&create, &body),
            send_to(&beside, stage, &end, &json!({})),
        )
        .await;
        assert_eq!(ended.status, 200, "{ended:?}");
        if made.status != 201 {
            made.is_management_error(409, "AGENT_DECOMMISSIONED");
        }
    }
    assert_eq!(app.database.number(TOO_LATE).await, 0);
    // What ended agents hold is no reason to keep a partner.
    let delete = format!("DELETE /api/v1/partners/{partner}");
    assert_eq!(stage.send(&delete, &Value::Null).await.status, 204);
}

async fn a_partner_and_the_tokens_of_its_agents_end_together(stage: &Stage<'_>) {
    let app = &stage.app;
    let issuer = json!({ "issuer": CLUSTER });
    let partner = stage.partner("kubernetes", &issuer).await;
    let mut tokens = vec![stage.admin.clone()];
    for name in ["a", "z"] {
        let agent = app.agent_named(name, "agents:read").await;
        tokens.push(bearer(&app.token(&agent).await));
    }
    // The caller holds a credential itself.
    for name in ["a", "boss", "z"] {
        stage.trust(name, account(&partner)).await;
    }
    let path = format!("/api/v1/partners/{partner}/suspend?revokeTokens=true");
    let kill = async |version: &str| {
        let headers = [("authorization", &*stage.admin), ("if-match", version)];
        app.send("POST", &path, &headers, vec![]).await
    };
    let status = async |token: &String| app.get_as(token, "/api/v1/whoami").await.status;
    // Nothing happens to another version than the one that was meant.
    kill("\"1\"")
        .await
        .is_management_error(412, "VERSION_MISMATCH");
    for token in &tokens {
        assert_eq!(status(token).await, 200);
    }
    let shown = stage
        .send(&format!("GET /api/v1/partners/{partner}"), &Value::Null)
        .await;
    assert_eq!(shown.text("status"), "active");
    let killed = kill(shown.header("etag")).await;
    assert_eq!(
        (killed.status, killed.text("status")),
        (200, "suspended".to_owned())
    );
    for token in &tokens {
        assert_eq!(status(token).await, 401);
    }
    let version = app
        .database
        .number("select version from revision where name = 'revocation'");
    assert_eq!(killed.json()["revocationVersion"], version.await);
    let told = "select count(*) from audit_event where kind in ('partner.suspended', 'agent.tokens_revoked')";
    assert_eq!(app.database.number(told).await, 4);
}
