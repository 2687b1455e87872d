//! `POST /api/v1/token/introspect` (RFC 7662; contract §3; items 36–40).

use serde_json::json;

use super::on_both;
use super::token::{INVALID_CLIENT, SUSPENDED};
use crate::harness::app::{
    INTROSPECT, ISSUER, NOW, REVOKE, TOKEN, TestApp, basic, bearer, claims, encode,
};

pub const INACTIVE: &str = "{\"active\":false}";

on_both! {
    an_active_token_is_told_about_in_full,
    a_token_for_several_audiences_shows_them_all,
    every_dead_token_gets_the_same_answer,
    a_token_is_dead_from_the_second_exp_on,
    a_caller_may_use_either_method_or_a_bearer,
    failed_client_authentication_is_the_401_of_the_token_endpoint,
    a_suspended_caller_is_told_so,
    a_bad_bearer_is_invalid_token,
    a_caller_without_tokens_read_is_insufficient,
    a_scope_that_an_operator_added_opens_nothing,
    a_caller_sees_tokens_of_any_audience,
    a_bearer_for_another_service_opens_nothing,
    a_missing_or_repeated_token_is_an_invalid_request,
    two_methods_at_once_are_an_invalid_request,
    other_methods_and_media_types_are_refused,
    a_token_may_inspect_itself,
}

/// Items 39, 47.
async fn an_active_token_is_told_about_in_full(app: &TestApp<'_>) {
    let caller = app.agent("tokens:read").await;
    let agent = app.agent("agents:read audit:read").await;
    let token = app.token(&agent).await;
    let jti = claims(&token)["jti"].as_str().unwrap().to_owned();
    let (id, iat, exp) = (&agent.id, NOW.0, NOW.0 + 600);
    let body = format!(
        r#"{{"active":true,"sub":"{id}","client_id":"{id}","scope":"agents:read audit:read","token_type":"Bearer","iat":{iat},"exp":{exp},"aud":"{ISSUER}","iss":"{ISSUER}","jti":"{jti}"}}"#
    );
    let answer = app.introspect(&caller, &token).await;
    answer.is(200, &body);
    assert_eq!(answer.header("content-type"), "application/json");
}

async fn a_token_for_several_audiences_shows_them_all(app: &TestApp<'_>) {
    let caller = app.agent("tokens:read").await;
    let token = app
        .token_with(&caller, "resource=https://a&resource=https://b")
        .await;
    assert_eq!(
        app.introspect(&caller, &token).await.json()["aud"],
        json!(["https://a", "https://b"])
    );
}

/// Items 37, 40: the response is the same byte for byte, whatever the reason.
async fn every_dead_token_gets_the_same_answer(app: &TestApp<'_>) {
    let caller = app.agent("tokens:read").await;
    let (agent, killed, retired) = (
        app.agent("audit:read").await,
        app.agent("audit:read").await,
        app.agent("audit:read").await,
    );
    let (revoked, live) = (app.token(&agent).await, app.token(&agent).await);
    let (of_killed, of_retired) = (app.token(&killed).await, app.token(&retired).await);
    app.revoke(&agent, &revoked).await.is(200, "{}");
    app.suspend(&killed).await;
    app.decommission(&retired).await;
    let (head, tail) = live.rsplit_once('.').unwrap();
    let dead = [
        revoked,
        of_killed,
        of_retired,
        "garbage".to_owned(),
        " ".to_owned(),
        "a.b.c".to_owned(),
        format!("{head}."),
        format!("{head}.AAAA{}", &tail[4..]),
        "é\u{0}\u{1F980}".to_owned(),
    ];
    let first = app.introspect(&caller, "x").await;
    first.is(200, INACTIVE);
    for token in dead {
        let answer = app.introspect(&caller, &token).await;
        assert_eq!(answer.fingerprint(), first.fingerprint(), "{token}");
    }
    assert!(app.is_active(&caller, &live).await);
}

/// D7; known failure 9: no clean-up runs in this test. Time alone makes the token inactive.
async fn a_token_is_dead_from_the_second_exp_on(app: &TestApp<'_>) {
    let caller = app.agent("tokens:read").await;
    let token = app.token(&caller).await;
    app.clock.advance(599);
    assert!(app.is_active(&caller, &token).await);
    app.clock.advance(1);
    app.introspect(&caller, &token).await.is(200, INACTIVE);
}

/// Item 36; D15.
async fn a_caller_may_use_either_method_or_a_bearer(app: &TestApp<'_>) {
    let caller = app.agent("tokens:read").await;
    let token = app.token(&caller).await;
    let body = format!("token={token}&token_type_hint=refresh_token&foo=bar&foo=baz");
    let by_form = app
        .post(INTROSPECT, &format!("{body}&{}", caller.form()))
        .await;
    let by_basic = app.post_as(&caller.basic(), INTROSPECT, &body).await;
    let by_bearer = app.post_as(&bearer(&token), INTROSPECT, &body).await;
    let by_lower_case = app
        .post_as(
            &bearer(&token).replace("Bearer", "bearer"),
            INTROSPECT,
            &body,
        )
        .await;
    let with_id = app
        .post_as(
            &caller.basic(),
            INTROSPECT,
            &format!("{body}&client_id={}", caller.id),
        )
        .await;
    for answer in [&by_form, &by_basic, &by_bearer, &by_lower_case, &with_id] {
        assert_eq!(answer.fingerprint(), by_form.fingerprint());
        assert_eq!(answer.json()["active"], true);
    }
}

async fn failed_client_authentication_is_the_401_of_the_token_endpoint(app: &TestApp<'_>) {
    let caller = app.agent("tokens:read").await;
    for path in [INTROSPECT, REVOKE, "/oauth/revoke"] {
        for (id, secret) in [(&*caller.id, "wrong"), ("nobody", &*caller.secret)] {
            let by_basic = app.post_as(&basic(id, secret), path, "token=x").await;
            by_basic.is(401, INVALID_CLIENT);
            assert!(
                by_basic.header("www-authenticate").starts_with("Basic "),
                "{by_basic:?}"
            );
            let form = format!("token=x&client_id={id}&client_secret={secret}");
            app.post(path, &form).await.is(401, INVALID_CLIENT);
        }
    }
}

async fn a_suspended_caller_is_told_so(app: &TestApp<'_>) {
    let caller = app.agent("tokens:read").await;
    let token = app.token(&caller).await;
    app.suspend(&caller).await;
    for path in [INTROSPECT, REVOKE] {
        app.post_as(&caller.basic(), path, "token=x")
            .await
            .is(403, SUSPENDED);
        app.post_as(&basic(&caller.id, "wrong"), path, "token=x")
            .await
            .is(401, INVALID_CLIENT);
        app.post_as(&bearer(&token), path, "token=x")
            .await
            .is_bearer_error(401, "invalid_token", "UNAUTHORIZED");
    }
}

/// Item 29.
async fn a_bad_bearer_is_invalid_token(app: &TestApp<'_>) {
    let caller = app.agent("tokens:read").await;
    let token = app.token(&caller).await;
    app.revoke(&caller, &token).await;
    for path in [INTROSPECT, REVOKE, "/oauth/revoke"] {
        for bad in [
            bearer("garbage"),
            bearer(&token),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            "Bearer \u{e9}".to_owned(),
            bearer(&token).replace(' ', "\t"),
            "bearer\t".to_owned(),
        ] {
            let answer = app.post_as(&bad, path, &format!("token={token}")).await;
            answer.is_bearer_error(401, "invalid_token", "UNAUTHORIZED");
            let challenge = answer.header("www-authenticate");
            assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        }
    }
}

/// Item 36.
async fn a_caller_without_tokens_read_is_insufficient(app: &TestApp<'_>) {
    let caller = app.agent("agents:read admin:orgs").await;
    let both = app.agent("agents:read tokens:read").await;
    let token = app.token(&caller).await;
    // A token without the scope is refused, even if its agent is allowed the scope.
    let narrow = app.token_with(&both, "scope=agents:read").await;
    for authorization in [caller.basic(), bearer(&token), bearer(&narrow)] {
        let answer = app
            .post_as(&authorization, INTROSPECT, &format!("token={token}"))
            .await;
        answer.is_bearer_error(403, "insufficient_scope", "FORBIDDEN");
        let challenge = answer.header("www-authenticate");
        assert!(challenge.contains("scope=\"tokens:read\""), "{challenge}");
    }
    assert!(app.is_active(&both, &token).await);
}

async fn a_scope_that_an_operator_added_opens_nothing(app: &TestApp<'_>) {
    for name in [
        "tokens:reader",
        "Tokens:read",
        "tokens.read",
        "tokens:*",
        "*",
    ] {
        app.add_scope(name).await;
    }
    let caller = app
        .agent("tokens:reader Tokens:read tokens.read tokens:* *")
        .await;
    let token = app.token(&caller).await;
    for authorization in [caller.basic(), bearer(&token)] {
        let answer = app.post_as(&authorization, INTROSPECT, "token=x").await;
        answer.is_bearer_error(403, "insufficient_scope", "FORBIDDEN");
    }
}

/// Item 38; known failure 10.
async fn a_caller_sees_tokens_of_any_audience(app: &TestApp<'_>) {
    let (caller, agent) = (
        app.agent("tokens:read").await,
        app.agent("audit:read").await,
    );
    let token = app.token_with(&agent, "audience=https://elsewhere").await;
    let answer = app.introspect(&caller, &token).await;
    assert_eq!(
        (&answer.json()["active"], answer.text("aud")),
        (&json!(true), "https://elsewhere".to_owned())
    );
}

async fn a_bearer_for_another_service_opens_nothing(app: &TestApp<'_>) {
    let caller = app.agent("tokens:read").await;
    let foreign = app.token_with(&caller, "audience=https://elsewhere").await;
    for path in [INTROSPECT, REVOKE] {
        let answer = app
            .post_as(&bearer(&foreign), path, &format!("token={foreign}"))
            .await;
        answer.is_bearer_error(401, "invalid_token", "UNAUTHORIZED");
    }
    assert!(app.is_active(&caller, &foreign).await);
}

/// Item 34.
async fn a_missing_or_repeated_token_is_an_invalid_request(app: &TestApp<'_>) {
    let caller = app.agent("tokens:read").await;
    for path in [INTROSPECT, REVOKE, "/oauth/revoke"] {
        for body in [
            "",
            "token=",
            "token",
            "foo=bar",
            "token=a&token=a",
            "token=a&token=b",
            "token=%ff",
        ] {
            app.post_as(&caller.basic(), path, body)
                .await
                .is_error(400, "invalid_request");
            // Parameters come before authentication (D6).
            app.post_as(&basic("nobody", "x"), path, body)
                .await
                .is_error(400, "invalid_request");
        }
    }
}

/// Items 12, 29.
async fn two_methods_at_once_are_an_invalid_request(app: &TestApp<'_>) {
    let caller = app.agent("tokens:read").await;
    let token = app.token(&caller).await;
    for path in [INTROSPECT, REVOKE] {
        for (authorization, extra) in [
            (caller.basic(), format!("client_secret={}", caller.secret)),
            (caller.basic(), "client_id=another".to_owned()),
            (caller.basic(), "client_assertion=x".to_owned()),
            (bearer(&token), format!("client_secret={}", caller.secret)),
            (bearer(&token), format!("access_token={token}")),
        ] {
            let answer = app
                .post_as(&authorization, path, &format!("token={token}&{extra}"))
                .await;
            answer.is_error(400, "invalid_request");
        }
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("authorization", &*caller.basic()),
            ("authorization", &*bearer(&token)),
        ];
        let answer = app
            .send("POST", path, &headers, format!("token={token}").into())
            .await;
        answer.is_error(400, "invalid_request");
    }
    assert!(app.is_active(&caller, &token).await);
}

/// Items 1, 34, 39.
async fn other_methods_and_media_types_are_refused(app: &TestApp<'_>) {
    let caller = app.agent("tokens:read").await;
    for path in [INTROSPECT, REVOKE, "/oauth/revoke"] {
        for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"] {
            let headers = [("authorization", &*caller.basic())];
            let answer = app.send(method, path, &headers, vec![]).await;
            answer.is_error(405, "invalid_request");
            assert_eq!(answer.header("allow"), "POST");
        }
        let headers = [
            ("authorization", &*caller.basic()),
            ("content-type", "application/json"),
        ];
        let answer = app
            .send("POST", path, &headers, b"{\"token\":\"x\"}".to_vec())
            .await;
        answer.is_error(400, "invalid_request");
    }
}

async fn a_token_may_inspect_itself(app: &TestApp<'_>) {
    let caller = app.agent("tokens:read").await;
    let token = app.token(&caller).await;
    let body = format!("token={}", encode(&token));
    assert_eq!(
        app.post_as(&bearer(&token), INTROSPECT, &body).await.json()["active"],
        true
    );
    // A token does not work as a client secret.
    let as_secret = format!(
        "grant_type=client_credentials&client_id={}&client_secret={token}",
        caller.id
    );
    app.post(TOKEN, &as_secret).await.is(401, INVALID_CLIENT);
    // Item 54: a token does not work as a client assertion.
    let as_assertion = format!(
        "grant_type=client_credentials&client_id={}&client_assertion={token}&client_assertion_type={}",
        caller.id, "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
    );
    app.post(TOKEN, &as_assertion).await.is(401, INVALID_CLIENT);
}
