//! What a token is worth when its key goes, and what introspection and revocation cost their callers.

use super::on_both;
use crate::harness::app::{INTROSPECT, REVOKE, TestApp, bearer, header};

const INACTIVE: &str = "{\"active\":false}";

on_both! {
    a_token_that_is_remembered_dies_with_its_keys_row,
    introspections_have_a_rate_of_their_own_for_each_caller,
    revocations_have_a_rate_of_their_own_for_each_caller,
}

async fn a_token_that_is_remembered_dies_with_its_keys_row(app: &TestApp<'_>) {
    let other = app.beside().await;
    let agent = app.agent("tokens:read").await;
    let token = app.token(&agent).await;
    for process in [app, &other] {
        assert!(process.is_active(&agent, &token).await);
        assert_eq!(process.get_as(&bearer(&token), "/forward-auth").await.status, 200);
    }
    let kid = header(&token)["kid"].as_str().unwrap().to_owned();
    app.database.execute(&format!("delete from signing_key where kid = '{kid}'")).await;
    app.clock.advance(1);
    for process in [app, &other] {
        // With the next reading of the keys at the latest.
        process.opened.keys.refresh().await.unwrap();
        process.introspect(&agent, &token).await.is(200, INACTIVE);
        assert_eq!(process.get_as(&bearer(&token), "/forward-auth").await.status, 401);
        let own = process.post_as(&bearer(&token), INTROSPECT, &format!("token={token}")).await;
        own.is_bearer_error(401, "invalid_token", "UNAUTHORIZED");
        assert_eq!(process.get("/.well-known/jwks.json").await.body, r#"{"keys":[]}"#);
    }
}

async fn introspections_have_a_rate_of_their_own_for_each_caller(app: &TestApp<'_>) {
    let limited = &app.beside_with(&[("limits.introspections_per_minute", "2")]).await;
    let (one, two) = (app.agent("tokens:read").await, app.agent("tokens:read").await);
    let (token, own) = (app.token(&one).await, app.token(&two).await);
    let form = format!("token={token}");
    for _ in 0..2 {
        assert!(limited.is_active(&one, &token).await);
        assert_eq!(limited.post_as(&bearer(&own), INTROSPECT, &form).await.json()["active"], true);
    }
    for answer in
        [limited.introspect(&one, &token).await, limited.post_as(&bearer(&own), INTROSPECT, &form).await]
    {
        answer.is_error(429, "slow_down");
        assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    }
    // A wrong secret draws nothing, and neither tokens nor revocations are held up.
    let wrong = two.with_secret(&two.forged_secret());
    assert_eq!(limited.introspect(&wrong, &token).await.status, 401);
    limited.token(&one).await;
    limited.revoke(&one, &token).await.is(200, "{}");
}

async fn revocations_have_a_rate_of_their_own_for_each_caller(app: &TestApp<'_>) {
    let limited = &app.beside_with(&[("limits.revocations_per_minute", "2")]).await;
    let (one, two) = (app.agent("tokens:read").await, app.agent("tokens:read").await);
    let (token, spared) = (app.token(&one).await, app.token(&one).await);
    for path in [REVOKE, "/oauth/revoke"] {
        limited.post_as(&one.basic(), path, &format!("token={token}")).await.is(200, "{}");
    }
    for path in [REVOKE, "/oauth/revoke"] {
        for authorization in [one.basic(), bearer(&spared)] {
            let answer = limited.post_as(&authorization, path, &format!("token={spared}")).await;
            answer.is_error(429, "slow_down");
            assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
        }
    }
    assert!(limited.is_active(&two, &spared).await);
    let own = app.token(&two).await;
    limited.revoke(&two, &own).await.is(200, "{}");
    // Another process counts for itself.
    app.revoke(&one, &spared).await.is(200, "{}");
}
