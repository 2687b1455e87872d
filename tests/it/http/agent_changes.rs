//! Actions on an agent over HTTP: suspend, reactivate, decommission and revoke-tokens.

use serde_json::Value;

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, REVOKED, TestApp, bearer};

on_both! {
    an_agent_is_suspended_and_reactivated_and_the_events_tell_who_and_why,
    a_kill_is_in_force_and_on_the_list_when_the_reply_comes,
    a_decommissioned_agent_stays_so_and_its_id_is_not_free,
    asking_for_the_state_that_it_is_in_changes_nothing,
    without_an_admin_scope_a_caller_gives_nothing_back,
    only_agents_write_changes_agents,
}

/// A token of an agent with these scopes.
async fn caller(app: &TestApp<'_>, id: &str, scopes: &str) -> String {
    bearer(&app.token(&app.agent_named(id, scopes).await).await)
}

async fn act(app: &TestApp<'_>, token: &str, what: &str, body: &str) -> Answer {
    let (method, path) = match what {
        "DELETE" => ("DELETE", format!("{AGENTS}/a")),
        action => ("POST", format!("{AGENTS}/a/{action}")),
    };
    let headers = [
        ("authorization", token),
        ("content-type", "application/json"),
    ];
    app.send(method, &path, &headers, body.into()).await
}

/// The events of this agent, oldest first.
async fn events(app: &TestApp<'_>) -> Vec<Value> {
    let rows = app.opened.records.events(0, i64::MAX, 1_000).await.unwrap();
    rows.iter()
        .map(|row| serde_json::from_slice(&row.logged().unwrap().bytes()).unwrap())
        .filter(|event: &Value| event["agentId"] == "a" && event["kind"] != "token.issued")
        .collect()
}

async fn an_agent_is_suspended_and_reactivated_and_the_events_tell_who_and_why(app: &TestApp<'_>) {
    app.agent_named("a", "agents:read").await;
    let admin = caller(app, "boss", "agents:write admin:orgs").await;
    let suspended = act(app, &admin, "suspend", r#"{"reason":"leaked: INC-7"}"#).await;
    assert_eq!(suspended.status, 200, "{suspended:?}");
    assert_eq!(suspended.text("status"), "suspended");
    suspended.is_not_kept();
    let event = events(app).await.pop().unwrap();
    assert_eq!(event["kind"], "agent.suspended");
    assert_eq!(event["actor"], "agent:boss");
    assert_eq!(event["reason"], "leaked: INC-7");
    assert_eq!(event["requestId"], suspended.header("x-request-id"));
    assert_eq!(event["source"], "127.0.0.0/24");
    let active = act(app, &admin, "reactivate", "").await;
    assert_eq!(
        (active.status, active.text("status").as_str()),
        (200, "active")
    );
    assert_eq!(active.json()["revocationVersion"], Value::Null);
    let event = events(app).await.pop().unwrap();
    assert_eq!(event["kind"], "agent.reactivated");
    assert_eq!(event["reason"], Value::Null);
}

async fn a_kill_is_in_force_and_on_the_list_when_the_reply_comes(app: &TestApp<'_>) {
    let agent = app.agent_named("a", "tokens:read").await;
    let admin = caller(app, "boss", "agents:write admin:orgs tokens:read").await;
    let other = app.beside().await;
    let checker = app.agent("tokens:read").await;
    for what in ["revoke-tokens", "suspend", "DELETE"] {
        let live = app.token(&agent).await;
        let answer = act(app, &admin, what, "").await;
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        let list = app.get(REVOKED).await.json();
        assert_eq!(answer.json()["revocationVersion"], list["version"]);
        assert_eq!(list["revoked_agents"].as_array().unwrap().len(), 1);
        assert!(!other.is_active(&checker, &live).await, "{what}");
        if what == "suspend" {
            app.reactivate(&agent).await;
        }
    }
}

async fn a_decommissioned_agent_stays_so_and_its_id_is_not_free(app: &TestApp<'_>) {
    app.agent_named("a", "agents:read").await;
    let admin = caller(app, "boss", "agents:write admin:orgs agents:read").await;
    let gone = act(app, &admin, "DELETE", r#"{"reason":"retired"}"#).await;
    assert_eq!(
        (gone.status, gone.text("status").as_str()),
        (200, "decommissioned")
    );
    assert_eq!(events(app).await.pop().unwrap()["reason"], "retired");
    for action in ["suspend", "reactivate"] {
        act(app, &admin, action, "")
            .await
            .is_management_error(409, "AGENT_DECOMMISSIONED");
    }
    let again = act(app, &admin, "decommission", "").await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.json()["version"], gone.json()["version"]);
    let shown = app.get_as(&admin, &format!("{AGENTS}/a")).await;
    assert_eq!(shown.text("status"), "decommissioned");
}

async fn asking_for_the_state_that_it_is_in_changes_nothing(app: &TestApp<'_>) {
    app.agent_named("a", "agents:read").await;
    let admin = caller(app, "boss", "agents:write admin:orgs").await;
    let first = act(app, &admin, "suspend", "").await;
    let count = events(app).await.len();
    let second = act(app, &admin, "suspend", "").await;
    assert_eq!(second.status, 200, "{second:?}");
    assert_eq!(second.header("etag"), first.header("etag"));
    assert_eq!(second.json()["revocationVersion"], Value::Null);
    assert_eq!(events(app).await.len(), count);
}

async fn without_an_admin_scope_a_caller_gives_nothing_back(app: &TestApp<'_>) {
    app.agent_named("a", "agents:read").await;
    app.agent_named("chief", "admin:orgs").await;
    let token = caller(app, "b", "agents:write").await;
    for what in ["reactivate", "decommission", "DELETE"] {
        act(app, &token, what, "")
            .await
            .is_management_error(403, "FORBIDDEN");
    }
    // A kill gives nothing, but only an admin scope kills an agent that holds one.
    for action in ["revoke-tokens", "suspend"] {
        let answer = act(app, &token, action, "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let path = format!("{AGENTS}/chief/{action}");
        let answer = app
            .send("POST", &path, &[("authorization", &token)], vec![])
            .await;
        answer.is_management_error(403, "FORBIDDEN");
    }
}

async fn only_agents_write_changes_agents(app: &TestApp<'_>) {
    app.agent_named("a", "agents:read").await;
    let token = caller(app, "b", "agents:read admin:orgs tokens:read audit:read").await;
    let count = events(app).await.len();
    for what in [
        "suspend",
        "reactivate",
        "decommission",
        "revoke-tokens",
        "DELETE",
    ] {
        let answer = act(app, &token, what, r#"{"nonsense":1}"#).await;
        answer.is_management_error(403, "FORBIDDEN");
        assert!(answer.header("www-authenticate").contains("agents:write"));
        act(app, "Bearer x", what, "")
            .await
            .is_management_error(401, "UNAUTHORIZED");
    }
    assert_eq!(events(app).await.len(), count);
}
