//! The log line of each request: which agent authenticated, and why the request was refused.

use serde_json::{Value, json};

use super::on_both;
use super::secrecy::Log;
use crate::harness::app::{AGENTS, INTROSPECT, REVOKE, TestApp, bearer};

on_both! {
    a_requests_line_names_the_agent_that_proved_itself_and_the_reason_of_a_refusal,
}

async fn a_requests_line_names_the_agent_that_proved_itself_and_the_reason_of_a_refusal(
    app: &TestApp<'_>,
) {
    let (log, _guard) = Log::here();
    let app = &app.beside_with(&[("log.requests", "true")]).await;
    let agent = app.agent_named("agt_1", "tokens:read").await;
    let stopped = app.agent_named("agt_2", "tokens:read").await;
    let narrow = app.agent_named("agt_3", "audit:read").await;
    app.suspend(&stopped).await;
    let (token, its) = (app.token(&agent).await, app.token(&narrow).await);
    app.ask(&agent, "scope=db:write").await;
    app.ask(&agent.with_secret("not the secret of this agent"), "")
        .await;
    app.ask(&stopped, "").await;
    app.ask(&agent, "scope=a++b").await;
    app.post_as(&agent.basic(), INTROSPECT, "token=x").await;
    app.get_as(&bearer(&token), AGENTS).await;
    app.post(INTROSPECT, "token=x").await;
    app.post_as(&bearer(&token), REVOKE, &format!("token={token}"))
        .await;
    app.post_as(&bearer(&its), INTROSPECT, "token=x").await;
    app.get_as(&bearer(&its), "/forward-auth?scope=db:write")
        .await;
    app.get_as(&bearer(&its), "/forward-auth?audience=other")
        .await;
    app.get_as(&bearer("x"), "/forward-auth").await;
    app.get("/oauth/authorize").await;
    app.get("/nothing").await;
    let lines: Vec<Value> = log
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<(Value, Value)> = lines
        .iter()
        .filter(|line| line["target"] == "sealwright::request")
        .map(|line| {
            (
                line["fields"]["agent"].clone(),
                line["fields"]["reason"].clone(),
            )
        })
        .collect();
    let (agt, narrow, none) = (json!("agt_1"), json!("agt_3"), Value::Null);
    let expected = [
        (agt.clone(), none.clone()),
        (narrow.clone(), none.clone()),
        (agt.clone(), json!("scope")),
        (none.clone(), json!("wrong_secret")),
        (json!("agt_2"), json!("suspended")),
        (none.clone(), json!("malformed")),
        (agt.clone(), none.clone()),
        (agt.clone(), json!("scope")),
        (none.clone(), json!("no_credentials")),
        (agt, none.clone()),
        (narrow.clone(), json!("scope")),
        (narrow.clone(), json!("scope")),
        (narrow, json!("no_credentials")),
        (none.clone(), json!("no_credentials")),
        (none.clone(), json!("malformed")),
        (none, json!("not_found")),
    ];
    assert_eq!(told, expected);
}
