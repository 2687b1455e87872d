//! The events of what requests change: who asked, from where, and by which request.

use sealwright::testing::domain::event::request::RequestRef;
use sealwright::testing::service::manage::import::{Imported, Row};
use serde_json::Value;

use super::airisk::{CALLBACK, agent_for, code, exchange_at};
use super::on_both;
use crate::harness::app::{Agent, REVOKE, TOKEN, TestApp};

on_both! {
    an_event_tells_the_client_as_precisely_as_it_may,
    a_kill_by_a_code_tells_who_brought_the_code_again,
    a_new_hash_tells_the_login_that_made_it,
    no_row_of_an_event_holds_a_secret,
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
    assert_eq!(event["requestId"], second.header("x-request-id"));
    assert_eq!(event["source"], "127.0.0.0/24");
}

/// The test vector of the bcrypt library's documentation: "U*U" at cost 5.
const BCRYPT: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

async fn imported(app: &TestApp<'_>) -> Agent {
    let row = Row {
        client_id: "abc123".to_owned(),
        secret_hash: Some(BCRYPT.to_owned()),
        scopes: vec!["agents:read".to_owned()],
        ..Row::default()
    };
    let verdicts = app.agents().import(&[row], &app.opened.operator()).await;
    assert_eq!(verdicts.unwrap(), [Ok(Imported::Made)]);
    Agent {
        id: "abc123".to_owned(),
        secret: "U*U".to_owned(),
    }
}

async fn a_new_hash_tells_the_login_that_made_it(app: &TestApp<'_>) {
    let agent = imported(app).await;
    let body = format!("grant_type=client_credentials&{}", agent.form());
    let answer = app.post(TOKEN, &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let event = events(app, "credential.rehashed").await.pop().unwrap();
    assert_eq!(event["actor"], "agent:abc123");
    assert_eq!(event["requestId"], answer.header("x-request-id"));
    assert_eq!(event["source"], "127.0.0.0/24");
    let made = events(app, "agent.created").await.pop().unwrap();
    assert_eq!(event["credentialId"], made["credentialId"], "{event}");
    assert_eq!(event["detail"], serde_json::json!({ "kind": "secret" }));
}

async fn no_row_of_an_event_holds_a_secret(app: &TestApp<'_>) {
    let first = agent_for(app, "agents:read", &[]).await;
    let second = app.rotate(&first, 60).await;
    let imported = imported(app).await;
    let token = app.token(&imported).await;
    app.revoke(&imported, &token).await.is(200, "{}");
    let code = code(app, &second).await;
    for _ in 0..2 {
        exchange_at(app, &second, &code, CALLBACK, "").await;
    }
    app.suspend(&second).await;
    let kinds = "select distinct kind from audit_event";
    assert!(app.database.texts(kinds).await.len() >= 7);
    let texts = "select concat_ws(' ', actor, detail, data, reason) from audit_event";
    let rows = app.database.texts(texts).await.join("\n");
    let hashes = app.database.texts("select hash from credential").await;
    let tags = "select tag from credential where tag is not null";
    let tags = app.database.texts(tags).await;
    assert!(hashes.len() >= 3 && tags.len() >= 2);
    let known = [&first.secret, &second.secret, &code, &token];
    let known = known.into_iter().chain(&hashes).chain(&tags);
    for secret in known.map(String::as_str).chain([BCRYPT]) {
        let last = secret.rsplit(['$', '.']).next().unwrap();
        assert!(last.len() >= 8 && !rows.contains(last), "{rows}");
    }
}
