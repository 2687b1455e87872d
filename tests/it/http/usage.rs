//! `GET /api/v1/agents/{id}/usage`.

use serde_json::{Value, json};

use super::on_both;
use crate::harness::app::{TestApp, bearer};
use crate::journal::kit::{ledger, log_all};

on_both! {
    usage_tells_days_scopes_and_what_is_left,
    usage_is_for_who_may_read_agents_and_for_the_agent_itself,
    days_that_cannot_be_are_named,
}

fn path(id: &str) -> String {
    format!("/api/v1/agents/{id}/usage")
}

async fn usage_tells_days_scopes_and_what_is_left(app: &TestApp<'_>) {
    let reader = app.agent_named("reader", "agents:read").await;
    let agent = app.agent_named("agt_1", "tokens:read audit:read").await;
    let token = app.token(&reader).await;
    app.token_with(&agent, "scope=tokens:read").await;
    app.ask(&agent, "scope=db:write").await;
    app.state.refusals.write().await.unwrap();
    log_all(app, &mut ledger(app)).await;
    let now = app.clock.now();
    let answer = app.get_as(&bearer(&token), &path("agt_1")).await;
    assert_eq!(answer.status, 200);
    let told: Value = answer.json();
    let minute = told["lastUsedAt"].as_str().unwrap().to_owned();
    assert!(minute.ends_with(":00Z"), "{minute}");
    let day = &now.to_rfc3339()[..10];
    assert_eq!(
        told,
        json!({
            "month": now.month().to_string(), "issued": 1, "limit": 10_000, "remaining": 9_999,
            "resetsAt": now.month().resets_at().to_rfc3339(),
            "days": [{ "day": day, "issued": 1, "refused": { "scope": 1 } }],
            "scopes": [{ "scope": "tokens:read", "lastUsedAt": minute }],
            "unusedScopes": ["audit:read"],
            "lastUsedAt": minute,
        })
    );
    let query = format!("{}?from=2020-01-01&to=2020-01-31", path("agt_1"));
    let told: Value = app.get_as(&bearer(&token), &query).await.json();
    assert_eq!(told["days"], json!([]));
}

async fn usage_is_for_who_may_read_agents_and_for_the_agent_itself(app: &TestApp<'_>) {
    let reader = app.agent_named("reader", "agents:read").await;
    let agent = app.agent_named("agt_1", "tokens:read").await;
    let (reads, own) = (app.token(&reader).await, app.token(&agent).await);
    for (token, id, status) in [
        (&reads, "agt_1", 200),
        (&own, "agt_1", 200),
        (&own, "reader", 403),
        (&reads, "nobody", 404),
        (&reads, "no%20id", 404),
    ] {
        let answer = app.get_as(&bearer(token), &path(id)).await;
        assert_eq!(answer.status, status, "{id}");
    }
    assert_eq!(app.get(&path("agt_1")).await.status, 401);
}

async fn days_that_cannot_be_are_named(app: &TestApp<'_>) {
    let reader = app.agent_named("reader", "agents:read").await;
    let token = app.token(&reader).await;
    for (query, fields) in [
        ("from=yesterday", vec!["from"]),
        ("from=2026-02-30&to=x", vec!["from", "to"]),
        ("from=2026-02-02&to=2026-02-01", vec!["to"]),
        ("days=3", vec!["days"]),
        ("to=2026-02-01&to=2026-02-01", vec!["to"]),
    ] {
        let answer = app
            .get_as(&bearer(&token), &format!("{}?{query}", path("reader")))
            .await;
        assert_eq!(answer.status, 400, "{query}");
        let told: Value = answer.json();
        let named: Vec<&str> = told["details"]["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["field"].as_str().unwrap())
            .collect();
        assert_eq!(named, fields, "{query}");
    }
}
