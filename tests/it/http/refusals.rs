//! Counts of refused requests: kept in memory, recorded as events.

use serde_json::{Value, json};

use super::on_both;
use crate::harness::app::{INTROSPECT, TestApp};

on_both! {
    refused_requests_are_counted_and_recorded_once,
    counts_that_cannot_be_recorded_are_kept,
}

/// The counts of all `auth.refused` events, and how many events there are.
async fn recorded(app: &TestApp<'_>) -> (usize, Vec<Value>) {
    let rows = app.opened.records.events(0, i64::MAX, 1_000).await.unwrap();
    let events: Vec<Value> = rows
        .iter()
        .map(|row| serde_json::from_slice(&row.logged().unwrap().bytes()).unwrap())
        .filter(|event: &Value| event["kind"] == "auth.refused")
        .collect();
    let mut counts = Vec::new();
    for event in &events {
        assert_eq!(event["actor"], "system");
        assert!(event["detail"]["from"].as_str() <= event["detail"]["to"].as_str());
        counts.extend(event["detail"]["counts"].as_array().unwrap().clone());
    }
    (events.len(), counts)
}

async fn refused_requests_are_counted_and_recorded_once(app: &TestApp<'_>) {
    let agent = app.agent_named("agt_1", "tokens:read").await;
    let stopped = app.agent_named("agt_2", "tokens:read").await;
    let made_up = app.agent_named("agt_3", "tokens:read").await;
    app.suspend(&stopped).await;
    for _ in 0..3 {
        app.ask(&agent.with_secret("none of its secrets"), "").await;
    }
    let mut unknown = made_up.with_secret("none of its secrets");
    for id in ["nobody-1", "nobody-2"] {
        unknown.id = id.to_owned();
        app.ask(&unknown, "").await;
    }
    app.ask(&agent, "scope=db:write").await;
    app.ask(&stopped, "").await;
    app.post(INTROSPECT, "token=x").await;
    assert_eq!(app.ask(&agent, "").await.status, 200);
    let before = app.opened.records.newest_event().await.unwrap();
    assert_eq!(
        recorded(app).await.0,
        0,
        "a refusal wrote on its own request"
    );
    app.state.refusals.write().await.unwrap();
    let (events, counts) = recorded(app).await;
    let source = "127.0.0.0/24";
    assert_eq!(
        counts,
        [
            json!({ "reason": "unknown_client", "source": source, "count": 2 }),
            json!({ "reason": "no_credentials", "source": source, "count": 1 }),
            json!({ "agentId": "agt_1", "reason": "wrong_secret", "source": source, "count": 3 }),
            json!({ "agentId": "agt_1", "reason": "scope", "source": source, "count": 1 }),
            json!({ "agentId": "agt_2", "reason": "suspended", "source": source, "count": 1 }),
        ]
    );
    assert_eq!(events, 1);
    app.state.refusals.write().await.unwrap();
    let newest = app.opened.records.newest_event().await.unwrap();
    assert_eq!(newest, before + 1, "the same counts were recorded again");
}

async fn counts_that_cannot_be_recorded_are_kept(app: &TestApp<'_>) {
    app.post(INTROSPECT, "token=x").await;
    app.database
        .execute("alter table audit_event rename to away")
        .await;
    app.state.refusals.write().await.unwrap_err();
    app.database
        .execute("alter table away rename to audit_event")
        .await;
    app.post(INTROSPECT, "token=x").await;
    app.state.refusals.write().await.unwrap();
    let (_, counts) = recorded(app).await;
    assert_eq!(counts.len(), 1, "{counts:?}");
    assert_eq!(counts[0]["count"], 2);
}
