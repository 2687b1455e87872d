//! What stands in the way of an agent that proved itself, and where a partner's token opens nothing.

use serde_json::{Value, json};

use super::platform::{CLUSTER, Stage, account, run};
use crate::harness::app::{AGENTS, INTROSPECT, REVOKE, bearer, claims};
use crate::http::airisk::{CALLBACK, agent_for, code, exchange_at};
use crate::http::token::{INVALID_CLIENT, SUSPENDED};

with_platform! {
    an_ended_credential_and_a_suspended_organization_open_nothing,
    a_partners_token_is_none_of_this_servers,
    a_code_opens_no_scope_that_needs_another_proof,
    the_events_of_a_credential_name_its_partner_and_subject,
}

async fn an_ended_credential_and_a_suspended_organization_open_nothing(stage: &Stage<'_>) {
    let app = &stage.app;
    let org = json!({ "orgId": "acme", "name": "Acme" });
    assert_eq!(stage.send("POST /api/v1/orgs", &org).await.status, 201);
    let member =
        json!({ "agentId": "member", "orgId": "acme", "name": "n", "scopes": ["agents:read"] });
    let made = stage.send(&format!("POST {AGENTS}"), &member).await;
    assert_eq!(made.status, 201, "{made:?}");
    let issuer = json!({ "issuer": CLUSTER });
    let partner = stage.partner("kubernetes", &issuer).await;
    let mut terms = account(&partner);
    terms["expiresAt"] = json!(app.clock.now().saturating_add(100).to_rfc3339());
    stage.trust("member", terms).await;
    let token = stage.platform.sign(&stage.of_cluster());
    assert_eq!(stage.ask_patiently("member", &token).await.status, 200);
    for (action, status) in [("suspend", 403), ("reactivate", 200)] {
        let line = format!("POST /api/v1/orgs/acme/{action}");
        assert_eq!(stage.send(&line, &Value::Null).await.status, 200);
        let got = stage.ask("member", &token, "").await;
        assert_eq!(got.status, status, "{got:?}");
        if status == 403 {
            got.is(403, SUSPENDED);
        }
    }
    app.clock.advance(99);
    assert_eq!(stage.ask("member", &token, "").await.status, 200);
    app.clock.advance(1);
    stage
        .ask("member", &token, "")
        .await
        .is(401, INVALID_CLIENT);
}

async fn a_partners_token_is_none_of_this_servers(stage: &Stage<'_>) {
    let issuer = json!({ "issuer": CLUSTER });
    let partner = stage.partner("kubernetes", &issuer).await;
    // Where a secret opens `tokens:read`.
    let app = stage.app.beside().await;
    let reader = app.agent_named("reader", "tokens:read").await;
    stage.trust("reader", account(&partner)).await;
    let token = stage.platform.sign(&stage.of_cluster());
    assert_eq!(stage.ask_patiently("reader", &token).await.status, 200);
    let form = format!("token={token}&{}", reader.form());
    let told = app.post(INTROSPECT, &form).await;
    assert_eq!(
        (told.status, told.json()),
        (200, json!({ "active": false }))
    );
    let revoked = app.post(REVOKE, &form).await;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    // Nothing was written, and the token goes on to prove its agent.
    let rows = "select count(*) from revoked_token";
    assert_eq!(app.database.number(rows).await, 0);
    assert_eq!(stage.ask("reader", &token, "").await.status, 200);
}

async fn a_code_opens_no_scope_that_needs_another_proof(stage: &Stage<'_>) {
    let app = &stage.app;
    app.add_scope("pay:send").await;
    let agent = agent_for(app, "agents:read pay:send", &["user_42"]).await;
    let got = exchange_at(app, &agent, &code(app, &agent).await, CALLBACK, "").await;
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(claims(&got.text("access_token"))["scope"], "agents:read");
    let only = agent_for(app, "pay:send", &["user_42"]).await;
    let refused = exchange_at(app, &only, &code(app, &only).await, CALLBACK, "").await;
    assert_ne!(refused.status, 200, "{refused:?}");
}

async fn the_events_of_a_credential_name_its_partner_and_subject(stage: &Stage<'_>) {
    let app = &stage.app;
    app.agent_named("reports", "agents:read").await;
    let issuer = json!({ "issuer": CLUSTER });
    let partner = stage.partner("kubernetes", &issuer).await;
    let credential = stage.trust("reports", account(&partner)).await;
    let line = format!("DELETE {AGENTS}/reports/credentials/{credential}");
    let admin = bearer(&app.token(&stage.boss).await);
    assert_eq!(stage.send_as(&admin, &line, &Value::Null).await.status, 204);
    let line = "GET /api/v1/audit?agentId=reports&kind=credential.*";
    let rows = stage.send(line, &Value::Null).await.json()["data"].clone();
    let expected = json!({
        "kind": "federated", "partnerId": partner, "subject": account("")["subject"],
    });
    let rows = rows.as_array().unwrap().iter();
    let told: Vec<(&Value, &Value)> = rows
        .map(|row| (&row["event"]["kind"], &row["event"]["detail"]))
        .collect();
    let kinds = [json!("credential.ended"), json!("credential.created")];
    assert_eq!(told, [(&kinds[0], &expected), (&kinds[1], &expected)]);
}
