//! What holds for every write of the management API: methods, media types, bodies, conditions and
//! dry runs.

use serde_json::{Value, json};

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, TestApp, bearer};

on_both! {
    options_and_refused_methods_tell_the_methods_of_the_path,
    a_body_of_another_type_or_size_is_refused_before_the_caller_is_known,
    an_action_reads_no_body_as_an_empty_object,
    all_faults_of_query_and_body_are_told_at_once,
    a_change_is_made_only_to_the_version_that_the_request_names,
    a_dry_run_tells_what_would_be_and_writes_nothing,
}

const JSON: (&str, &str) = ("content-type", "application/json");

/// A token of an agent with these scopes.
async fn caller(app: &TestApp<'_>, scopes: &str) -> String {
    bearer(&app.token(&app.agent(scopes).await).await)
}

/// Suspends the agent `a`.
async fn suspend(
    app: &TestApp<'_>,
    token: &str,
    query: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let headers = [&[("authorization", token)], headers].concat();
    let path = format!("{AGENTS}/a/suspend{query}");
    app.send("POST", &path, &headers, body.into()).await
}

async fn state_of(app: &TestApp<'_>, token: &str) -> Value {
    app.get_as(token, &format!("{AGENTS}/a")).await.json()
}

async fn options_and_refused_methods_tell_the_methods_of_the_path(app: &TestApp<'_>) {
    for (path, allow) in [
        (
            format!("{AGENTS}/a"),
            "GET, HEAD, PUT, PATCH, DELETE, OPTIONS",
        ),
        (format!("{AGENTS}/a/suspend"), "POST, OPTIONS"),
        ("/api/v1/whoami".to_owned(), "GET, HEAD, OPTIONS"),
    ] {
        for headers in [&[][..], &[("authorization", "Bearer x")]] {
            let answer = app.send("OPTIONS", &path, headers, vec![]).await;
            assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{path}");
            assert_eq!(answer.header("allow"), allow, "{path}");
            answer.is_not_kept();
        }
        for method in ["TRACE", "PROPFIND"] {
            let answer = app.send(method, &path, &[], vec![]).await;
            answer.is_management_error(405, "METHOD_NOT_ALLOWED");
            assert_eq!(answer.header("allow"), allow, "{path}");
        }
    }
    // Nothing is there, whatever the method.
    let answer = app.send("OPTIONS", "/api/v1/nothing", &[], vec![]).await;
    answer.is_management_error(404, "NOT_FOUND");
}

async fn a_body_of_another_type_or_size_is_refused_before_the_caller_is_known(app: &TestApp<'_>) {
    let path = format!("{AGENTS}/a/suspend");
    for media_type in [
        "application/x-www-form-urlencoded",
        "text/json",
        "application/merge-patch+json",
        "application/jsonx",
    ] {
        let headers = [("content-type", media_type)];
        let answer = app.send("POST", &path, &headers, b"{}".into()).await;
        answer.is_management_error(415, "UNSUPPORTED_MEDIA_TYPE");
        assert_eq!(answer.header("accept-post"), "application/json");
    }
    let large = format!("{{\"reason\":\"{}\"}}", "x".repeat(65_536));
    let answer = app.send("POST", &path, &[JSON], large.into()).await;
    answer.is_management_error(413, "PAYLOAD_TOO_LARGE");
    let headers = [("content-type", "Application/JSON; charset=utf-8")];
    let answer = app.send("POST", &path, &headers, b"{".into()).await;
    answer.is_management_error(401, "UNAUTHORIZED");
}

async fn an_action_reads_no_body_as_an_empty_object(app: &TestApp<'_>) {
    app.agent_named("a", "agents:read").await;
    let token = caller(app, "agents:read agents:write").await;
    for (headers, body) in [
        (&[][..], ""),
        (&[JSON], ""),
        (&[("content-type", "text/plain")], ""),
        (&[JSON], " {} "),
        (&[JSON], r#"{"reason":null}"#),
    ] {
        let answer = suspend(app, &token, "", headers, body).await;
        assert_eq!(answer.status, 200, "{body}: {answer:?}");
        assert_eq!(answer.text("status"), "suspended");
    }
}

async fn all_faults_of_query_and_body_are_told_at_once(app: &TestApp<'_>) {
    app.agent_named("a", "agents:read").await;
    let token = caller(app, "agents:read agents:write").await;
    let before = state_of(app, &token).await;
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(32), "]".repeat(32));
    let has_both = json!([
        { "field": "dryRun", "reason": "must be true or false" },
        { "field": "/reason", "reason": "must be a text" },
        { "field": "/until", "reason": "is not known here" },
        { "field": "force", "reason": "is not known here" },
    ]);
    let whole = |reason: &str| json!([{ "field": "", "reason": reason }]);
    let of_reason = |reason: &str| json!([{ "field": "/reason", "reason": reason }]);
    for (query, body, errors) in [
        (
            "?dryRun=1&force",
            r#"{"reason":7,"until":"x"}"#.to_owned(),
            has_both,
        ),
        (
            "",
            r#"{"reason":"a","reason":"a"}"#.to_owned(),
            of_reason("is given more than once"),
        ),
        (
            "",
            r#"{"reason":"a\nb"}"#.to_owned(),
            of_reason("a reason is 1 to 200 characters without control characters"),
        ),
        ("", "[]".to_owned(), whole("must be a JSON object")),
        ("", "{\"reason\":\"a\"".to_owned(), whole("is not JSON")),
        ("", "{} {}".to_owned(), whole("is not JSON")),
        (
            "",
            deep,
            json!([
                { "field": "", "reason": "has more than 32 levels" },
                { "field": "/x", "reason": "is not known here" },
            ]),
        ),
        (
            "?dryRun=true&dryRun=true",
            String::new(),
            json!([{ "field": "dryRun", "reason": "is given more than once" }]),
        ),
        (
            "?%ff=1&dryRun=%zz",
            String::new(),
            json!([
                { "field": "", "reason": "is not valid form encoding" },
                { "field": "dryRun", "reason": "is not valid form encoding" },
            ]),
        ),
    ] {
        let answer = suspend(app, &token, query, &[JSON], &body).await;
        answer.is_management_error(400, "VALIDATION_ERROR");
        assert_eq!(answer.json()["details"]["errors"], errors, "{query} {body}");
    }
    assert_eq!(state_of(app, &token).await, before);
    let headers = [JSON, ("authorization", &token)];
    let path = format!("{AGENTS}/a/suspend");
    let answer = app.send("POST", &path, &headers, b"{\xff}".into()).await;
    answer.is_management_error(400, "VALIDATION_ERROR");
}

async fn a_change_is_made_only_to_the_version_that_the_request_names(app: &TestApp<'_>) {
    app.agent_named("a", "agents:read").await;
    let token = caller(app, "agents:read agents:write").await;
    let shown = app.get_as(&token, &format!("{AGENTS}/a")).await;
    let (etag, version) = (shown.header("etag"), shown.json()["version"].clone());
    assert_eq!(etag, format!("\"{version}\""));
    for wrong in ["\"1\"", "W/\"1\"", "x", "", "1", "\"1\", \"2\"", "*x"] {
        let answer = suspend(app, &token, "", &[("if-match", wrong)], "").await;
        answer.is_management_error(412, "VERSION_MISMATCH");
    }
    for name in ["*", etag] {
        let answer = suspend(app, &token, "", &[("if-none-match", name)], "").await;
        answer.is_management_error(412, "VERSION_MISMATCH");
    }
    assert_eq!(state_of(app, &token).await["version"], version);
    // Through a proxy that compresses.
    let weak = format!("\"1\", W/\"{version}-gzip\"");
    let answer = suspend(app, &token, "", &[("if-match", &weak)], "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let next = answer.json()["version"].clone();
    assert!(next.as_i64() > version.as_i64());
    assert_eq!(answer.header("etag"), format!("\"{next}\""));
    suspend(app, &token, "", &[("if-match", etag)], "")
        .await
        .is_management_error(412, "VERSION_MISMATCH");
    let answer = suspend(app, &token, "", &[("if-match", "*")], "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // What does not exist has no version.
    let headers = [("authorization", token.as_str()), ("if-match", "*")];
    for id in ["nobody", "no%20id"] {
        let path = format!("{AGENTS}/{id}/suspend");
        let answer = app.send("POST", &path, &headers, vec![]).await;
        answer.is_management_error(412, "VERSION_MISMATCH");
        let answer = app.send("POST", &path, &headers[..1], vec![]).await;
        answer.is_management_error(404, "AGENT_NOT_FOUND");
    }
}

async fn a_dry_run_tells_what_would_be_and_writes_nothing(app: &TestApp<'_>) {
    let agent = app.agent_named("a", "agents:read tokens:read").await;
    let live = app.token(&agent).await;
    let token = caller(app, "agents:read agents:write").await;
    let before = state_of(app, &token).await;
    let events = app.opened.records.newest_event().await.unwrap();
    let answer = suspend(app, &token, "?dryRun=true", &[], "").await;
    assert_eq!(
        (answer.status, answer.header("dry-run")),
        (200, "true"),
        "{answer:?}"
    );
    let would_be = answer.json();
    assert_eq!(would_be["status"], "suspended");
    assert!(would_be["version"].as_i64() > before["version"].as_i64());
    assert_eq!(state_of(app, &token).await, before);
    assert!(app.is_active(&agent, &live).await);
    let after = app.opened.records.events(0, i64::MAX, 1_000).await.unwrap();
    assert!(after.iter().all(|event| event.id <= events));
    // The rules of the commit hold for a dry run too.
    let stale = [("if-match", "\"1\"")];
    suspend(app, &token, "?dryRun=true", &stale, "")
        .await
        .is_management_error(412, "VERSION_MISMATCH");
    let admin = caller(app, "agents:write admin:orgs").await;
    app.decommission(&agent).await;
    for action in ["suspend", "reactivate"] {
        let path = format!("{AGENTS}/a/{action}?dryRun=true");
        let answer = app
            .send("POST", &path, &[("authorization", &admin)], vec![])
            .await;
        answer.is_management_error(409, "AGENT_DECOMMISSIONED");
        assert_eq!(answer.header("dry-run"), "");
    }
    let answer = suspend(app, &token, "?dryRun=false", &[], "").await;
    answer.is_management_error(409, "AGENT_DECOMMISSIONED");
}
