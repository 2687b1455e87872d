//! `POST /api/v1/token`: what it grants, and all its refusals (contract §3, D1–D15).

use serde_json::json;

use super::on_both;
use crate::harness::app::{ISSUER, NOW, TOKEN, TestApp, basic, claims, encode, header};

/// The exact bodies of contract §3.
pub const INVALID_CLIENT: &str = r#"{"error":"invalid_client","error_description":"Client authentication failed. Invalid client_id or client_secret."}"#;
pub const SUSPENDED: &str = r#"{"error":"unauthorized_client","error_description":"Agent is currently suspended and cannot obtain tokens."}"#;
pub const DECOMMISSIONED: &str = r#"{"error":"unauthorized_client","error_description":"Agent is decommissioned and cannot obtain tokens."}"#;
pub const QUOTA: &str = r#"{"error":"unauthorized_client","error_description":"Free tier monthly token limit of 10,000 requests has been reached."}"#;
pub const UNSUPPORTED: &str = r#"{"error":"unsupported_grant_type","error_description":"Only 'client_credentials' grant type is supported."}"#;
pub const SLOW_DOWN: &str =
    r#"{"error":"slow_down","error_description":"Too many requests. Retry later."}"#;

on_both! {
    a_token_reply_has_exactly_its_four_members,
    a_token_has_the_header_and_the_claims_of_rfc_9068,
    the_reply_keeps_the_requested_order_without_doubles,
    no_scope_and_an_empty_one_grant_everything_in_the_catalogues_order,
    an_agent_without_scopes_gets_invalid_scope,
    a_scope_that_is_not_allowed_refuses_the_whole_request,
    a_malformed_scope_is_invalid_scope,
    a_lifetime_is_the_agents_own_or_the_default_and_capped_by_risk,
    a_token_is_for_the_audience_that_was_asked_for,
    an_audience_outside_the_agents_list_is_invalid_target,
    other_grants_are_unsupported,
    a_missing_grant_type_is_an_invalid_request,
    a_repeated_known_parameter_is_an_invalid_request,
    unknown_parameters_are_ignored,
    credentials_in_the_query_are_refused,
    a_parameter_in_the_query_and_in_the_body_is_repeated,
    raw_spaces_and_colons_are_accepted,
    what_is_not_percent_encoded_utf8_is_an_invalid_request,
    other_media_types_are_an_invalid_request,
    the_media_type_is_read_in_any_letter_case_and_with_parameters,
    other_methods_are_not_allowed,
    a_suspended_agent_is_told_so_after_its_secret_was_proven,
    a_decommissioned_agent_is_told_so_after_its_secret_was_proven,
}

/// Item 16, 17, 18; D12, D13; T1.
async fn a_token_reply_has_exactly_its_four_members(app: &TestApp<'_>) {
    app.add_scope("db:read").await;
    let agent = app.agent("db:read").await;
    let answer = app.ask(&agent, "scope=db:read").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.keys(),
        ["access_token", "token_type", "expires_in", "scope"]
    );
    let token = answer.text("access_token");
    let body = format!(
        r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":600,"scope":"db:read"}}"#
    );
    answer.is(200, &body);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(token.split('.').filter(|part| !part.is_empty()).count(), 3);
}

/// Items 44, 46, 47; contract §2.
async fn a_token_has_the_header_and_the_claims_of_rfc_9068(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read agents:read").await;
    let token = app.token(&agent).await;
    let jwks = app.get("/.well-known/jwks.json").await.json();
    let kid = jwks["keys"][0]["kid"].clone();
    assert_eq!(
        header(&token),
        json!({ "alg": "RS256", "typ": "at+jwt", "kid": kid })
    );
    let claims = claims(&token);
    let jti = claims["jti"].as_str().unwrap();
    assert_eq!(uuid::Uuid::parse_str(jti).unwrap().get_version_num(), 7);
    assert_eq!(
        claims,
        json!({
            "iss": ISSUER, "sub": agent.id, "client_id": agent.id, "aud": ISSUER,
            "scope": "agents:read tokens:read", "jti": jti, "epoch": NOW.0 * 1_000,
            "iat": NOW.0, "exp": NOW.0 + 600,
        })
    );
    let plain = app
        .beside_with(&[
            ("token.typ", "JWT"),
            ("token.default_audience", "https://api"),
        ])
        .await;
    let token = plain.token(&agent).await;
    assert_eq!(
        (
            header(&token)["typ"].as_str(),
            &super::super::harness::app::claims(&token)["aud"]
        ),
        (Some("JWT"), &json!("https://api"))
    );
}

/// D3; item 21.
async fn the_reply_keeps_the_requested_order_without_doubles(app: &TestApp<'_>) {
    let agent = app.agent("agents:read tokens:read audit:read").await;
    let answer = app
        .ask(&agent, "scope=audit:read+agents:read+audit:read")
        .await;
    assert_eq!(answer.text("scope"), "audit:read agents:read");
    assert_eq!(
        claims(&answer.text("access_token"))["scope"],
        "audit:read agents:read"
    );
}

/// D3, T3; items 8, 20.
async fn no_scope_and_an_empty_one_grant_everything_in_the_catalogues_order(app: &TestApp<'_>) {
    app.add_scope("z:read").await;
    app.add_scope("b:read").await;
    let agent = app.agent("b:read audit:read z:read agents:read").await;
    for parameters in ["", "scope=", "scope", "task_id=t1", "scope=&task_id=t1"] {
        let answer = app.ask(&agent, parameters).await;
        assert_eq!(answer.status, 200, "{parameters}: {answer:?}");
        assert_eq!(
            answer.text("scope"),
            "agents:read audit:read z:read b:read",
            "{parameters}"
        );
    }
}

/// D3.
async fn an_agent_without_scopes_gets_invalid_scope(app: &TestApp<'_>) {
    let agent = app.agent("").await;
    app.ask(&agent, "").await.is_error(400, "invalid_scope");
    app.ask(&agent, "scope=agents:read")
        .await
        .is_error(400, "invalid_scope");
}

/// D4; item 19: the server never drops a scope silently.
async fn a_scope_that_is_not_allowed_refuses_the_whole_request(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for scope in [
        "tokens:read",
        "agents:read tokens:read",
        "agents:read unknown:scope",
        "AGENTS:READ",
    ] {
        app.ask(&agent, &format!("scope={}", encode(scope)))
            .await
            .is_error(400, "invalid_scope");
    }
    let used = app.database.number("select count(*) from quota").await;
    assert_eq!(used, 0, "a refusal was counted");
}

/// Item 21.
async fn a_malformed_scope_is_invalid_scope(app: &TestApp<'_>) {
    let agent = app.agent("agents:read tokens:read").await;
    for scope in [
        "agents:read  tokens:read",
        " agents:read",
        "agents:read ",
        " ",
        "agents:read\ttokens:read",
        "a\"b",
        "a\\b",
        "é",
        "a\u{0}",
        "a\u{7f}",
        "a\r\nb",
    ] {
        app.ask(&agent, &format!("scope={}", encode(scope)))
            .await
            .is_error(400, "invalid_scope");
    }
    app.ask(&agent, &format!("scope={}", "x".repeat(129)))
        .await
        .is_error(400, "invalid_scope");
}

/// D1, D2; T2, T7.
async fn a_lifetime_is_the_agents_own_or_the_default_and_capped_by_risk(app: &TestApp<'_>) {
    use sealwright::testing::domain::ttl::Ttl;
    for name in ["db:read", "db:Write", "x.delete", "ADMIN:x", "users:read"] {
        app.add_scope(name).await;
    }
    app.add_scope_like("pay:send", true).await;
    let all = "db:read db:Write x.delete ADMIN:x users:read pay:send";
    for refused in [299, 86_401, 0, -1] {
        assert!(Ttl::new(refused).is_err(), "{refused}");
    }
    let agent = async |ttl: Option<i64>| {
        app.agent_like(None, all, |p| p.ttl = ttl.map(|ttl| Ttl::new(ttl).unwrap()))
            .await
    };
    let (none, short, long) = (
        agent(None).await,
        agent(Some(300)).await,
        agent(Some(86_400)).await,
    );
    for (agent, scope, expected) in [
        (&none, "db:read", 600),
        (&none, "db:Write", 600),
        (&short, "db:read", 300),
        (&short, "db:Write", 300),
        (&long, "db:read", 86_400),
        (&long, "users:read", 86_400),
        (&long, "db:Write", 900),
        (&long, "db:read x.delete", 900),
        (&long, "ADMIN:x", 900),
        (&long, "pay:send db:read", 900),
    ] {
        let answer = app.ask(agent, &format!("scope={}", encode(scope))).await;
        assert_eq!(answer.json()["expires_in"], expected, "{scope}: {answer:?}");
        let claims = claims(&answer.text("access_token"));
        assert_eq!(
            claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
            expected
        );
    }
    // The configuration can mark more scopes as high-risk. The server's default lifetime is capped
    // too.
    let other = app
        .beside_with(&[
            ("scopes.high_risk", "DB:READ"),
            ("token.default_ttl", "3600"),
        ])
        .await;
    assert_eq!(
        other.ask(&long, "scope=db:read").await.json()["expires_in"],
        900
    );
    assert_eq!(
        other.ask(&none, "scope=users:read").await.json()["expires_in"],
        3_600
    );
    assert_eq!(
        other.ask(&none, "scope=db:Write").await.json()["expires_in"],
        900
    );
}

/// Contract §2, T4; item 66.
async fn a_token_is_for_the_audience_that_was_asked_for(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for (parameters, aud) in [
        ("", json!(ISSUER)),
        ("audience=", json!(ISSUER)),
        ("resource=", json!(ISSUER)),
        ("audience=https%3A%2F%2Fsvc", json!("https://svc")),
        ("audience=https://svc", json!("https://svc")),
        ("resource=https://svc/a", json!("https://svc/a")),
        (
            "resource=https://a&resource=https://b",
            json!(["https://a", "https://b"]),
        ),
        ("resource=https://a&resource=https://a", json!("https://a")),
        (
            "audience=svc&resource=https://a",
            json!(["svc", "https://a"]),
        ),
        ("audience=https://a&resource=https://a", json!("https://a")),
        ("audience=svc&resource=", json!("svc")),
    ] {
        let answer = app.ask(&agent, parameters).await;
        assert_eq!(answer.status, 200, "{parameters}: {answer:?}");
        assert_eq!(
            claims(&answer.text("access_token"))["aud"],
            aud,
            "{parameters}"
        );
    }
}

/// RFC 8707 §2; item 66.
async fn an_audience_outside_the_agents_list_is_invalid_target(app: &TestApp<'_>) {
    use sealwright::testing::domain::agent::Audience;
    let bound = app
        .agent_like(None, "agents:read", |p| {
            p.audiences = vec![
                Audience::parse("https://in").unwrap(),
                Audience::parse("https://too").unwrap(),
            ];
        })
        .await;
    for parameters in [
        "audience=https://out",
        "resource=https://out",
        "resource=https://in&resource=https://out",
    ] {
        app.ask(&bound, parameters)
            .await
            .is_error(400, "invalid_target");
    }
    assert_eq!(
        app.ask(&bound, "resource=https://too&resource=https://in")
            .await
            .status,
        200
    );
    let free = app.agent("agents:read").await;
    let many = (0..33)
        .map(|i| format!("resource=https://{i}"))
        .collect::<Vec<_>>()
        .join("&");
    for parameters in [
        "resource=relative",
        "resource=https://a%23f",
        "resource=/x",
        "audience=a%0Ab",
        many.as_str(),
    ] {
        app.ask(&free, parameters)
            .await
            .is_error(400, "invalid_target");
    }
}

/// Item 4.
async fn other_grants_are_unsupported(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for grant in [
        "foo",
        "password",
        "authorization_code",
        "refresh_token",
        "Client_Credentials",
        "client_credentials%20",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    ] {
        let body = format!("grant_type={grant}&{}", agent.form());
        app.post(TOKEN, &body)
            .await
            .is_error(400, "unsupported_grant_type")
            .is(400, UNSUPPORTED);
    }
}

/// Items 4, 8.
async fn a_missing_grant_type_is_an_invalid_request(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for grant in [
        "",
        "grant_type=&",
        "grant_type&",
        "GRANT_TYPE=client_credentials&",
    ] {
        let body = format!("{grant}{}", agent.form());
        app.post(TOKEN, &body)
            .await
            .is_error(400, "invalid_request");
    }
    app.post(TOKEN, "").await.is_error(400, "invalid_request");
}

/// Item 6; D14: this holds for a repetition with the same value too.
async fn a_repeated_known_parameter_is_an_invalid_request(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for parameters in [
        "grant_type=client_credentials",
        "grant_type=",
        "scope=agents:read&scope=agents:read",
        "scope=&scope=agents:read",
        &format!("client_id={}", agent.id),
        "client_id=",
        &format!("client_secret={}", agent.secret),
        "client_secret=other",
    ] {
        app.ask(&agent, parameters)
            .await
            .is_error(400, "invalid_request");
    }
}

/// Item 7; D14.
async fn unknown_parameters_are_ignored(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for parameters in [
        "foo=bar&foo=baz",
        "task_id=1&task_id=2",
        "=",
        "&&&",
        "=x&=y",
        "Scope=nothing:known",
    ] {
        let answer = app.ask(&agent, parameters).await;
        assert_eq!(answer.status, 200, "{parameters}: {answer:?}");
    }
    // The grant and the credentials are three parameters more.
    assert_eq!(
        app.ask(&agent, &vec!["a=1"; 1_021].join("&")).await.status,
        200
    );
    for count in [1_022, 10_000] {
        app.ask(&agent, &vec!["a=1"; count].join("&"))
            .await
            .is_error(400, "invalid_request");
    }
    let body = format!("grant_type=client_credentials&{}", agent.form());
    assert_eq!(
        app.post(&format!("{TOKEN}?foo=bar"), &body).await.status,
        200
    );
}

/// Item 9; D14.
async fn credentials_in_the_query_are_refused(app: &TestApp<'_>) {
    let agent = app.agent("agents:read tokens:read").await;
    let token = app.token(&agent).await;
    for query in [
        agent.form(),
        format!("client_id={}", agent.id),
        "client_secret=".to_owned(),
        "code=x".to_owned(),
        format!("token={token}"),
        "client%5Fid=x".to_owned(),
        "x=%zz".to_owned(),
        "%ff".to_owned(),
    ] {
        let body = format!(
            "grant_type=client_credentials&{}&token={token}",
            agent.form()
        );
        for path in [
            TOKEN,
            "/api/v1/token/introspect",
            "/api/v1/token/revoke",
            "/oauth/revoke",
        ] {
            let answer = app.post(&format!("{path}?{query}"), &body).await;
            answer.is_error(400, "invalid_request");
        }
    }
    assert!(app.is_active(&agent, &token).await);
}

/// Item 6: a parameter that is in the query and in the body counts as repeated.
async fn a_parameter_in_the_query_and_in_the_body_is_repeated(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let body = format!(
        "grant_type=client_credentials&{}&scope=agents:read&audience=a",
        agent.form()
    );
    for query in [
        "grant_type=client_credentials",
        "scope=agents:read",
        "scope=",
        "audience=a",
    ] {
        let answer = app.post(&format!("{TOKEN}?{query}"), &body).await;
        answer.is_error(400, "invalid_request");
    }
}

/// D14: `curl -d "scope=a:b c:d"` sends spaces and colons unencoded.
async fn raw_spaces_and_colons_are_accepted(app: &TestApp<'_>) {
    let agent = app
        .agent_named("org:a~1.b-c_d", "agents:read tokens:read")
        .await;
    let body = format!(
        "grant_type=client_credentials&client_id=org:a~1.b-c_d&client_secret={}&scope=tokens:read agents:read",
        agent.secret
    );
    assert_eq!(
        app.post(TOKEN, &body).await.text("scope"),
        "tokens:read agents:read"
    );
}

/// Item 24; D14: this holds for unknown parameters too.
async fn what_is_not_percent_encoded_utf8_is_an_invalid_request(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for parameters in [
        "scope=%",
        "scope=%z",
        "scope=%zz",
        "scope=%ff",
        "foo=%C3",
        "%=x",
        "foo=%c3%28",
        "client_id=%80",
    ] {
        app.ask(&agent, parameters)
            .await
            .is_error(400, "invalid_request");
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let mut body = format!("grant_type=client_credentials&{}&foo=", agent.form()).into_bytes();
    body.push(0xff);
    app.send("POST", TOKEN, &form, body)
        .await
        .is_error(400, "invalid_request");
}

/// Item 3; D6.
async fn other_media_types_are_an_invalid_request(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let body = format!("grant_type=client_credentials&{}", agent.form());
    for media_type in [
        "application/json",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/x-www-form-urlencodedx",
        "application/x-www-form-urlencoded, application/json",
        "",
        ";",
    ] {
        let headers = [("content-type", media_type)];
        let answer = app.send("POST", TOKEN, &headers, body.clone().into()).await;
        answer.is_error(400, "invalid_request");
    }
    app.send("POST", TOKEN, &[], body.clone().into())
        .await
        .is_error(400, "invalid_request");
    let twice = [("content-type", "application/x-www-form-urlencoded"); 2];
    app.send("POST", TOKEN, &twice, body.into())
        .await
        .is_error(400, "invalid_request");
}

/// Item 3; D14.
async fn the_media_type_is_read_in_any_letter_case_and_with_parameters(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let body = format!("grant_type=client_credentials&{}", agent.form());
    for media_type in [
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=UTF-8",
        "application/x-www-form-urlencoded;charset=utf-8",
        "Application/X-WWW-Form-URLEncoded",
        "application/x-www-form-urlencoded ; x=y",
    ] {
        let headers = [("content-type", media_type)];
        let answer = app.send("POST", TOKEN, &headers, body.clone().into()).await;
        assert_eq!(answer.status, 200, "{media_type}: {answer:?}");
    }
}

/// Item 1; D6: such a request is not evaluated, so even the right secret gets no token.
async fn other_methods_are_not_allowed(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let body = format!("grant_type=client_credentials&{}", agent.form());
    for method in [
        "GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND",
    ] {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        for path in [TOKEN.to_owned(), format!("{TOKEN}?client_secret=x")] {
            let answer = app.send(method, &path, &headers, body.clone().into()).await;
            assert_eq!(answer.header("allow"), "POST", "{method}");
            answer.is_error(405, "invalid_request");
        }
    }
    let head = app.send("HEAD", TOKEN, &[], vec![]).await;
    assert_eq!(
        (head.status, head.header("allow"), head.body.as_str()),
        (405, "POST", "")
    );
    assert_eq!(app.database.number("select count(*) from quota").await, 0);
}

async fn a_suspended_agent_is_told_so_after_its_secret_was_proven(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    app.token(&agent).await;
    app.suspend(&agent).await;
    app.ask(&agent, "").await.is(403, SUSPENDED);
    app.ask(&agent.with_secret("wrong"), "")
        .await
        .is(401, INVALID_CLIENT);
    let body = "grant_type=client_credentials";
    app.post_as(&agent.basic(), TOKEN, body)
        .await
        .is(403, SUSPENDED);
    app.post_as(&basic(&agent.id, "wrong"), TOKEN, body)
        .await
        .is(401, INVALID_CLIENT);
}

async fn a_decommissioned_agent_is_told_so_after_its_secret_was_proven(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    app.token(&agent).await;
    app.decommission(&agent).await;
    app.ask(&agent, "").await.is(403, DECOMMISSIONED);
    app.ask(&agent.with_secret("wrong"), "")
        .await
        .is(401, INVALID_CLIENT);
}
