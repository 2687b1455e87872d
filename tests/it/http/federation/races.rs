//! Partners and agents that end while a credential is made for them.

use futures_util::future::join;
use serde_json::{Value, json};

use super::platform::{CLUSTER, Stage, account, run};
use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, TestApp};

with_platform! {
    no_credential_outlives_its_partner,
    no_agent_gets_a_credential_once_it_has_ended,
}

/// How often two requests meet.
const ROUNDS: usize = 12;

/// The live credentials of partners that do not exist.
const ORPHANS: &str = "select count(*) from credential c
    where c.partner_id is not null and not exists (select 1 from partner p where p.partner_id = c.partner_id)";

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
        let (made, deleted) = join(
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
    for round in 0..ROUNDS / 2 {
        let agent = app.agent_named(&format!("a{round}"), "agents:read").await;
        let create = format!("POST {AGENTS}/{}/credentials", agent.id);
        let end = format!("POST {AGENTS}/{}/decommission", agent.id);
        let (made, ended) = join(
            stage.send(&create, &trust(&partner)),
            send_to(&beside, stage, &end, &json!({})),
        )
        .await;
        assert_eq!(ended.status, 200, "{ended:?}");
        if made.status != 201 {
            made.is_management_error(409, "AGENT_DECOMMISSIONED");
        }
    }
    // What ended agents hold is no reason to keep a partner.
    let delete = format!("DELETE /api/v1/partners/{partner}");
    assert_eq!(stage.send(&delete, &Value::Null).await.status, 204);
}
