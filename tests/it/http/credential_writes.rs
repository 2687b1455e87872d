//! Credentials over HTTP: who lists, makes, rotates and ends secrets, and what each request tells.

use serde_json::{Value, json};

use super::on_both;
use super::token::INVALID_CLIENT;
use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, Agent, REVOKED, TestApp, bearer};

on_both! {
    one_more_secret_opens_and_is_shown_once,
    a_rotation_ends_the_older_secrets_at_once_or_after_an_overlap,
    a_secret_too_many_is_a_conflict_that_names_what_would_have_to_end,
    an_ended_secret_is_refused_by_every_process_and_its_tokens_if_that_is_asked,
    an_agent_manages_its_own_secrets_with_any_token,
    a_caller_gives_secrets_only_to_agents_that_its_own_dominates,
    only_an_admin_scope_ends_a_secret_together_with_an_admins_tokens,
    a_list_has_pages_and_tells_of_ended_secrets_if_asked,
    a_dry_run_gives_no_secret_and_writes_nothing,
    a_version_that_the_request_does_not_name_is_not_changed,
    everything_that_is_wrong_with_a_secret_is_told_at_once,
    a_decommissioned_agent_has_no_live_secret,
}

async fn token(app: &TestApp<'_>, agent: &Agent) -> String {
    bearer(&app.token(agent).await)
}

/// The token of an agent that may manage all others.
async fn admin(app: &TestApp<'_>) -> String {
    let scopes = "agents:read agents:write admin:orgs";
    token(app, &app.agent_named("boss", scopes).await).await
}

/// Sends a line such as `POST a/credentials`.
async fn send(app: &TestApp<'_>, token: &str, line: &str, body: &Value) -> Answer {
    send_if(app, token, line, body, None).await
}

async fn send_if(
    app: &TestApp<'_>,
    token: &str,
    line: &str,
    body: &Value,
    if_match: Option<&str>,
) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    let mut headers = vec![
        ("authorization", token),
        ("content-type", "application/json"),
    ];
    headers.extend(if_match.map(|tag| ("if-match", tag)));
    let body = if body.is_null() {
        vec![]
    } else {
        body.to_string().into()
    };
    app.send(method, &format!("{AGENTS}/{path}"), &headers, body)
        .await
}

/// The ids of the credentials that a list shows.
async fn listed(app: &TestApp<'_>, token: &str, line: &str) -> Vec<String> {
    let list = send(app, token, line, &Value::Null).await;
    assert_eq!(list.status, 200, "{list:?}");
    let rows = list.json()["data"].as_array().unwrap().clone();
    let id = |row: &Value| row["credentialId"].as_str().unwrap().to_owned();
    rows.iter().map(id).collect()
}

async fn events(app: &TestApp<'_>) -> usize {
    let rows = app.opened.records.events(0, i64::MAX, 1_000).await;
    rows.unwrap().len()
}

async fn one_more_secret_opens_and_is_shown_once(app: &TestApp<'_>) {
    let (by, first) = (admin(app).await, app.agent_named("a", "agents:read").await);
    let body = json!({"label": "blue", "expiresAt": "2100-01-01T00:00:00Z"});
    let made = send(app, &by, "POST a/credentials", &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.is_not_kept();
    let id = made.text("credentialId");
    assert_eq!(
        made.header("location"),
        format!("{AGENTS}/a/credentials/{id}")
    );
    for (member, value) in [
        ("agentId", "a"),
        ("label", "blue"),
        ("kind", "secret"),
        ("createdBy", "agent:boss"),
        ("expiresAt", "2100-01-01T00:00:00Z"),
    ] {
        assert_eq!(made.text(member), value);
    }
    let second = first.with_secret(&made.text("clientSecret"));
    app.token(&first).await;
    app.token(&second).await;
    let list = send(app, &by, "GET a/credentials", &Value::Null).await;
    assert!(!list.body.contains(&second.secret), "{list:?}");
    assert_eq!(list.json()["data"][0]["credentialId"], json!(id));
    assert_eq!(list.json()["nextCursor"], Value::Null);
}

async fn a_rotation_ends_the_older_secrets_at_once_or_after_an_overlap(app: &TestApp<'_>) {
    let (by, first) = (admin(app).await, app.agent_named("a", "agents:read").await);
    let other = app.beside().await;
    let overlap = json!({"overlapSeconds": 60});
    let made = send(app, &by, "POST a/credentials/rotate", &overlap).await;
    assert_eq!(made.status, 201, "{made:?}");
    let second = first.with_secret(&made.text("clientSecret"));
    for agent in [&first, &second] {
        app.token(agent).await;
    }
    app.clock.advance(60);
    other.ask(&first, "").await.is(401, INVALID_CLIENT);
    let by = admin_again(app).await;
    let made = send(app, &by, "POST a/credentials/rotate", &Value::Null).await;
    assert_eq!(made.status, 201, "{made:?}");
    let third = first.with_secret(&made.text("clientSecret"));
    for app in [app, &other] {
        app.ask(&second, "").await.is(401, INVALID_CLIENT);
        app.token(&third).await;
    }
}

/// The same as [`admin`], under another id.
async fn admin_again(app: &TestApp<'_>) -> String {
    let scopes = "agents:read agents:write admin:orgs";
    token(app, &app.agent(scopes).await).await
}

async fn a_secret_too_many_is_a_conflict_that_names_what_would_have_to_end(app: &TestApp<'_>) {
    let by = admin(app).await;
    app.agent_named("a", "agents:read").await;
    let first = listed(app, &by, "GET a/credentials").await;
    let made = send(app, &by, "POST a/credentials", &Value::Null).await;
    assert_eq!(made.status, 201, "{made:?}");
    for (line, body) in [
        ("POST a/credentials", json!({})),
        ("POST a/credentials?dryRun=true", json!({})),
        ("POST a/credentials/rotate", json!({"overlapSeconds": 1})),
    ] {
        let full = send(app, &by, line, &body).await;
        full.is_management_error(409, "TOO_MANY_CREDENTIALS");
        assert_eq!(full.json()["details"]["credentials"], json!(first));
    }
    let rotated = send(app, &by, "POST a/credentials/rotate", &json!({})).await;
    assert_eq!(rotated.status, 201, "{rotated:?}");
    let left = listed(app, &by, "GET a/credentials").await;
    assert_eq!(left, [rotated.text("credentialId")]);
}

async fn an_ended_secret_is_refused_by_every_process_and_its_tokens_if_that_is_asked(
    app: &TestApp<'_>,
) {
    let (by, first) = (admin(app).await, app.agent_named("a", "tokens:read").await);
    let (other, checker) = (app.beside().await, app.agent("tokens:read").await);
    let alive = app.token(&first).await;
    let made = send(app, &by, "POST a/credentials", &Value::Null).await;
    let second = first.with_secret(&made.text("clientSecret"));
    other.token(&second).await;
    let line = format!("DELETE a/credentials/{}", made.text("credentialId"));
    let ended = send(app, &by, &line, &json!({"reason": "leaked"})).await;
    assert_eq!((ended.status, ended.body.as_str()), (204, ""));
    for app in [app, &other] {
        app.ask(&second, "").await.is(401, INVALID_CLIENT);
        assert!(app.is_active(&checker, &alive).await);
    }
    // One that has ended stays as it is, and the tokens die all the same if that is asked.
    let again = send(app, &by, &line, &Value::Null).await;
    assert_eq!(again.status, 204, "{again:?}");
    let killed = send(app, &by, &format!("{line}?revokeTokens=true"), &json!({})).await;
    assert_eq!(killed.status, 204, "{killed:?}");
    for app in [app, &other] {
        assert!(!app.is_active(&checker, &alive).await);
    }
    let list = app.get(REVOKED).await.json();
    assert_eq!(list["revoked_agents"].as_array().unwrap().len(), 1);
    for id in ["x", "018f3b6e-0000-7000-8000-000000000000"] {
        let line = format!("DELETE a/credentials/{id}");
        let missing = send(app, &by, &line, &Value::Null).await;
        missing.is_management_error(404, "CREDENTIAL_NOT_FOUND");
    }
}

async fn an_agent_manages_its_own_secrets_with_any_token(app: &TestApp<'_>) {
    let own = app.agent_named("a", "tokens:read").await;
    app.agent_named("b", "tokens:read").await;
    let by = token(app, &own).await;
    let first = listed(app, &by, "GET a/credentials").await;
    let made = send(app, &by, "POST a/credentials", &Value::Null).await;
    assert_eq!(made.status, 201, "{made:?}");
    let line = format!("DELETE a/credentials/{}?revokeTokens=true", first[0]);
    let ended = send(app, &by, &line, &Value::Null).await;
    assert_eq!(ended.status, 204, "{ended:?}");
    // That killed its own token as well.
    let rotate = "POST a/credentials/rotate";
    let dead = send(app, &by, rotate, &Value::Null).await;
    dead.is_management_error(401, "UNAUTHORIZED");
    let by = token(app, &own.with_secret(&made.text("clientSecret"))).await;
    let rotated = send(app, &by, rotate, &Value::Null).await;
    assert_eq!(rotated.status, 201, "{rotated:?}");
    for line in ["GET b/credentials", "POST b/credentials"] {
        let refused = send(app, &by, line, &Value::Null).await;
        refused.is_management_error(403, "FORBIDDEN");
    }
}

async fn a_caller_gives_secrets_only_to_agents_that_its_own_dominates(app: &TestApp<'_>) {
    let by = app.agent("agents:read agents:write tokens:read").await;
    let by = token(app, &by).await;
    app.agent_named("less", "tokens:read").await;
    app.agent_named("more", "audit:read").await;
    app.agent_named("elsewhere", "tokens:read").await;
    for sql in [
        "insert into org (org_id, name, created_at) values ('other', 'other', 0)",
        "update agent set org_id = 'other', version = version + 1 where agent_id = 'elsewhere'",
    ] {
        app.database.execute(sql).await;
    }
    let of_more = listed(app, &by, "GET more/credentials").await;
    for (id, status) in [("less", 201), ("more", 403), ("elsewhere", 404)] {
        for line in ["/credentials", "/credentials/rotate"] {
            let answer = send(app, &by, &format!("POST {id}{line}"), &Value::Null).await;
            assert_eq!(answer.status, status, "{id} {answer:?}");
        }
    }
    let line = format!("DELETE more/credentials/{}", of_more[0]);
    let refused = send(app, &by, &line, &Value::Null).await;
    refused.is_management_error(403, "FORBIDDEN");
    let hidden = send(app, &by, "GET elsewhere/credentials", &Value::Null).await;
    hidden.is_management_error(404, "AGENT_NOT_FOUND");
}

async fn only_an_admin_scope_ends_a_secret_together_with_an_admins_tokens(app: &TestApp<'_>) {
    let chief = app.agent_named("chief", "agents:write admin:orgs").await;
    let by = bearer(&app.token_with(&chief, "scope=agents:write").await);
    let admin = token(app, &chief).await;
    let first = listed(app, &by, "GET chief/credentials").await;
    let line = format!("DELETE chief/credentials/{}", first[0]);
    let kill = format!("{line}?revokeTokens=true");
    let refused = send(app, &by, &kill, &Value::Null).await;
    refused.is_management_error(403, "FORBIDDEN");
    let ended = send(app, &by, &line, &Value::Null).await;
    assert_eq!(ended.status, 204, "{ended:?}");
    let killed = send(app, &admin, &kill, &Value::Null).await;
    assert_eq!(killed.status, 204, "{killed:?}");
}

async fn a_list_has_pages_and_tells_of_ended_secrets_if_asked(app: &TestApp<'_>) {
    let by = admin(app).await;
    app.agent_named("a", "agents:read").await;
    app.agent_named("b", "agents:read").await;
    let mut all = listed(app, &by, "GET a/credentials").await;
    for _ in 0..4 {
        let made = send(app, &by, "POST a/credentials/rotate", &Value::Null).await;
        all.insert(0, made.text("credentialId"));
    }
    assert_eq!(listed(app, &by, "GET a/credentials").await, all[..1]);
    let (mut seen, mut at) = (vec![], String::new());
    for length in [2, 2, 1] {
        let line = format!("GET a/credentials?all=true&limit=2{at}");
        let ids = listed(app, &by, &line).await;
        assert_eq!(ids.len(), length);
        seen.extend(ids);
        let page = send(app, &by, &line, &Value::Null).await.json();
        let cursor = page["nextCursor"].as_str();
        at = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        for path in ["b/credentials?all=true", "a/credentials?all=false"] {
            let other = send(app, &by, &format!("GET {path}{at}"), &Value::Null).await;
            assert!(cursor.is_none() || other.status == 400, "{other:?}");
        }
    }
    assert_eq!((seen, at.as_str()), (all, ""));
}

async fn a_dry_run_gives_no_secret_and_writes_nothing(app: &TestApp<'_>) {
    let (by, first) = (admin(app).await, app.agent_named("a", "tokens:read").await);
    let before = listed(app, &by, "GET a/credentials").await;
    let count = events(app).await;
    for (line, status) in [
        ("POST a/credentials".to_owned(), 201),
        ("POST a/credentials/rotate".to_owned(), 201),
        (format!("DELETE a/credentials/{}", before[0]), 204),
    ] {
        let tried = send(app, &by, &format!("{line}?dryRun=true"), &Value::Null).await;
        assert_eq!(tried.status, status, "{tried:?}");
        assert_eq!(tried.header("dry-run"), "true");
        assert!(!tried.body.contains("clientSecret"), "{tried:?}");
    }
    assert_eq!(events(app).await, count);
    assert_eq!(listed(app, &by, "GET a/credentials").await, before);
    app.token(&first).await;
}

async fn a_version_that_the_request_does_not_name_is_not_changed(app: &TestApp<'_>) {
    let by = admin(app).await;
    app.agent_named("a", "tokens:read").await;
    let first = listed(app, &by, "GET a/credentials").await;
    let shown = app.get_as(&by, &format!("{AGENTS}/a")).await;
    let tag = shown.header("etag").to_owned();
    let delete = format!("DELETE a/credentials/{}", first[0]);
    for line in ["POST a/credentials", "POST a/credentials/rotate", &delete] {
        let stale = send_if(app, &by, line, &Value::Null, Some("\"1\"")).await;
        stale.is_management_error(412, "VERSION_MISMATCH");
    }
    let made = send_if(app, &by, "POST a/credentials", &json!({}), Some(&tag)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let stale = send_if(app, &by, &delete, &Value::Null, Some(&tag)).await;
    stale.is_management_error(412, "VERSION_MISMATCH");
}

async fn everything_that_is_wrong_with_a_secret_is_told_at_once(app: &TestApp<'_>) {
    let by = admin(app).await;
    app.agent_named("a", "tokens:read").await;
    let body = json!({"overlapSeconds": 2_592_001, "label": "", "expiresAt": "soon", "kind": "x"});
    let line = "POST a/credentials/rotate?all=true";
    let answer = send(app, &by, line, &body).await;
    answer.is_management_error(400, "VALIDATION_ERROR");
    let errors = answer.json()["details"]["errors"].clone();
    let fields: Vec<String> = errors
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap().to_owned())
        .collect();
    let expected = ["/overlapSeconds", "/label", "/expiresAt", "/kind", "all"];
    assert_eq!(fields, expected);
    let past = json!({"expiresAt": "1999-01-01T00:00:00Z"});
    let over = send(app, &by, "POST a/credentials", &past).await;
    over.is_management_error(400, "VALIDATION_ERROR");
    app.decommission(&app.agent_named("gone", "tokens:read").await)
        .await;
    let gone = send(app, &by, "POST gone/credentials", &Value::Null).await;
    gone.is_management_error(409, "AGENT_DECOMMISSIONED");
    let nobody = send(app, &by, "POST nobody/credentials", &Value::Null).await;
    nobody.is_management_error(404, "AGENT_NOT_FOUND");
}

async fn a_decommissioned_agent_has_no_live_secret(app: &TestApp<'_>) {
    let (by, _) = (admin(app).await, app.agent_named("a", "agents:read").await);
    assert_eq!(listed(app, &by, "GET a/credentials").await.len(), 1);
    let gone = send(app, &by, "DELETE a", &json!({})).await;
    assert_eq!(
        (gone.status, &gone.json()["credentials"]),
        (200, &json!([]))
    );
    let shown = send(app, &by, "GET a", &Value::Null).await;
    assert_eq!(shown.json()["credentials"], json!([]));
    assert!(listed(app, &by, "GET a/credentials").await.is_empty());
    // It ended with its agent.
    let all = send(app, &by, "GET a/credentials?all=true", &Value::Null).await;
    let ended = &all.json()["data"][0]["endedAt"];
    assert_eq!(ended, &shown.json()["updatedAt"]);
    assert!(ended.is_string());
}
