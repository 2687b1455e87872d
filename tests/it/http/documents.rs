//! The public documents: `/.well-known/jwks.json` and the metadata (items 28, 41–45; D11).

use std::collections::HashSet;

use sealwright::testing::service::key_rotation::RotationMode;
use serde_json::{Value, json};

use super::on_both;
use crate::harness::app::{ISSUER, TOKEN, TestApp, bearer, claims, header};

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
    an_issuer_with_a_path_has_all_its_endpoints_below_it,
    no_issuer_keeps_the_server_from_its_routes,
    documents_take_only_get_and_head,
    a_script_of_any_origin_may_read_the_documents,
    other_replies_carry_no_cors_headers,
    the_authorization_endpoint_refuses_clearly,
}

async fn keys(app: &TestApp<'_>) -> Vec<Value> {
    app.get(JWKS).await.json()["keys"]
        .as_array()
        .unwrap()
        .clone()
}

/// Item 43: this holds in every state of a key rotation.
async fn the_key_set_holds_public_rsa_members_only(app: &TestApp<'_>) {
    let mut counts = Vec::new();
    for step in 0..4 {
        let keys = keys(app).await;
        counts.push(keys.len());
        let mut kids = HashSet::new();
        for key in &keys {
            let mut members: Vec<&str> = key
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            members.sort_unstable();
            assert_eq!(
                members,
                ["alg", "e", "kid", "kty", "n", "use"],
                "step {step}"
            );
            assert_eq!(
                (&key["alg"], &key["kty"], &key["use"]),
                (&json!("RS256"), &json!("RSA"), &json!("sig"))
            );
            assert!(kids.insert(key["kid"].clone()));
        }
        match step {
            0 => drop(
                app.opened
                    .keys
                    .rotate(RotationMode::Announce, &app.opened.operator())
                    .await
                    .unwrap(),
            ),
            1 => app.clock.advance(3_600),
            _ => app.clock.advance(86_400 + 3_600),
        }
        app.opened.keys.refresh().await.unwrap();
    }
    assert_eq!(counts, [1, 2, 2, 1]);
}

/// Item 45.
async fn a_new_key_is_published_before_it_signs_and_until_its_last_token_has_expired(
    app: &TestApp<'_>,
) {
    let agent = app
        .agent_like(None, "tokens:read", |p| {
            p.ttl = sealwright::testing::domain::ttl::Ttl::new(86_400).ok();
        })
        .await;
    let old = app.token(&agent).await;
    let added = app
        .opened
        .keys
        .rotate(RotationMode::Announce, &app.opened.operator())
        .await
        .unwrap();
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
    assert!(
        app.is_active(&agent, &last).await,
        "the old key was removed too early"
    );
    assert!(app.is_active(&agent, &new).await);
}

async fn another_process_knows_a_new_key_by_its_tokens(app: &TestApp<'_>) {
    let other = app.beside_with(&[("keys.announce_seconds", "360")]).await;
    let agent = app.agent("tokens:read").await;
    let before = app.token(&agent).await;
    other
        .opened
        .keys
        .rotate(RotationMode::Announce, &app.opened.operator())
        .await
        .unwrap();
    app.clock.advance(360);
    other.opened.keys.refresh().await.unwrap();
    let token = other.token(&agent).await;
    assert_ne!(header(&token), header(&before));
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
        assert_eq!(
            (again.status, again.body.as_str(), again.header("etag")),
            (304, "", tag)
        );
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
    let token_methods = json!([
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt"
    ]);
    for (member, value) in [
        ("issuer", json!(ISSUER)),
        ("token_endpoint", json!(format!("{ISSUER}/api/v1/token"))),
        ("token_endpoint_auth_methods_supported", token_methods),
        (
            "introspection_endpoint",
            json!(format!("{ISSUER}/api/v1/token/introspect")),
        ),
        (
            "introspection_endpoint_auth_methods_supported",
            methods.clone(),
        ),
        (
            "revocation_endpoint",
            json!(format!("{ISSUER}/api/v1/token/revoke")),
        ),
        ("revocation_endpoint_auth_methods_supported", methods),
        ("jwks_uri", json!(format!("{ISSUER}/.well-known/jwks.json"))),
        ("grant_types_supported", json!(["client_credentials"])),
        (
            "authorization_endpoint",
            json!(format!("{ISSUER}/oauth/authorize")),
        ),
        ("response_types_supported", json!(["code"])),
        ("code_challenge_methods_supported", json!(["S256"])),
        (
            "authorization_response_iss_parameter_supported",
            json!(true),
        ),
        (
            "sealwright_revocation_list",
            json!(format!("{ISSUER}/api/v1/token/revoked")),
        ),
        ("subject_types_supported", json!(["public"])),
        ("id_token_signing_alg_values_supported", json!(["RS256"])),
    ] {
        assert_eq!(document[member], value, "{member}");
    }
    assert!(
        document
            .as_object()
            .unwrap()
            .values()
            .all(|value| !value.is_null())
    );
    assert!(!answer.body.contains("none"), "{}", answer.body);
}

async fn every_endpoint_of_the_metadata_answers(app: &TestApp<'_>) {
    let document = app.get(METADATA).await.json();
    for (member, value) in document.as_object().unwrap() {
        if !member.ends_with("_endpoint")
            && member != "jwks_uri"
            && member != "sealwright_revocation_list"
        {
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
        "/t1/.well-known/oauth-authorization-server",
        METADATA,
        OPENID,
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.text("issuer"), issuer, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(
            app.send("OPTIONS", path, &[], vec![]).await.status,
            204,
            "{path}"
        );
    }
    assert_eq!(
        app.get("/.well-known/oauth-authorization-server/t2")
            .await
            .status,
        404
    );
}

/// The issuer's path works when the proxy in front passes it on, and when there is no proxy. A
/// proxy that strips the path works too.
async fn an_issuer_with_a_path_has_all_its_endpoints_below_it(app: &TestApp<'_>) {
    let issuer = format!("{ISSUER}/tenants/t1");
    let app = app.beside_with(&[("token.issuer", &issuer)]).await;
    let agent = app.agent("tokens:read").await;
    let document = app
        .get("/.well-known/oauth-authorization-server/tenants/t1")
        .await
        .json();
    let path = |member: &str| {
        document[member]
            .as_str()
            .unwrap()
            .strip_prefix(ISSUER)
            .unwrap()
            .to_owned()
    };
    let form = format!("grant_type=client_credentials&{}", agent.form());
    let token = app
        .post(&path("token_endpoint"), &form)
        .await
        .text("access_token");
    assert_eq!(claims(&token)["iss"], issuer);
    let form = format!("token={token}");
    let introspect = path("introspection_endpoint");
    assert_eq!(
        app.post_as(&agent.basic(), &introspect, &form).await.json()["active"],
        true
    );
    app.post_as(&agent.basic(), &path("revocation_endpoint"), &form)
        .await
        .is(200, "{}");
    assert_eq!(
        app.post_as(&agent.basic(), &introspect, &form).await.json()["active"],
        false
    );
    assert_eq!(
        app.get(&path("jwks_uri")).await.body,
        app.get(JWKS).await.body
    );
    app.get(&path("authorization_endpoint"))
        .await
        .is_error(400, "unsupported_response_type");
    assert_eq!(
        app.get(&format!("/tenants/t1/api/v1/agents/{}", agent.id))
            .await
            .status,
        401
    );
    assert_eq!(
        app.get("/tenants/t2/.well-known/jwks.json").await.status,
        404
    );
}

/// The issuer's path is one that cannot become a route, or one that is already a route.
async fn no_issuer_keeps_the_server_from_its_routes(app: &TestApp<'_>) {
    for path in [
        "/*",
        "/:a",
        "/a:b/*c",
        "/a%20b",
        "/a//b",
        "/.well-known",
        "/.well-known/openid-configuration",
        "/forward-auth",
        "/api/v1/agents",
        "/api",
        "/api/v1/token",
        "/oauth",
        "/livez",
    ] {
        let issuer = format!("{ISSUER}{path}");
        let app = app.beside_with(&[("token.issuer", &issuer)]).await;
        assert_eq!(app.get(METADATA).await.text("issuer"), issuer);
        assert_eq!(app.get(JWKS).await.status, 200, "{path}");
        let behind = app.get(&format!("{path}{JWKS}")).await.status;
        // If paths below `/forward-auth` answered 200 here, a gateway would pass requests without a
        // token.
        let hidden = if path == "/forward-auth" { 401 } else { 404 };
        let is_served = !path.starts_with("/.well-known") && path != "/forward-auth";
        assert_eq!(behind, if is_served { 200 } else { hidden }, "{path}");
    }
}

/// Fetch standard: a browser sends a preflight request for header fields that are not on the
/// standard's list. The MCP SDK and conditional requests send such fields.
async fn a_script_of_any_origin_may_read_the_documents(app: &TestApp<'_>) {
    for path in [JWKS, METADATA, OPENID] {
        let headers = [
            ("origin", "https://app.example"),
            ("access-control-request-method", "GET"),
            (
                "access-control-request-headers",
                "mcp-protocol-version,if-none-match",
            ),
        ];
        let answer = app.send("OPTIONS", path, &headers, vec![]).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (204, ""),
            "{answer:?}"
        );
        for (name, value) in [
            ("access-control-allow-origin", "*"),
            ("access-control-allow-methods", "GET, HEAD"),
            ("access-control-allow-headers", "*"),
            ("access-control-max-age", "86400"),
        ] {
            assert_eq!(answer.header(name), value, "{answer:?}");
        }
        assert_eq!(answer.header("access-control-allow-credentials"), "");
        answer.names_its_request();
        assert_eq!(
            app.get(path).await.header("access-control-expose-headers"),
            "etag"
        );
    }
}

async fn documents_take_only_get_and_head(app: &TestApp<'_>) {
    for path in [JWKS, METADATA, OPENID] {
        let head = app.send("HEAD", path, &[], vec![]).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        let get = app.get(path).await;
        for name in [
            "etag",
            "content-type",
            "content-length",
            "cache-control",
            "access-control-allow-origin",
        ] {
            assert_eq!(head.header(name), get.header(name), "{name}");
        }
        for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE"] {
            let answer = app.send(method, path, &[], vec![]).await;
            answer.is_error(405, "invalid_request");
            assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS");
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
    let granted = app
        .send(
            "POST",
            TOKEN,
            &headers,
            b"grant_type=client_credentials".to_vec(),
        )
        .await;
    assert_eq!(granted.status, 200);
    for method in ["POST", "OPTIONS"] {
        for path in [
            TOKEN,
            "/api/v1/token/introspect",
            "/api/v1/token/revoke",
            "/api/v1/agents",
        ] {
            let answer = app.send(method, path, &headers, vec![]).await;
            let cors =
                |name: &reqwest::header::HeaderName| name.as_str().starts_with("access-control-");
            assert!(!answer.headers.keys().any(cors), "{answer:?}");
        }
    }
}

async fn the_authorization_endpoint_refuses_clearly(app: &TestApp<'_>) {
    let answer = app
        .get("/oauth/authorize?response_type=code&client_id=x&redirect_uri=https://evil")
        .await;
    answer.is_error(400, "unsupported_response_type");
    assert!(answer.headers.get("location").is_none());
}
