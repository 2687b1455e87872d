//! The public documents: `/.well-known/jwks.json` and the metadata (items 28, 41–45; D11).

use std::collections::HashSet;

use sealwright::domain::event::Actor;
use serde_json::{Value, json};

use super::on_both;
use crate::harness::app::{ISSUER, TOKEN, TestApp, bearer, header};

const JWKS: &str = "/.well-known/jwks.json";
const METADATA: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

on_both! {
    the_key_set_holds_public_rsa_members_only,
    a_new_key_is_published_before_it_signs_and_until_its_last_token_has_expired,
    another_process_knows_a_new_key_by_its_tokens,
    documents_may_be_kept_and_asked_for_again,
    the_metadata_names_what_there_is,
    every_endpoint_of_the_metadata_answers,
    an_issuer_with_a_path_has_its_metadata_in_all_known_places,
    documents_take_only_get_and_head,
    other_replies_carry_no_cors_headers,
    the_authorization_endpoint_refuses_clearly,
}

async fn keys(app: &TestApp<'_>) -> Vec<Value> {
    app.get(JWKS).await.json()["keys"].as_array().unwrap().clone()
}

/// Item 43: in every state of a rotation.
async fn the_key_set_holds_public_rsa_members_only(app: &TestApp<'_>) {
    let mut counts = Vec::new();
    for step in 0..4 {
        let keys = keys(app).await;
        counts.push(keys.len());
        let mut kids = HashSet::new();
        for key in &keys {
            let mut members: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
            members.sort_unstable();
            assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"], "step {step}");
            assert_eq!(
                (&key["alg"], &key["kty"], &key["use"]),
                (&json!("RS256"), &json!("RSA"), &json!("sig"))
            );
            assert!(kids.insert(key["kid"].clone()));
        }
        match step {
            0 => drop(app.opened.keys.rotate(Actor::Operator).await.unwrap()),
            1 => app.clock.advance(3_600),
            _ => app.clock.advance(86_400 + 3_600),
        }
        app.opened.keys.refresh().await.unwrap();
    }
    assert_eq!(counts, [1, 2, 2, 1]);
}

/// Item 45.
async fn a_new_key_is_published_before_it_signs_and_until_its_last_token_has_expired(app: &TestApp<'_>) {
    let agent =
        app.agent_like(None, "tokens:read", |p| p.ttl = sealwright::domain::ttl::Ttl::new(86_400).ok()).await;
    let old = app.token(&agent).await;
    let added = app.opened.keys.rotate(Actor::Operator).await.unwrap();
    assert!(keys(app).await.iter().any(|key| key["kid"] == added.kid.0));
    app.clock.advance(3_599);
    app.opened.keys.refresh().await.unwrap();
    let last = app.token(&agent).await;
    assert_eq!(header(&last), header(&old));
    app.clock.advance(1);
    app.opened.keys.refresh().await.unwrap();
    let new = app.token(&agent).await;
    assert_eq!(header(&new)["kid"], added.kid.0);
    app.clock.advance(86_398);
    app.opened.keys.refresh().await.unwrap();
    assert!(app.is_active(&agent, &last).await, "the old key went too early");
    assert!(app.is_active(&agent, &new).await);
}

async fn another_process_knows_a_new_key_by_its_tokens(app: &TestApp<'_>) {
    let other = app.beside_with(&[("keys.announce_seconds", "0")]).await;
    let agent = app.agent("tokens:read").await;
    other.opened.keys.rotate(Actor::Operator).await.unwrap();
    other.opened.keys.refresh().await.unwrap();
    let token = other.token(&agent).await;
    assert_ne!(header(&token), header(&app.token(&agent).await));
    assert!(app.is_active(&agent, &token).await);
    assert_eq!(keys(app).await, keys(&other).await);
}

async fn documents_may_be_kept_and_asked_for_again(app: &TestApp<'_>) {
    for path in [JWKS, METADATA, OPENID] {
        let answer = app.get(path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        answer.names_its_request();
        let tag = answer.header("etag");
        let again = app.get_if_none_match(path, tag).await;
        assert_eq!((again.status, again.body.as_str(), again.header("etag")), (304, "", tag));
        assert_eq!(again.header("access-control-allow-origin"), "*");
        assert_eq!(app.get_as(&bearer("garbage"), path).await.status, 200);
    }
}

/// Items 41, 42.
async fn the_metadata_names_what_there_is(app: &TestApp<'_>) {
    let answer = app.get(METADATA).await;
    assert_eq!(app.get(OPENID).await.body, answer.body);
    let document = answer.json();
    let methods = json!(["client_secret_basic", "client_secret_post"]);
    for (member, value) in [
        ("issuer", json!(ISSUER)),
        ("token_endpoint", json!(format!("{ISSUER}/api/v1/token"))),
        ("token_endpoint_auth_methods_supported", methods.clone()),
        ("introspection_endpoint", json!(format!("{ISSUER}/api/v1/token/introspect"))),
        ("introspection_endpoint_auth_methods_supported", methods.clone()),
        ("revocation_endpoint", json!(format!("{ISSUER}/api/v1/token/revoke"))),
        ("revocation_endpoint_auth_methods_supported", methods),
        ("jwks_uri", json!(format!("{ISSUER}/.well-known/jwks.json"))),
        ("grant_types_supported", json!(["client_credentials"])),
    ] {
        assert_eq!(document[member], value, "{member}");
    }
    assert!(document.as_object().unwrap().values().all(|value| !value.is_null()));
    assert!(!answer.body.contains("none"), "{}", answer.body);
}

async fn every_endpoint_of_the_metadata_answers(app: &TestApp<'_>) {
    let document = app.get(METADATA).await.json();
    for (member, value) in document.as_object().unwrap() {
        if !member.ends_with("_endpoint") && member != "jwks_uri" {
            continue;
        }
        let path = value.as_str().unwrap().strip_prefix(ISSUER).unwrap();
        assert_ne!(app.get(path).await.status, 404, "{member}");
    }
}

/// RFC 8414 §3.1.
async fn an_issuer_with_a_path_has_its_metadata_in_all_known_places(app: &TestApp<'_>) {
    let issuer = format!("{ISSUER}/t1");
    let app = app.beside_with(&[("token.issuer", &issuer)]).await;
    for path in [
        "/.well-known/oauth-authorization-server/t1",
        "/.well-known/openid-configuration/t1",
        "/t1/.well-known/openid-configuration",
        METADATA,
    ] {
        assert_eq!(app.get(path).await.text("issuer"), issuer, "{path}");
    }
    assert_eq!(app.get("/.well-known/oauth-authorization-server/t2").await.status, 404);
}

async fn documents_take_only_get_and_head(app: &TestApp<'_>) {
    for path in [JWKS, METADATA, OPENID] {
        let head = app.send("HEAD", path, &[], vec![]).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
            let answer = app.send(method, path, &[], vec![]).await;
            answer.is_error(405, "invalid_request");
            assert_eq!(answer.header("allow"), "GET, HEAD");
        }
    }
}

/// Item 28.
async fn other_replies_carry_no_cors_headers(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let authorization = agent.basic();
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("authorization", &*authorization),
        ("origin", "https://evil.example"),
    ];
    let granted = app.send("POST", TOKEN, &headers, b"grant_type=client_credentials".to_vec()).await;
    assert_eq!(granted.status, 200);
    for method in ["POST", "OPTIONS"] {
        for path in [TOKEN, "/api/v1/token/introspect", "/api/v1/token/revoke", "/api/v1/agents"] {
            let answer = app.send(method, path, &headers, vec![]).await;
            let cors = |name: &reqwest::header::HeaderName| name.as_str().starts_with("access-control-");
            assert!(!answer.headers.keys().any(cors), "{answer:?}");
        }
    }
}

async fn the_authorization_endpoint_refuses_clearly(app: &TestApp<'_>) {
    let answer = app.get("/oauth/authorize?response_type=code&client_id=x&redirect_uri=https://evil").await;
    answer.is_error(400, "unsupported_response_type");
    assert!(answer.headers.get("location").is_none());
}
