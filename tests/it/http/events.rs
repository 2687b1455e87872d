//! The events of what requests change: who asked, from where, and by which request.

use sealwright::testing::domain::event::request::RequestRef;
use serde_json::Value;

use super::airisk::{CALLBACK, agent_for, code, exchange_at};
use super::on_both;
use crate::harness::app::{REVOKE, TestApp};

on_both! {
    an_event_tells_the_client_as_precisely_as_it_may,
    a_kill_by_a_code_tells_who_brought_the_code_again,
}

/// The events of this kind, oldest first.
async fn events(app: &TestApp<'_>, kind: &str) -> Vec<Value> {
    let rows = app.opened.records.events(0, i64::MAX, 1_000).await.unwrap();
    rows.iter()
        .map(|row| serde_json::from_slice(&row.logged().unwrap().bytes()).unwrap())
        .filter(|event: &Value| event["kind"] == kind)
        .collect()
}

async fn an_event_tells_the_client_as_precisely_as_it_may(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    for (precision, source) in [
        ("prefix", Some("127.0.0.0/24")),
        ("full", Some("127.0.0.1")),
        ("none", None),
    ] {
        let app = app.beside_with(&[("audit.source", precision)]).await;
        let form = "application/x-www-form-urlencoded";
        let basic = agent.basic();
        for sent in [None, Some("order-66")] {
            let mut headers = vec![("authorization", basic.as_str()), ("content-type", form)];
            headers.extend(sent.map(|id| ("x-request-id", id)));
            let token = format!("token={}", app.token(&agent).await);
            let answer = app.send("POST", REVOKE, &headers, token.into()).await;
            answer.is(200, "{}");
            let event = events(&app, "token.revoked").await.pop().unwrap();
            assert_eq!(event["actor"], format!("agent:{}", agent.id));
            assert_eq!(event["source"].as_str(), source, "{event}");
            let id = answer.header("x-request-id");
            let told = match sent {
                None => id.to_owned(),
                Some(text) => RequestRef::of_client(text).to_string(),
            };
            assert_eq!(event["requestId"], told, "{event}");
            assert!(event["credentialId"].is_string(), "{event}");
        }
    }
}

/// RFC 6749 §4.1.2, in the commit that finds the code spent.
async fn a_kill_by_a_code_tells_who_brought_the_code_again(app: &TestApp<'_>) {
    let agent = agent_for(app, "agents:read", &[]).await;
    let code = code(app, &agent).await;
    let first = exchange_at(app, &agent, &code, CALLBACK, "").await;
    assert_eq!(first.status, 200, "{first:?}");
    let second = exchange_at(app, &agent, &code, CALLBACK, "").await;
    assert_ne!(second.status, 200, "{second:?}");
    let event = events(app, "token.revoked").await.pop().unwrap();
    assert_eq!(event["actor"], format!("agent:{}", agent.id));
    let made = events(app, "agent.created").await.pop().unwrap();
    assert_eq!(event["credentialId"], made["credentialId"], "{event}");
}
