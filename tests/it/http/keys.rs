//! What becomes of a token when its key is removed, and the rate limits of introspection and
//! revocation.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealwright::testing::keys::algorithm::{PrivateKey, RsaBits, generate};
use sealwright::testing::service::key_rotation::RotationMode;
use serde_json::{Value, json};

use super::on_both;
use crate::harness::app::{INTROSPECT, ISSUER, NOW, REVOKE, TestApp, bearer, header};

const INACTIVE: &str = "{\"active\":false}";

on_both! {
    a_key_that_was_put_into_the_database_is_refused,
    what_is_published_is_the_private_parts_own,
    a_token_that_is_remembered_dies_with_its_keys_row,
    the_keys_and_their_times_are_listed_for_an_administrator,
    introspections_have_a_rate_of_their_own_for_each_caller,
    revocations_have_a_rate_of_their_own_for_each_caller,
}

async fn the_keys_and_their_times_are_listed_for_an_administrator(app: &TestApp<'_>) {
    const KEYS: &str = "/api/v1/keys";
    let admin = app.agent("admin:orgs agents:read").await;
    let token = app.token(&admin).await;
    let signing = header(&token)["kid"].clone();
    app.clock.advance(1);
    app.opened
        .keys
        .rotate(RotationMode::Announce, &app.opened.operator())
        .await
        .unwrap();
    let page = app.get_as(&bearer(&token), KEYS).await.json();
    assert_eq!(page["nextCursor"], Value::Null);
    let [first, second] = page["data"].as_array().unwrap().as_slice() else {
        panic!("{page}");
    };
    assert_eq!(
        (&first["kid"], &first["state"]),
        (&signing, &json!("signing"))
    );
    assert_eq!(second["state"], "announced");
    assert!(second["signsFrom"].as_str() > second["announcedAt"].as_str());
    assert_eq!(second["signsUntil"], Value::Null);
    assert_eq!(
        second.as_object().unwrap().len(),
        6,
        "no private part: {second}"
    );
    let reader = app.token(&app.agent("agents:read").await).await;
    assert_eq!(app.get_as(&bearer(&reader), KEYS).await.status, 403);
    assert_eq!(app.get(KEYS).await.status, 401);
    let page = app
        .get_as(&bearer(&token), &format!("{KEYS}?limit=1"))
        .await;
    assert_eq!(page.json()["details"]["errors"][0]["field"], "limit");
}

async fn a_token_that_is_remembered_dies_with_its_keys_row(app: &TestApp<'_>) {
    let other = app.beside().await;
    let agent = app.agent("tokens:read").await;
    let token = app.token(&agent).await;
    for process in [app, &other] {
        assert!(process.is_active(&agent, &token).await);
        assert_eq!(
            process
                .get_as(&bearer(&token), "/forward-auth")
                .await
                .status,
            200
        );
    }
    let kid = header(&token)["kid"].as_str().unwrap().to_owned();
    app.database
        .execute(&format!("delete from signing_key where kid = '{kid}'"))
        .await;
    app.clock.advance(1);
    for process in [app, &other] {
        // The tokens are inactive after the next reading of the keys at the latest.
        process.opened.keys.refresh().await.unwrap();
        process.introspect(&agent, &token).await.is(200, INACTIVE);
        assert_eq!(
            process
                .get_as(&bearer(&token), "/forward-auth")
                .await
                .status,
            401
        );
        let own = process
            .post_as(&bearer(&token), INTROSPECT, &format!("token={token}"))
            .await;
        own.is_bearer_error(401, "invalid_token", "UNAUTHORIZED");
        assert_eq!(
            process.get("/.well-known/jwks.json").await.body,
            r#"{"keys":[]}"#
        );
    }
}

async fn introspections_have_a_rate_of_their_own_for_each_caller(app: &TestApp<'_>) {
    let limited = &app
        .beside_with(&[("limits.introspections_per_minute", "2")])
        .await;
    let (one, two) = (
        app.agent("tokens:read").await,
        app.agent("tokens:read").await,
    );
    let (token, own) = (app.token(&one).await, app.token(&two).await);
    let form = format!("token={token}");
    for _ in 0..2 {
        assert!(limited.is_active(&one, &token).await);
        assert_eq!(
            limited
                .post_as(&bearer(&own), INTROSPECT, &form)
                .await
                .json()["active"],
            true
        );
    }
    for answer in [
        limited.introspect(&one, &token).await,
        limited.post_as(&bearer(&own), INTROSPECT, &form).await,
    ] {
        answer.is_error(429, "slow_down");
        assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    }
    // A wrong secret does not count against the rate. Tokens and revocations are not limited by it.
    let wrong = two.with_secret(&two.forged_secret());
    assert_eq!(limited.introspect(&wrong, &token).await.status, 401);
    limited.token(&one).await;
    limited.revoke(&one, &token).await.is(200, "{}");
}

async fn revocations_have_a_rate_of_their_own_for_each_caller(app: &TestApp<'_>) {
    let limited = &app
        .beside_with(&[("limits.revocations_per_minute", "2")])
        .await;
    let (one, two) = (
        app.agent("tokens:read").await,
        app.agent("tokens:read").await,
    );
    let (token, spared) = (app.token(&one).await, app.token(&one).await);
    for path in [REVOKE, "/oauth/revoke"] {
        limited
            .post_as(&one.basic(), path, &format!("token={token}"))
            .await
            .is(200, "{}");
    }
    for path in [REVOKE, "/oauth/revoke"] {
        for authorization in [one.basic(), bearer(&spared)] {
            let answer = limited
                .post_as(&authorization, path, &format!("token={spared}"))
                .await;
            answer.is_error(429, "slow_down");
            assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
        }
    }
    assert!(limited.is_active(&two, &spared).await);
    let own = app.token(&two).await;
    limited.revoke(&two, &own).await.is(200, "{}");
    // Each process has a rate of its own.
    app.revoke(&one, &spared).await.is(200, "{}");
}

const JWKS: &str = "/.well-known/jwks.json";

/// The attacker can write to the database but has no master key.
async fn a_key_that_was_put_into_the_database_is_refused(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read admin:orgs").await;
    let published = app.get(JWKS).await.body;
    let own = generate(RsaBits::B2048).unwrap();
    let private = PrivateKey::from_der(&own.private_der).unwrap();
    let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut forged = [
        encode(json!({"alg": "RS256", "typ": "at+jwt", "kid": own.kid.0})),
        encode(json!({
            "iss": ISSUER, "sub": agent.id, "aud": ISSUER, "client_id": agent.id, "scope": "admin:orgs",
            "jti": "01920000-0000-7000-8000-000000000000", "epoch": 0, "iat": NOW.0, "exp": NOW.0 + 600,
        })),
    ]
    .join(".");
    private.sign_onto(&mut forged).unwrap();
    // With the private part of the genuine key, and without a private part.
    for private_key in ["private_key", "substr(private_key, 1, 0)"] {
        for state in ["retiring", "announced"] {
            app.database
                .execute("delete from signing_key where state <> 'signing'")
                .await;
            let insert = format!(
                "insert into signing_key (kid, public_jwk, private_key, state, announced_at, signs_from, signs_until,
                                          published_until)
                 select '{}', '{}', {private_key}, '{state}', 0, 0, null, {}
                 from signing_key where state = 'signing'",
                own.kid.0,
                own.public_jwk,
                NOW.0 + 90_000
            );
            app.database.execute(&insert).await;
            app.clock.advance(1);
            let other = app.beside().await;
            for process in [app, &other] {
                process.opened.keys.refresh().await.unwrap();
                process.introspect(&agent, &forged).await.is(200, INACTIVE);
                assert_eq!(
                    process
                        .get_as(&bearer(&forged), "/forward-auth")
                        .await
                        .status,
                    401
                );
                assert_eq!(process.get(JWKS).await.body, published);
                let token = process.token(&agent).await;
                assert!(process.is_active(&agent, &token).await);
            }
            let rows = format!(
                "select count(*) from signing_key where kid = '{}' and state = '{state}'",
                own.kid.0
            );
            assert_eq!(
                app.database.number(&rows).await,
                1,
                "nothing is done about it"
            );
        }
    }
}

async fn what_is_published_is_the_private_parts_own(app: &TestApp<'_>) {
    let published = app.get(JWKS).await.body;
    app.database.execute("update signing_key set public_jwk = replace(public_jwk, '{', '{\"x5u\":\"https://evil.example\",')").await;
    app.clock.advance(1);
    app.opened.keys.refresh().await.unwrap();
    assert_eq!(app.get(JWKS).await.body, published);
    // Another key under a genuine kid is refused: the process keeps its last good key set.
    let own = generate(RsaBits::B2048).unwrap();
    app.database
        .execute(&format!(
            "update signing_key set public_jwk = '{}'",
            own.public_jwk
        ))
        .await;
    app.clock.advance(1);
    app.opened.keys.refresh().await.unwrap_err();
    assert_eq!(app.get(JWKS).await.body, published);
}
