//! The log line of each request: which agent authenticated, and why the request was refused.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::on_both;
use super::secrecy::Log;
use crate::harness::app::{
    AGENTS, INTROSPECT, ISSUER, NOW, REVOKE, TOKEN, TestApp, bearer, claims,
};

on_both! {
    a_requests_line_names_the_agent_that_proved_itself_and_the_reason_of_a_refusal,
    a_requests_line_tells_the_token_the_trace_and_who_was_claimed,
    a_request_that_was_not_looked_into_tells_who_was_claimed,
    every_field_of_a_requests_line_is_on_the_page_and_no_other,
    errors_are_logged_alone_and_probes_if_they_are_wanted,
}

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// base64url(SHA-256("agt_1"))
const DIGEST: &str = "qqa6J49mQSx_D2mJ63cc4vOuTL048kODnejOsFp2Or0";

/// The fields of each request's line.
fn request_lines(log: &Log) -> Vec<Value> {
    log.text()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["target"] == "sealwright::request")
        .map(|mut line| line["fields"].take())
        .collect()
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
    let told: Vec<(Value, Value)> = request_lines(&log)
        .iter()
        .map(|line| (line["agent"].clone(), line["reason"].clone()))
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

async fn a_requests_line_tells_the_token_the_trace_and_who_was_claimed(app: &TestApp<'_>) {
    let (log, _guard) = Log::here();
    let app = &app.beside_with(&[("log.requests", "all")]).await;
    let agent = app.agent_named("agt_1", "tokens:read").await;
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("traceparent", TRACEPARENT),
    ];
    let body = format!("grant_type=client_credentials&{}", agent.form());
    let answer = app.send("POST", TOKEN, &headers, body.into()).await;
    let token: Value = answer.json();
    let its = claims(token["access_token"].as_str().unwrap());
    app.ask(&agent.with_secret("not the secret of this agent"), "")
        .await;
    app.ask(&agent, "scope=db:write").await;
    app.get("/.well-known/jwks.json").await;
    let lines = request_lines(&log);
    let [issued, claimed, proven, answered] = &lines[..] else {
        panic!("{lines:?}");
    };
    assert_eq!(issued["message"], "token issued");
    assert_eq!(issued["issued"], its["jti"]);
    let aud = &its["aud"];
    assert_eq!(&issued["aud"], aud.as_array().map_or(aud, |all| &all[0]));
    assert_eq!(issued["ttl"], token["expires_in"]);
    assert_eq!(issued["trace"], TRACEPARENT[3..35]);
    assert_eq!(
        (&issued["agent"], &issued["client"], &issued["peer"]),
        (&json!("agt_1"), &json!("127.0.0.1"), &Value::Null)
    );
    assert_eq!(claimed["claimed_agent"], DIGEST);
    assert_eq!(claimed["agent"], Value::Null);
    for refused in [claimed, proven] {
        assert_eq!(refused["message"], "request refused");
        let absent = [&refused["issued"], &refused["ttl"], &refused["trace"]];
        assert_eq!(absent, [&Value::Null; 3]);
    }
    assert_eq!(proven["claimed_agent"], Value::Null);
    assert_eq!(answered["message"], "request answered");
}

async fn a_request_that_was_not_looked_into_tells_who_was_claimed(app: &TestApp<'_>) {
    let (log, _guard) = Log::here();
    let settings = [("log.requests", "all"), ("limits.failures_per_minute", "1")];
    let app = &app.beside_with(&settings).await;
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let forged = format!(
        "grant_type=client_credentials&client_assertion={}.{}.{}&client_assertion_type={}",
        part(json!({ "alg": "ES256" })),
        part(
            json!({ "iss": "agt_1", "sub": "agt_1", "aud": ISSUER, "jti": "1",
                     "iat": NOW.0, "exp": NOW.0 + 60 })
        ),
        URL_SAFE_NO_PAD.encode([7; 64]),
        "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer",
    );
    let mut answer = app.post(TOKEN, &forged).await;
    for _ in 0..100 {
        if answer.status == 429 {
            break;
        }
        answer = app.post(TOKEN, &forged).await;
    }
    answer.is_error(429, "slow_down");
    let lines = request_lines(&log);
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["status"], &last["claimed_agent"], &last["agent"]),
        (&json!(429), &lines[0]["claimed_agent"], &Value::Null)
    );
    assert_eq!(last["claimed_agent"], DIGEST);
}

async fn every_field_of_a_requests_line_is_on_the_page_and_no_other(app: &TestApp<'_>) {
    let (log, _guard) = Log::here();
    let settings = [
        ("log.requests", "all"),
        ("server.trusted_proxies", "127.0.0.1"),
        ("server.client_address_header", "X-Forwarded-For"),
    ];
    let app = &app.beside_with(&settings).await;
    let agent = app.agent("tokens:read").await;
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("traceparent", TRACEPARENT),
        ("x-forwarded-for", "192.0.2.7"),
    ];
    let body = format!("grant_type=client_credentials&{}", agent.form());
    app.send("POST", TOKEN, &headers, body.into()).await;
    app.ask(&agent.with_secret("not the secret of this agent"), "")
        .await;
    let lines = request_lines(&log);
    assert_eq!(
        (&lines[0]["client"], &lines[0]["peer"]),
        (&json!("192.0.2.7"), &json!("127.0.0.1"))
    );
    let mut written: BTreeSet<String> = lines
        .iter()
        .flat_map(|line| line.as_object().unwrap().keys().cloned())
        .collect();
    // These are beside the fields, or before them.
    written.extend(["timestamp", "level", "target"].map(str::to_owned));
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/watching.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once("## The request line").unwrap();
    let listed: BTreeSet<String> = section
        .lines()
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect();
    assert_eq!(listed, written);
}

async fn errors_are_logged_alone_and_probes_if_they_are_wanted(app: &TestApp<'_>) {
    let (log, _guard) = Log::here();
    let routes = || -> Vec<(String, u64)> {
        request_lines(&log)
            .iter()
            .map(|line| {
                let route = line["route"].as_str().unwrap().to_owned();
                (route, line["status"].as_u64().unwrap())
            })
            .collect()
    };
    let ask = async |app: &TestApp<'_>| {
        app.get("/livez").await;
        app.get("/readyz").await;
        app.send_to(app.ops_address, "GET", "/metrics", &[], vec![])
            .await;
        app.get("/.well-known/jwks.json").await;
        app.get("/nothing").await;
    };
    for (requests, probes, expected) in [
        ("none", "true", 0),
        ("false", "true", 0),
        ("errors", "true", 1),
        ("all", "false", 2),
        ("true", "true", 5),
    ] {
        let before = routes().len();
        let settings = [("log.requests", requests), ("log.probes", probes)];
        let app = app.beside_with(&settings).await;
        ask(&app).await;
        let told = &routes()[before..];
        assert_eq!(told.len(), expected, "{requests} {probes}: {told:?}");
        assert!(
            expected == 0 || told.contains(&("unknown".to_owned(), 404)),
            "{told:?}"
        );
    }
}
