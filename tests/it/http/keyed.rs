//! Requests with an `Idempotency-Key`: what creates something creates it once, and each equal request
//! gets the same reply.

use std::collections::BTreeSet;

use futures_util::future::{join, join_all};
use sealwright::testing::http::write_openapi;
use serde_json::{Value, json};

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, Agent, ISSUER, TestApp, bearer};

on_both! {
    every_request_that_creates_something_creates_it_once,
    a_rotation_of_the_keys_that_is_sent_again_rotates_nothing,
    of_a_hundred_equal_requests_over_two_processes_one_makes_an_agent,
    a_key_that_is_none_is_told_with_all_other_faults,
    a_key_names_one_body_of_one_request_of_one_agent,
    a_dry_run_knows_no_key,
    the_caller_is_judged_anew_before_a_reply_is_sent_again,
    a_reply_is_kept_for_a_day,
    a_put_that_replaces_is_done_again,
}

/// Every request that may create something: its line and its body.
const CREATING: [(&str, &str); 7] = [
    (
        "POST /api/v1/agents",
        r#"{"name":"n","scopes":["agents:read"]}"#,
    ),
    (
        "PUT /api/v1/agents/put",
        r#"{"name":"n","scopes":["agents:read"]}"#,
    ),
    ("POST /api/v1/agents/a/credentials", "{}"),
    ("POST /api/v1/agents/a/credentials/rotate", ""),
    (
        "POST /api/v1/scopes",
        r#"{"scope":"new:read","description":"New"}"#,
    ),
    ("POST /api/v1/orgs", r#"{"orgId":"new","name":"New"}"#),
    (
        "POST /api/v1/partners",
        r#"{"name":"New","preset":"github"}"#,
    ),
];

/// A rotation answers 200, and makes a key all the same.
const ROTATION: (&str, &str) = ("POST /api/v1/keys/rotate", r#"{"now":true}"#);

const MAKE: (&str, &str) = CREATING[0];

const REPLAYS: &str = "select count(*) from audit_event where kind = 'idempotency.replayed'";
const MADE: &str = "select count(*) from agent where name = 'n'";

async fn token(app: &TestApp<'_>, agent: &Agent) -> String {
    bearer(&app.token(agent).await)
}

async fn admin(app: &TestApp<'_>) -> Agent {
    app.agent("agents:read agents:write admin:orgs").await
}

async fn send(app: &TestApp<'_>, token: &str, (line, body): (&str, &str), key: &str) -> Answer {
    send_with(app, token, (line, body), &[("idempotency-key", key)]).await
}

async fn send_with(
    app: &TestApp<'_>,
    token: &str,
    (line, body): (&str, &str),
    headers: &[(&str, &str)],
) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    let json = ("content-type", "application/json");
    let headers = [&[("authorization", token), json], headers].concat();
    app.send(method, path, &headers, body.into()).await
}

fn is_the_same(answer: &Answer, first: &Answer) {
    assert_eq!(answer.status, first.status, "{answer:?}");
    assert_eq!(answer.body, first.body);
    for name in ["location", "etag"] {
        assert_eq!(answer.headers.get(name), first.headers.get(name), "{name}");
    }
}

/// On a slow machine, an equal request is not always done within the time of those that wait for it.
fn is_told_to_come_again(answer: &Answer) {
    if answer.status != 503 {
        answer.is_management_error(409, "IDEMPOTENCY_IN_PROGRESS");
    }
    assert_eq!(answer.header("retry-after"), "1");
}

fn is_replay(answer: &Answer) -> bool {
    answer.headers.get("idempotency-replayed").is_some()
}

#[test]
fn every_route_that_makes_something_takes_a_key() {
    let document: Value = serde_json::from_str(&write_openapi(ISSUER)).unwrap();
    let (mut creating, mut keyed) = (BTreeSet::new(), BTreeSet::new());
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let line = format!("{} {path}", method.to_uppercase());
            if !operation["responses"]["201"].is_null() || line == ROTATION.0 {
                creating.insert(line.clone());
            }
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let mut names = parameters.map(|parameter| &parameter["name"]);
            if names.any(|name| name == "Idempotency-Key") {
                keyed.insert(line);
            }
        }
    }
    assert_eq!(creating, keyed);
    let sent = CREATING.iter().chain([&ROTATION]).map(|(line, _)| {
        let line = line.replace("/agents/put", "/agents/{id}");
        line.replace("/agents/a/", "/agents/{id}/")
    });
    assert_eq!(creating, sent.collect());
}

async fn a_rotation_of_the_keys_that_is_sent_again_rotates_nothing(app: &TestApp<'_>) {
    let other = app.beside().await;
    let by = token(app, &admin(app).await).await;
    let rotations = "select count(*) from audit_event where kind = 'key.activated'";
    let before = app.database.number(rotations).await;
    let first = send(app, &by, ROTATION, "k").await;
    assert_eq!(first.status, 200, "{first:?}");
    for app in [app, &other] {
        let again = send(app, &by, ROTATION, "k").await;
        is_the_same(&again, &first);
        assert!(is_replay(&again), "{again:?}");
    }
    assert_eq!(app.database.number(rotations).await, before + 1);
    let next = send(app, &by, ROTATION, "l").await;
    assert_ne!(next.body, first.body);
}

async fn every_request_that_creates_something_creates_it_once(app: &TestApp<'_>) {
    let other = app.beside().await;
    let by = token(app, &admin(app).await).await;
    app.agent_named("a", "agents:read").await;
    for (number, request) in CREATING.into_iter().enumerate() {
        let first = send(app, &by, request, "\"k-1\"").await;
        assert_eq!(first.status, 201, "{first:?}");
        assert!(!is_replay(&first));
        let events = "select count(*) from audit_event where kind <> 'idempotency.replayed'";
        let count = app.database.number(events).await;
        for app in [app, &other] {
            let again = send(app, &by, request, "k-1").await;
            is_the_same(&again, &first);
            assert!(is_replay(&again), "{again:?}");
            again.is_not_kept();
        }
        assert_eq!(app.database.number(events).await, count, "{request:?}");
        let replays = i64::try_from(2 * (number + 1)).unwrap();
        assert_eq!(app.database.number(REPLAYS).await, replays);
    }
    // What is shown of a new agent is what a later read shows.
    let made = send(app, &by, MAKE, "k-2").await;
    let shown = app.get_as(&by, made.header("location")).await;
    assert_eq!(shown.header("etag"), made.header("etag"));
    let mut of_made = made.json();
    for member in ["clientSecret", "credentialId"] {
        of_made.as_object_mut().unwrap().remove(member).unwrap();
    }
    assert_eq!(of_made, shown.json());
}

async fn of_a_hundred_equal_requests_over_two_processes_one_makes_an_agent(app: &TestApp<'_>) {
    let other = app.beside().await;
    let by = token(app, &admin(app).await).await;
    app.agent_named("a", "agents:read").await;
    let sent = (0..50).flat_map(|_| [app, &other]);
    let sent = join_all(sent.map(|app| send(app, &by, MAKE, "k")));
    // A kill does not wait for them.
    let suspend = ("POST /api/v1/agents/a/suspend", "");
    let (answers, suspended) = join(sent, send(app, &by, suspend, "k")).await;
    assert_eq!(suspended.status, 200, "{suspended:?}");
    let mut first = send(app, &by, MAKE, "k").await;
    while first.status != 201 {
        is_told_to_come_again(&first);
        first = send(app, &by, MAKE, "k").await;
    }
    let (made, rest): (Vec<Answer>, Vec<Answer>) =
        answers.into_iter().partition(|answer| answer.status == 201);
    for answer in &made {
        is_the_same(answer, &first);
    }
    assert!(made.iter().filter(|answer| !is_replay(answer)).count() <= 1);
    rest.iter().for_each(is_told_to_come_again);
    is_the_same(&send(&other, &by, MAKE, "k").await, &first);
    let agents = app.database.number(MADE).await;
    let secrets = "select count(*) from credential where agent_id in (select agent_id from agent where name = 'n')";
    assert_eq!((agents, app.database.number(secrets).await), (1, 1));
    let agent = Agent {
        id: first.text("agentId"),
        secret: first.text("clientSecret"),
    };
    app.token(&agent).await;
}

async fn a_key_that_is_none_is_told_with_all_other_faults(app: &TestApp<'_>) {
    let by = token(app, &admin(app).await).await;
    let fields = |answer: &Answer| {
        answer.is_management_error(400, "VALIDATION_ERROR");
        let errors = answer.json()["details"]["errors"].clone();
        let errors = errors.as_array().unwrap().clone();
        errors
            .iter()
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for key in ["", "a b", "\"open", &"k".repeat(256)] {
        let answer = send(app, &by, MAKE, key).await;
        assert_eq!(fields(&answer), ["Idempotency-Key"], "{key}");
    }
    let two = [("idempotency-key", "a"), ("idempotency-key", "a")];
    let answer = send_with(app, &by, ("POST /api/v1/agents", "{}"), &two).await;
    assert_eq!(fields(&answer), ["/name", "/scopes", "Idempotency-Key"]);
    assert_eq!(app.database.number(MADE).await, 0);
}

async fn a_key_names_one_body_of_one_request_of_one_agent(app: &TestApp<'_>) {
    let (one, two) = (admin(app).await, admin(app).await);
    let (one, two) = (token(app, &one).await, token(app, &two).await);
    let first = send(app, &one, MAKE, "k").await;
    let other_body = (MAKE.0, r#"{"name":"n","scopes":[] }"#);
    let other = send(app, &one, other_body, "k").await;
    other.is_management_error(422, "IDEMPOTENCY_KEY_REUSED");
    for (by, line) in [
        (&two, MAKE.0),
        (&one, "PUT /api/v1/agents/p"),
        (&one, "POST /api/v1/agents?dryRun=false"),
    ] {
        let made = send(app, by, (line, MAKE.1), "k").await;
        assert_eq!(made.status, 201, "{made:?}");
        assert!(!is_replay(&made));
        assert_ne!(made.text("agentId"), first.text("agentId"));
    }
    assert_eq!(app.database.number(MADE).await, 4);
    // A key of a request that failed is free.
    let bad = (MAKE.0, r#"{"name":"n","scopes":["nobody:knows"]}"#);
    let refused = send(app, &one, bad, "l").await;
    refused.is_management_error(400, "VALIDATION_ERROR");
    assert_eq!(send(app, &one, MAKE, "l").await.status, 201);
}

async fn a_dry_run_knows_no_key(app: &TestApp<'_>) {
    let by = token(app, &admin(app).await).await;
    let tried = ("POST /api/v1/agents?dryRun=true", MAKE.1);
    for key in ["k", "no key"] {
        let answer = send(app, &by, tried, key).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert!(!is_replay(&answer));
    }
    let kept = "select count(*) from kept_reply";
    assert_eq!(app.database.number(kept).await, 0);
}

async fn the_caller_is_judged_anew_before_a_reply_is_sent_again(app: &TestApp<'_>) {
    let admin = token(app, &admin(app).await).await;
    let own = app.agent("agents:write tokens:read").await;
    let by = token(app, &own).await;
    let less = app.agent_named("less", "tokens:read").await;
    let requests = [
        (MAKE.0, r#"{"name":"n","scopes":["tokens:read"]}"#),
        ("POST /api/v1/agents/less/credentials", "{}"),
    ];
    for request in requests {
        assert_eq!(send(app, &by, request, "k").await.status, 201);
        assert!(is_replay(&send(app, &by, request, "k").await));
    }
    let line = format!("PATCH {AGENTS}/{}", own.id);
    let narrow = json!({"scopes": ["agents:write"]}).to_string();
    let narrowed = send_with(app, &admin, (&line, &narrow), &[]).await;
    assert_eq!(narrowed.status, 200, "{narrowed:?}");
    for request in requests {
        let refused = send(app, &by, request, "k").await;
        refused.is_management_error(403, "FORBIDDEN");
    }
    app.token(&less).await;
    app.suspend(&own).await;
    let dead = send(app, &by, requests[0], "k").await;
    dead.is_management_error(401, "UNAUTHORIZED");
}

async fn a_reply_is_kept_for_a_day(app: &TestApp<'_>) {
    let admin = admin(app).await;
    let first = send(app, &token(app, &admin).await, MAKE, "k").await;
    app.clock.advance(86_399);
    let again = send(app, &token(app, &admin).await, MAKE, "k").await;
    is_the_same(&again, &first);
    app.clock.advance(1);
    let anew = send(app, &token(app, &admin).await, MAKE, "k").await;
    assert_eq!((anew.status, is_replay(&anew)), (201, false));
    assert_eq!(app.database.number(MADE).await, 2);
}

async fn a_put_that_replaces_is_done_again(app: &TestApp<'_>) {
    let by = token(app, &admin(app).await).await;
    let put = ("PUT /api/v1/agents/p", MAKE.1);
    let only_new = [("if-none-match", "*"), ("idempotency-key", "k")];
    let first = send_with(app, &by, put, &only_new).await;
    assert_eq!(first.status, 201, "{first:?}");
    let again = send_with(app, &by, put, &only_new).await;
    is_the_same(&again, &first);
    let other = [("if-none-match", "*"), ("idempotency-key", "l")];
    let taken = send_with(app, &by, put, &other).await;
    taken.is_management_error(412, "VERSION_MISMATCH");
    for _ in 0..2 {
        let replaced = send(app, &by, put, "m").await;
        assert_eq!((replaced.status, is_replay(&replaced)), (200, false));
    }
}
