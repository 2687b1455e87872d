//! Making, replacing and patching agents over HTTP.

use serde_json::{Value, json};

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, Agent, TestApp, bearer};

on_both! {
    an_agent_is_made_with_a_secret_that_opens_what_it_was_given,
    everything_that_is_wrong_with_a_new_agent_is_told_at_once,
    a_taken_id_is_a_conflict_and_a_dry_run_makes_nothing,
    put_makes_an_agent_and_then_replaces_all_that_was_decided,
    a_patch_changes_what_it_names_and_null_goes_back_to_the_default,
    a_change_that_changes_nothing_leaves_the_version_and_no_event,
    of_two_patches_of_one_version_one_is_refused,
    less_for_live_tokens_is_warned_of_or_kills_them,
}

/// The token of an agent that may manage all others.
async fn admin(app: &TestApp<'_>) -> String {
    let scopes = "agents:read agents:write admin:orgs tokens:read audit:read";
    bearer(&app.token(&app.agent_named("boss", scopes).await).await)
}

async fn send(app: &TestApp<'_>, token: &str, line: &str, body: &Value, tag: &str) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    let media_type = if method == "PATCH" {
        "application/merge-patch+json"
    } else {
        "application/json"
    };
    let mut headers = vec![("authorization", token), ("content-type", media_type)];
    if let Some((name, value)) = tag.split_once(' ') {
        headers.push((name, value));
    }
    let path = format!("{AGENTS}{path}");
    app.send(method, &path, &headers, body.to_string().into())
        .await
}

/// The kinds of this agent's events, oldest first.
async fn kinds(app: &TestApp<'_>, id: &str) -> Vec<String> {
    let rows = app.opened.records.events(0, i64::MAX, 1_000).await.unwrap();
    rows.iter()
        .map(|row| serde_json::from_slice(&row.logged().unwrap().bytes()).unwrap())
        .filter(|event: &Value| event["agentId"] == id)
        .map(|event| event["kind"].as_str().unwrap().to_owned())
        .filter(|kind| kind != "token.issued")
        .collect()
}

async fn an_agent_is_made_with_a_secret_that_opens_what_it_was_given(app: &TestApp<'_>) {
    let token = admin(app).await;
    let body = json!({
        "name": "Night watch", "scopes": ["tokens:read", "agents:read"], "ttl": 300, "plan": "unlimited",
        "audiences": ["https://a.example"], "redirectUris": ["https://a.example/cb"], "userIds": ["u1"],
        "owner": "ops", "description": "Watches", "labels": {"team": "a"},
        "expiresAt": "2026-01-01T00:00:00Z",
    });
    let made = send(app, &token, "POST ", &body, "").await;
    assert_eq!(made.status, 201, "{made:?}");
    made.is_not_kept();
    let (shown, id) = (made.json(), made.text("agentId"));
    assert_eq!(made.header("location"), format!("{AGENTS}/{id}"));
    assert_eq!(made.header("etag"), format!("\"{}\"", shown["version"]));
    for (name, value) in body.as_object().unwrap() {
        assert_eq!(&shown[name], value, "{name}");
    }
    assert_eq!(
        (&shown["status"], &shown["orgId"]),
        (&json!("active"), &json!("default"))
    );
    assert_eq!(
        shown["credentialId"],
        shown["credentials"][0]["credentialId"]
    );
    assert_eq!(kinds(app, &id).await, ["agent.created"]);
    let agent = Agent {
        id: id.clone(),
        secret: made.text("clientSecret"),
    };
    let issued = app.ask(&agent, "").await;
    assert_eq!(issued.json()["expires_in"], 300, "{issued:?}");
    // The secret is shown once.
    let read = app.get_as(&token, &format!("{AGENTS}/{id}")).await;
    assert!(!read.body.contains(&agent.secret), "{read:?}");
    assert_eq!(read.header("etag"), made.header("etag"));
}

async fn everything_that_is_wrong_with_a_new_agent_is_told_at_once(app: &TestApp<'_>) {
    let token = admin(app).await;
    let body = json!({
        "scopes": ["agents:read", "a b", "agents:read", 7], "ttl": 299, "plan": "", "labels": {"a b": "c"},
        "redirectUris": ["http://a.example"], "orgId": "an org", "secret": "x", "status": "suspended",
    });
    let answer = send(app, &token, "POST ?force=true", &body, "").await;
    answer.is_management_error(400, "VALIDATION_ERROR");
    let errors = answer.json()["details"]["errors"].clone();
    let fields: Vec<&str> = errors
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    let expected = [
        "/name",
        "/orgId",
        "/labels",
        "/scopes/1",
        "/scopes/3",
        "/scopes/2",
        "/ttl",
        "/plan",
        "/redirectUris/0",
        "/secret",
        "/status",
        "force",
    ];
    assert_eq!(fields, expected, "{errors}");
    let body = json!({"name": "a", "scopes": ["no:such"], "plan": "none"});
    let answer = send(app, &token, "POST ", &body, "").await;
    answer.is_management_error(400, "VALIDATION_ERROR");
    assert_eq!(answer.json()["details"]["errors"][0]["field"], "/scopes/0");
    assert_eq!(answer.json()["details"]["errors"][1]["field"], "/plan");
    let body = json!({"name": "a", "scopes": [], "orgId": "other"});
    let answer = send(app, &token, "POST ", &body, "").await;
    assert_eq!(answer.json()["details"]["errors"][0]["field"], "/orgId");
}

async fn a_taken_id_is_a_conflict_and_a_dry_run_makes_nothing(app: &TestApp<'_>) {
    let token = admin(app).await;
    let body = json!({"name": "a", "agentId": "a", "scopes": ["agents:read"]});
    let tried = send(app, &token, "POST ?dryRun=true", &body, "").await;
    assert_eq!(
        (tried.status, tried.header("dry-run")),
        (201, "true"),
        "{tried:?}"
    );
    assert_eq!(tried.header("location"), format!("{AGENTS}/a"));
    assert_eq!(tried.text("agentId"), "a");
    assert!(!tried.body.contains("clientSecret"), "{tried:?}");
    app.get_as(&token, &format!("{AGENTS}/a"))
        .await
        .is_management_error(404, "AGENT_NOT_FOUND");
    let made = send(app, &token, "POST ", &body, "").await;
    assert_eq!(made.status, 201, "{made:?}");
    for query in ["", "?dryRun=true"] {
        send(app, &token, &format!("POST {query}"), &body, "")
            .await
            .is_management_error(409, "AGENT_EXISTS");
    }
    let body = json!({"name": "b", "agentId": "b", "scopes": [], "userIds": ["a"]});
    for query in ["", "?dryRun=true"] {
        send(app, &token, &format!("POST {query}"), &body, "")
            .await
            .is_management_error(409, "ID_OF_USER");
    }
}

async fn put_makes_an_agent_and_then_replaces_all_that_was_decided(app: &TestApp<'_>) {
    let token = admin(app).await;
    let body = json!({"name": "One", "scopes": ["agents:read"], "ttl": 600, "labels": {"a": "b"}, "owner": "x"});
    send(app, &token, "PUT /p", &body, "if-match *")
        .await
        .is_management_error(412, "VERSION_MISMATCH");
    let made = send(app, &token, "PUT /p", &body, "if-none-match *").await;
    assert_eq!(
        (made.status, made.text("agentId").as_str()),
        (201, "p"),
        "{made:?}"
    );
    assert_eq!(made.header("location"), format!("{AGENTS}/p"));
    assert!(made.json()["clientSecret"].is_string());
    send(app, &token, "PUT /p", &body, "if-none-match *")
        .await
        .is_management_error(412, "VERSION_MISMATCH");
    let same = send(app, &token, "PUT /p", &body, "").await;
    assert_eq!(
        (same.status, same.header("etag")),
        (200, made.header("etag")),
        "{same:?}"
    );
    assert!(!same.body.contains("clientSecret"));
    // What is left out gets the value of a new agent.
    let body = json!({"name": "Two", "scopes": ["tokens:read"], "agentId": "p"});
    let replaced = send(
        app,
        &token,
        "PUT /p",
        &body,
        &format!("if-match {}", made.header("etag")),
    )
    .await;
    assert_eq!(replaced.status, 200, "{replaced:?}");
    let shown = replaced.json();
    assert_eq!(
        [
            &shown["name"],
            &shown["ttl"],
            &shown["owner"],
            &shown["labels"],
            &shown["scopes"]
        ],
        [
            &json!("Two"),
            &Value::Null,
            &Value::Null,
            &json!({}),
            &json!(["tokens:read"])
        ]
    );
    assert_ne!(replaced.header("etag"), made.header("etag"));
    send(
        app,
        &token,
        "PUT /p",
        &body,
        &format!("if-match {}", made.header("etag")),
    )
    .await
    .is_management_error(412, "VERSION_MISMATCH");
    assert_eq!(kinds(app, "p").await, ["agent.created", "agent.updated"]);
    let other = json!({"name": "Two", "scopes": [], "agentId": "q"});
    for (line, body) in [("PUT /p", &other), ("PUT /no%20id", &body)] {
        let answer = send(app, &token, line, body, "").await;
        answer.is_management_error(400, "VALIDATION_ERROR");
        assert_eq!(answer.json()["details"]["errors"][0]["field"], "/agentId");
    }
}

async fn a_patch_changes_what_it_names_and_null_goes_back_to_the_default(app: &TestApp<'_>) {
    let token = admin(app).await;
    let body = json!({
        "name": "a", "agentId": "a", "scopes": ["agents:read"], "ttl": 600, "plan": "unlimited", "owner": "x",
        "labels": {"a": "1", "b": "2"}, "audiences": ["https://a.example"], "expiresAt": "2026-01-01T00:00:00Z",
    });
    send(app, &token, "POST ", &body, "").await;
    let patch = json!({"description": "d", "labels": {"b": null, "c": "3"}});
    let patched = send(app, &token, "PATCH /a", &patch, "").await;
    assert_eq!(patched.status, 200, "{patched:?}");
    let mut expected = body.clone();
    expected["description"] = json!("d");
    expected["labels"] = json!({"a": "1", "c": "3"});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&patched.json()[name], value, "{name}");
    }
    let names = [
        "description",
        "labels",
        "ttl",
        "plan",
        "owner",
        "audiences",
        "expiresAt",
    ];
    let patch: Value = names
        .iter()
        .map(|name| ((*name).to_owned(), Value::Null))
        .collect();
    let cleared = send(app, &token, "PATCH /a", &patch, "").await.json();
    let defaults = json!([null, {}, null, "free", null, [], null]);
    assert_eq!(
        Value::from_iter(names.map(|name| cleared[name].clone())),
        defaults
    );
    let patch = json!({"name": null, "scopes": null, "agentId": "b"});
    let answer = send(app, &token, "PATCH /a", &patch, "").await;
    answer.is_management_error(400, "VALIDATION_ERROR");
    assert_eq!(
        answer.json()["details"]["errors"],
        json!([
            {"field": "/name", "reason": "cannot be removed"},
            {"field": "/scopes", "reason": "cannot be removed"},
            {"field": "/agentId", "reason": "is not known here"},
        ])
    );
    let headers = [
        ("authorization", token.as_str()),
        ("content-type", "application/json-patch+json"),
    ];
    let answer = app
        .send("PATCH", &format!("{AGENTS}/a"), &headers, b"[]".into())
        .await;
    answer.is_management_error(415, "UNSUPPORTED_MEDIA_TYPE");
    assert_eq!(
        answer.header("accept-patch"),
        "application/merge-patch+json, application/json"
    );
    let answer = app
        .send("OPTIONS", &format!("{AGENTS}/a"), &[], vec![])
        .await;
    assert_eq!(
        answer.header("allow"),
        "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"
    );
    assert_eq!(
        answer.header("accept-patch"),
        "application/merge-patch+json, application/json"
    );
}

async fn a_change_that_changes_nothing_leaves_the_version_and_no_event(app: &TestApp<'_>) {
    let token = admin(app).await;
    let made = send(
        app,
        &token,
        "PUT /a",
        &json!({"name": "a", "scopes": ["agents:read"]}),
        "",
    )
    .await;
    for patch in [
        json!({}),
        json!({"name": "a", "ttl": null}),
        json!({"labels": {"gone": null}}),
    ] {
        let same = send(app, &token, "PATCH /a", &patch, "").await;
        assert_eq!(
            (same.status, same.header("etag")),
            (200, made.header("etag")),
            "{patch}"
        );
    }
    assert_eq!(kinds(app, "a").await, ["agent.created"]);
}

async fn of_two_patches_of_one_version_one_is_refused(app: &TestApp<'_>) {
    let token = admin(app).await;
    let made = send(
        app,
        &token,
        "PUT /a",
        &json!({"name": "a", "scopes": []}),
        "",
    )
    .await;
    let tag = format!("if-match {}", made.header("etag"));
    let patch = |name: &str| json!({ "name": name });
    let (one, two) = (patch("one"), patch("two"));
    let (one, two) = tokio::join!(
        send(app, &token, "PATCH /a", &one, &tag),
        send(app, &token, "PATCH /a", &two, &tag)
    );
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412], "{one:?} {two:?}");
}

async fn less_for_live_tokens_is_warned_of_or_kills_them(app: &TestApp<'_>) {
    let token = admin(app).await;
    let agent = app.agent_named("a", "agents:read tokens:read").await;
    let live = app.token(&agent).await;
    let patch = json!({"scopes": ["tokens:read"]});
    let warned = send(app, &token, "PATCH /a", &patch, "").await.json();
    assert!(
        warned["warnings"][0].as_str().unwrap().contains("scopes"),
        "{warned}"
    );
    assert_eq!(warned["revocationVersion"], Value::Null);
    assert!(app.is_active(&agent, &live).await);
    let patch = json!({"ttl": 300});
    let killed = send(app, &token, "PATCH /a?revokeTokens=true", &patch, "")
        .await
        .json();
    assert_eq!(
        (&killed["ttl"], &killed["warnings"]),
        (&json!(300), &Value::Null)
    );
    assert!(killed["revocationVersion"].is_i64(), "{killed}");
    assert!(!app.is_active(&agent, &live).await);
}
