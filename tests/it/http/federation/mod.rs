//! Client authentication by tokens of partners, as Kubernetes and GitHub Actions write them. Their keys
//! are fetched over TLS from a server on loopback.

use serde_json::{Value, json};

use super::token::{INVALID_CLIENT, SUSPENDED};
use crate::harness::app::{
    AGENTS, Agent, INTROSPECT, ISSUER, OAUTH_TOKEN, TOKEN, bearer, claims, wait_until,
};

mod platform;

use platform::{CLUSTER, Platform, Stage, account, ask_at, new_key, patiently, run};

/// The scenarios, on both stores. Each gets a platform whose keys the server may fetch.
macro_rules! with_platform {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                let database = crate::harness::database::Database::sqlite().await;
                super::run(&database, async |stage| super::$test(stage).await).await;
                database.remove().await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                let database = crate::harness::database::Database::postgres().await;
                super::run(&database, async |stage| super::$test(stage).await).await;
                database.remove().await;
            })*
        }
    };
}

mod corpus;
mod keys;
mod races;
mod standing;
mod stops;

with_platform! {
    a_service_account_opens_without_a_secret,
    a_workflow_opens_for_its_owner_alone,
    every_term_of_a_credential_bounds_the_token,
    a_secret_does_not_open_what_needs_another_proof,
    a_partner_that_is_suspended_proves_nobody_on_any_process,
    keys_are_fetched_in_the_background_and_rarely,
    keys_that_a_partner_withdraws_serve_no_longer,
    what_a_partner_requires_later_binds_the_credentials_before,
    a_flood_of_forged_tokens_stops_nobody_who_proved_itself,
    an_operator_is_told_which_check_fails,
    every_fault_of_a_federated_credential_is_told,
    a_partner_of_another_organization_is_none,
}

async fn a_service_account_opens_without_a_secret(stage: &Stage<'_>) {
    let app = &stage.app;
    app.agent_named("reports", "agents:read").await;
    let partner = stage
        .partner("kubernetes", &json!({ "issuer": CLUSTER }))
        .await;
    let credential = stage.trust("reports", account(&partner)).await;
    let token = stage.platform.sign(&stage.of_cluster());
    // The first request finds no keys, and does not wait for them.
    let first = stage.ask("reports", &token, "").await;
    first.is_error(503, "temporarily_unavailable");
    assert_eq!(first.header("retry-after"), "1");
    let got = stage.ask_patiently("reports", &token).await;
    assert_eq!(got.status, 200, "{got:?}");
    let issued = claims(&got.text("access_token"));
    assert_eq!(
        (&issued["sub"], &issued["client_id"]),
        (&json!("reports"), &json!("reports"))
    );
    assert_eq!(
        issued["exp"].as_i64().unwrap() - issued["iat"].as_i64().unwrap(),
        600
    );
    // It is a file that the platform renews, so it may be presented again.
    let again = ask_at(app, OAUTH_TOKEN, "reports", &token, "").await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(stage.platform.seen(), 1);
    // A second process has keys of its own.
    let pairs: Vec<(&str, &str)> = stage.settings.iter().map(|(k, v)| (*k, &**v)).collect();
    let beside = app.beside_with(&pairs).await;
    let other = patiently(async || ask_at(&beside, TOKEN, "reports", &token, "").await).await;
    assert_eq!(other.status, 200, "{other:?}");
    let shown = stage
        .send(&format!("GET {AGENTS}/reports"), &Value::Null)
        .await;
    let shown = shown.json()["credentials"][0].clone();
    assert_eq!(shown["credentialId"], credential);
    assert_eq!(
        (&shown["kind"], &shown["partnerId"]),
        (&json!("federated"), &json!(partner))
    );
    assert_eq!(shown["claims"], account(&partner)["claims"]);
    assert_eq!(
        (&shown["subject"], &shown["hint"]),
        (&shown["hint"], &account("")["subject"])
    );
    let line = "GET /api/v1/audit?agentId=reports&kind=token.issued".to_owned();
    let event = stage.send(&line, &Value::Null).await.json()["data"][0]["event"].clone();
    assert_eq!(event["credentialId"], credential, "{event}");
    // The token lives no longer than its proof, and after the proof's end nothing opens.
    app.clock.advance(3_600 - 100);
    let last = stage.ask("reports", &token, "").await;
    assert_eq!(last.json()["expires_in"], 100, "{last:?}");
    app.clock.advance(100);
    stage
        .ask("reports", &token, "")
        .await
        .is(401, INVALID_CLIENT);
    let line = format!("DELETE {AGENTS}/reports/credentials/{credential}");
    let admin = bearer(&app.token(&stage.boss).await);
    let ended = stage.send_as(&admin, &line, &Value::Null).await;
    assert_eq!(ended.status, 204, "{ended:?}");
    let renewed = stage.platform.sign(&stage.of_cluster());
    stage
        .ask("reports", &renewed, "")
        .await
        .is(401, INVALID_CLIENT);
}

async fn a_workflow_opens_for_its_owner_alone(stage: &Stage<'_>) {
    let app = &stage.app;
    let agent = app.agent_named("deploy", "agents:read").await;
    app.agent_named("other", "agents:read").await;
    let known = json!({ "algorithms": ["ES256"] });
    let partner = stage.partner("github", &known).await;
    let owner = json!({
        "partnerId": partner, "subject": "repo:acme/*", "claims": {"/repository_owner_id": "65"},
    });
    stage.trust("deploy", owner).await;
    let good = stage.of_workflow();
    let token = stage.platform.sign(&good);
    let got = stage.ask_patiently("deploy", &token).await;
    assert_eq!(got.status, 200, "{got:?}");
    // Who trusts nobody, and who does not exist, answer as one.
    for agent in ["other", "nobody", "boss"] {
        stage.ask(agent, &token, "").await.is(401, INVALID_CLIENT);
    }
    stage
        .ask("", &token, "")
        .await
        .is_error(400, "invalid_request");
    let now = stage.now();
    for (name, value) in [
        ("sub", json!("repo:acme-evil/app:ref:refs/heads/main")),
        ("sub", json!("repo:acme")),
        ("sub", json!("deploy")),
        ("repository_owner_id", json!("66")),
        ("repository_owner_id", json!(65)),
        ("repository_owner_id", Value::Null),
        ("aud", json!("https://github.com/acme")),
        ("aud", json!([])),
        ("iss", json!("https://token.actions.githubusercontent.com/")),
        ("iss", json!("https://github.evil.example")),
        ("iss", json!(ISSUER)),
        ("iat", json!(now - 601)),
        ("iat", json!(now + 61)),
        ("nbf", json!(now + 61)),
        ("exp", json!(now)),
        ("exp", json!("never")),
    ] {
        let mut bad = good.clone();
        bad[name] = value;
        let refused = stage.ask("deploy", &stage.platform.sign(&bad), "").await;
        refused.is(401, INVALID_CLIENT);
    }
    // Somebody else's signature under a key's name, and no signature.
    let foreign = Platform::start().await.sign(&good);
    let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
    for forged in [foreign, unsigned, "a.b.c".to_owned()] {
        stage
            .ask("deploy", &forged, "")
            .await
            .is(401, INVALID_CLIENT);
    }
    // A token of this server proves nobody, and a partner's token opens no other endpoint.
    let own = app.token(&agent).await;
    stage.ask("deploy", &own, "").await.is(401, INVALID_CLIENT);
    stage.ask("", &own, "").await.is(401, INVALID_CLIENT);
    let bearer = app.get_as(&bearer(&token), "/api/v1/whoami").await;
    assert_eq!(bearer.status, 401, "{bearer:?}");
    let two = stage.ask("deploy", &token, "&client_secret=x").await;
    two.is_error(400, "invalid_request");
    // Its status is told after the proof, and not before.
    app.suspend(&agent).await;
    stage.ask("deploy", &token, "").await.is(403, SUSPENDED);
    let mut bad = good.clone();
    bad["repository_owner_id"] = json!("66");
    stage
        .ask("deploy", &stage.platform.sign(&bad), "")
        .await
        .is(401, INVALID_CLIENT);
}

async fn every_term_of_a_credential_bounds_the_token(stage: &Stage<'_>) {
    let app = &stage.app;
    app.add_scope("db:read").await;
    app.agent_named("reports", "agents:read db:read").await;
    let partner = stage
        .partner("kubernetes", &json!({ "issuer": CLUSTER }))
        .await;
    let mut terms = account(&partner);
    terms["scopes"] = json!(["db:read"]);
    terms["ttl"] = json!(60);
    let credential = stage.trust("reports", terms).await;
    let token = stage.platform.sign(&stage.of_cluster());
    let got = stage.ask_patiently("reports", &token).await;
    let told = got.json();
    assert_eq!(
        (&told["scope"], &told["expires_in"]),
        (&json!("db:read"), &json!(60))
    );
    let more = stage.ask("reports", &token, "&scope=agents:read").await;
    more.is_error(400, "invalid_scope");
    // Another credential of the same subject opens more, once the older one has ended.
    stage.trust("reports", account(&partner)).await;
    let still = stage.ask("reports", &token, "").await;
    assert_eq!(still.json()["scope"], "db:read");
    let line = format!("DELETE {AGENTS}/reports/credentials/{credential}");
    assert_eq!(stage.send(&line, &Value::Null).await.status, 204);
    let all = stage.ask("reports", &token, "").await.json();
    assert_eq!(all["expires_in"], 600);
    assert_eq!(all["scope"].as_str().unwrap().split(' ').count(), 2);
}

async fn a_secret_does_not_open_what_needs_another_proof(stage: &Stage<'_>) {
    let app = &stage.app;
    app.add_scope("pay:send").await;
    app.add_scope("db:read").await;
    let agent = app.agent_named("reports", "db:read pay:send").await;
    let partner = stage
        .partner("kubernetes", &json!({ "issuer": CLUSTER }))
        .await;
    stage.trust("reports", account(&partner)).await;
    let by_secret = app.ask(&agent, "").await;
    assert_eq!(by_secret.json()["scope"], "db:read", "{by_secret:?}");
    let named = app.ask(&agent, "&scope=pay:send").await;
    named.is_error(400, "invalid_scope");
    let token = stage.platform.sign(&stage.of_cluster());
    let got = stage.ask_patiently("reports", &token).await;
    assert_eq!(got.json()["scope"].as_str().unwrap().split(' ').count(), 2);
    let only = app.agent_named("only", "pay:send").await;
    app.ask(&only, "").await.is_error(400, "invalid_scope");
    // So it is where a secret opens more than a token.
    let reader: Agent = app.agent_named("reader", "tokens:read").await;
    let form = format!(
        "token=x&client_id={}&client_secret={}",
        reader.id, reader.secret
    );
    assert_eq!(app.post(INTROSPECT, &form).await.status, 403);
}

async fn a_partner_that_is_suspended_proves_nobody_on_any_process(stage: &Stage<'_>) {
    let app = &stage.app;
    app.agent_named("reports", "agents:read").await;
    let partner = stage
        .partner("kubernetes", &json!({ "issuer": CLUSTER }))
        .await;
    let credential = stage.trust("reports", account(&partner)).await;
    let pairs: Vec<(&str, &str)> = stage.settings.iter().map(|(k, v)| (*k, &**v)).collect();
    let beside = app.beside_with(&pairs).await;
    let token = stage.platform.sign(&stage.of_cluster());
    let got = stage.ask_patiently("reports", &token).await;
    let there = async || ask_at(&beside, TOKEN, "reports", &token, "").await;
    assert_eq!(patiently(there).await.status, 200);
    let held = bearer(&got.text("access_token"));
    let line = |action: &str| format!("POST /api/v1/partners/{partner}/{action}");
    let suspended = stage.send(&line("suspend"), &Value::Null).await;
    assert_eq!(suspended.status, 200, "{suspended:?}");
    there().await.is(401, INVALID_CLIENT);
    stage
        .ask("reports", &token, "")
        .await
        .is(401, INVALID_CLIENT);
    // The tokens live on, until somebody asks for their end.
    assert_eq!(app.get_as(&held, "/api/v1/whoami").await.status, 200);
    let tried = line("suspend?revokeTokens=true&dryRun=true");
    assert_eq!(stage.send(&tried, &Value::Null).await.status, 200);
    assert_eq!(app.get_as(&held, "/api/v1/whoami").await.status, 200);
    let killed = stage
        .send(&line("suspend?revokeTokens=true"), &Value::Null)
        .await;
    assert_eq!(killed.status, 200, "{killed:?}");
    assert!(killed.json()["revocationVersion"].is_i64(), "{killed:?}");
    assert_eq!(app.get_as(&held, "/api/v1/whoami").await.status, 401);
    assert_eq!(
        stage.send(&line("reactivate"), &Value::Null).await.status,
        200
    );
    // Keys that may have leaked meanwhile are not trusted any more: they are fetched anew.
    there().await.is_error(503, "temporarily_unavailable");
    assert_eq!(patiently(there).await.status, 200);
    assert_eq!(app.get_as(&held, "/api/v1/whoami").await.status, 401);
    // A partner that agents rely on is not deleted.
    let delete = format!("DELETE /api/v1/partners/{partner}");
    for line in [format!("{delete}?dryRun=true"), delete.clone()] {
        let refused = stage.send(&line, &Value::Null).await;
        refused.is_management_error(409, "PARTNER_IN_USE");
        let details = refused.json()["details"].clone();
        assert_eq!(
            (&details["agents"], &details["count"]),
            (&json!(["reports"]), &json!(1))
        );
    }
    let end = format!("DELETE {AGENTS}/reports/credentials/{credential}");
    assert_eq!(stage.send(&end, &Value::Null).await.status, 204);
    assert_eq!(stage.send(&delete, &Value::Null).await.status, 204);
    // What has ended still says what it was.
    let all = format!("GET {AGENTS}/reports/credentials?all=true");
    let all = stage.send(&all, &Value::Null).await.json()["data"].clone();
    assert_eq!(
        (&all[0]["kind"], &all[0]["partnerId"]),
        (&json!("federated"), &json!(partner))
    );
}

async fn keys_are_fetched_in_the_background_and_rarely(stage: &Stage<'_>) {
    let (app, platform) = (&stage.app, &stage.platform);
    app.agent_named("reports", "agents:read").await;
    let partner = stage
        .partner("kubernetes", &json!({ "issuer": CLUSTER }))
        .await;
    stage.trust("reports", account(&partner)).await;
    // A partner whose keys nobody can read: no verdict, whoever asks.
    *platform.answer.lock().unwrap() = Some("<html>".to_owned());
    let token = stage.platform.sign(&stage.of_cluster());
    for _ in 0..3 {
        let first = stage.ask("reports", &token, "").await;
        first.is_error(503, "temporarily_unavailable");
    }
    wait_until("the fetch", async || platform.seen() == 1).await;
    *platform.answer.lock().unwrap() = None;
    app.clock.advance(5);
    assert_eq!(stage.ask_patiently("reports", &token).await.status, 200);
    assert_eq!(platform.seen(), 2);
    // A key that is unknown soon after a fetch is none of the partner's.
    let new = ("k2".to_owned(), new_key());
    let old = std::mem::replace(&mut *platform.keys.lock().unwrap(), vec![new]);
    let rotated = platform.sign(&stage.of_cluster());
    for _ in 0..3 {
        stage
            .ask("reports", &rotated, "")
            .await
            .is(401, INVALID_CLIENT);
    }
    assert_eq!(platform.seen(), 2);
    app.clock.advance(30);
    let looked_for = stage.ask("reports", &rotated, "").await;
    looked_for.is_error(503, "temporarily_unavailable");
    assert_eq!(stage.ask_patiently("reports", &rotated).await.status, 200);
    assert_eq!(platform.seen(), 3);
    stage
        .ask("reports", &token, "")
        .await
        .is(401, INVALID_CLIENT);
    // Past their time they serve on while the platform answers nothing good.
    *platform.answer.lock().unwrap() = Some("{}".to_owned());
    app.clock.advance(700);
    let rotated = platform.sign(&stage.of_cluster());
    assert_eq!(stage.ask("reports", &rotated, "").await.status, 200);
    wait_until("the next fetch", async || platform.seen() == 4).await;
    assert_eq!(stage.ask("reports", &rotated, "").await.status, 200);
    assert_eq!(platform.seen(), 4);
    app.clock.advance(3_600);
    let rotated = platform.sign(&stage.of_cluster());
    let over = stage.ask("reports", &rotated, "").await;
    over.is_error(503, "temporarily_unavailable");
    drop(old);
}

async fn keys_that_a_partner_withdraws_serve_no_longer(stage: &Stage<'_>) {
    let (app, platform) = (&stage.app, &stage.platform);
    app.agent_named("reports", "agents:read").await;
    let partner = stage
        .partner("kubernetes", &json!({ "issuer": CLUSTER }))
        .await;
    stage.trust("reports", account(&partner)).await;
    let token = platform.sign(&stage.of_cluster());
    assert_eq!(stage.ask_patiently("reports", &token).await.status, 200);
    *platform.answer.lock().unwrap() = Some(r#"{"keys":[]}"#.to_owned());
    app.clock.advance(700);
    let token = platform.sign(&stage.of_cluster());
    assert_eq!(stage.ask("reports", &token, "").await.status, 200);
    wait_until("the keys are gone", async || {
        stage.ask("reports", &token, "").await.status == 503
    })
    .await;
}

async fn what_a_partner_requires_later_binds_the_credentials_before(stage: &Stage<'_>) {
    let app = &stage.app;
    app.agent_named("deploy", "agents:read").await;
    let required = json!({ "algorithms": ["ES256"], "requiredClaims": ["/sub"] });
    let partner = stage.partner("github", &required).await;
    let subject = "repo:acme/app:ref:refs/heads/main";
    let trusted = json!({ "partnerId": partner, "subject": subject, "claims": {} });
    stage.trust("deploy", trusted).await;
    let token = stage.platform.sign(&stage.of_workflow());
    assert_eq!(stage.ask_patiently("deploy", &token).await.status, 200);
    let line = format!("PATCH /api/v1/partners/{partner}");
    let more = json!({ "requiredClaims": ["/sub", "/repository_owner_id"] });
    let changed = stage.send(&line, &more).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let refused = stage.ask_patiently("deploy", &token).await;
    refused.is(401, INVALID_CLIENT);
    let pinned = json!({
        "partnerId": partner, "subject": subject, "claims": {"/repository_owner_id": "65"},
    });
    stage.trust("deploy", pinned).await;
    assert_eq!(stage.ask("deploy", &token, "").await.status, 200);
}

async fn a_flood_of_forged_tokens_stops_nobody_who_proved_itself(stage: &Stage<'_>) {
    stage.app.agent_named("reports", "agents:read").await;
    let partner = stage
        .partner("kubernetes", &json!({ "issuer": CLUSTER }))
        .await;
    stage.trust("reports", account(&partner)).await;
    let mut settings = stage.settings.clone();
    settings.push(("limits.failures_per_minute", "1".to_owned()));
    let pairs: Vec<(&str, &str)> = settings.iter().map(|(k, v)| (*k, &**v)).collect();
    let app = stage.app.beside_with(&pairs).await;
    let token = stage.platform.sign(&stage.of_cluster());
    let honest = async || ask_at(&app, TOKEN, "reports", &token, "").await;
    assert_eq!(patiently(honest).await.status, 200);
    let forged = format!("{}.AAAA", token.rsplit_once('.').unwrap().0);
    for _ in 0..20 {
        let refused = ask_at(&app, TOKEN, "reports", &forged, "").await;
        refused.is(401, INVALID_CLIENT);
    }
    // Agents that exist and others are refused as one.
    for agent in ["reports", "nobody"] {
        let refused = ask_at(&app, TOKEN, agent, &forged, "").await;
        assert_eq!(refused.status, 429, "{refused:?}");
    }
    assert_eq!(honest().await.status, 200);
}

async fn an_operator_is_told_which_check_fails(stage: &Stage<'_>) {
    let app = &stage.app;
    app.agent_named("reports", "agents:read").await;
    app.agent_named("other", "agents:read").await;
    let partner = stage
        .partner("kubernetes", &json!({ "issuer": CLUSTER }))
        .await;
    let credential = stage.trust("reports", account(&partner)).await;
    let line = format!("POST /api/v1/partners/{partner}/test");
    let good = stage.of_cluster();
    let token = stage.platform.sign(&good);
    let body = |agent: &str, token: &str| json!({ "agentId": agent, "assertion": token });
    let first = stage.send(&line, &body("reports", &token)).await;
    assert_eq!(
        (first.status, first.text("failedCheck")),
        (200, "keys".to_owned())
    );
    let found = patiently(async || {
        let mut found = stage.send(&line, &body("reports", &token)).await;
        if found.json()["failedCheck"] == "keys" {
            found.status = 503;
        }
        found
    })
    .await;
    let expected = json!({
        "accepted": true, "credentialId": credential, "failedCheck": null, "reason": null,
    });
    assert_eq!(found.json(), expected);
    let other = stage.send(&line, &body("other", &token)).await;
    assert_eq!(other.text("failedCheck"), "partner");
    for (name, value, check) in [
        ("aud", json!("x"), "audience"),
        ("exp", json!(0), "expiry"),
        ("iat", json!(0), "age"),
        ("nbf", json!(i64::MAX), "time"),
        ("sub", json!("x"), "subject"),
        ("kubernetes.io", json!({}), "claim"),
        ("iss", json!("https://x.example"), "issuer"),
    ] {
        let mut bad = good.clone();
        bad[name] = value;
        let bad = stage.platform.sign(&bad);
        let found = stage.send(&line, &body("reports", &bad)).await;
        assert_eq!(found.text("failedCheck"), check, "{found:?}");
        assert_eq!(found.json()["accepted"], false);
    }
    for (bad, check) in [
        (Platform::start().await.sign(&good), "signature"),
        ("x".to_owned(), "format"),
    ] {
        let found = stage.send(&line, &body("reports", &bad)).await;
        assert_eq!(found.text("failedCheck"), check, "{found:?}");
    }
    let nobody = stage.send(&line, &body("nobody", &token)).await;
    assert_eq!(nobody.text("failedCheck"), "agent", "{nobody:?}");
    let issued = "GET /api/v1/audit?agentId=reports&kind=token.issued";
    let issued = stage.send(issued, &Value::Null).await;
    assert_eq!(issued.json()["data"], json!([]));
}

async fn every_fault_of_a_federated_credential_is_told(stage: &Stage<'_>) {
    stage.app.agent_named("reports", "agents:read").await;
    let partner = stage
        .partner("kubernetes", &json!({ "issuer": CLUSTER }))
        .await;
    let line = format!("POST {AGENTS}/reports/credentials");
    let with = |name: &str, value: Value| {
        let mut body = account(&partner);
        body["kind"] = json!("federated");
        body[name] = value;
        body
    };
    for (body, fields) in [
        (
            json!({ "kind": "federated" }),
            vec!["/partnerId", "/subject"],
        ),
        (
            with("partnerId", json!("00000000-0000-4000-8000-000000000000")),
            vec!["/partnerId"],
        ),
        (with("partnerId", json!("x")), vec!["/partnerId"]),
        (with("subject", json!("repo:*")), vec!["/subject"]),
        (with("subject", json!("")), vec!["/subject"]),
        (with("claims", json!({})), vec!["/claims"]),
        (with("claims", json!([])), vec!["/claims"]),
        (with("claims", json!({"x": 1})), vec!["/claims"]),
        (with("scopes", json!(["agents:write"])), vec!["/scopes/0"]),
        (with("ttl", json!(59)), vec!["/ttl"]),
        (with("jwks", json!({"keys": []})), vec!["/jwks/keys"]),
        (
            with("kind", json!("secret")),
            vec!["/partnerId", "/subject", "/claims"],
        ),
    ] {
        let refused = stage.send(&line, &body).await;
        refused.is_management_error(400, "VALIDATION_ERROR");
        let errors = refused.json()["details"]["errors"].clone();
        let told: Vec<&str> = errors
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["field"].as_str().unwrap())
            .collect();
        assert_eq!(told, fields, "{body}");
    }
    let rotated = stage
        .send(&format!("{line}/rotate"), &json!({ "kind": "federated" }))
        .await;
    rotated.is_management_error(400, "VALIDATION_ERROR");
    // An agent gives itself no such credential without an admin scope.
    let own = stage.app.agent_named("own", "agents:write").await;
    let own = bearer(&stage.app.token(&own).await);
    let line = format!("POST {AGENTS}/own/credentials");
    let refused = stage.send_as(&own, &line, &with("ttl", json!(60))).await;
    refused.is_management_error(403, "FORBIDDEN");
}

async fn a_partner_of_another_organization_is_none(stage: &Stage<'_>) {
    let org = json!({ "orgId": "acme", "name": "Acme" });
    assert_eq!(stage.send("POST /api/v1/orgs", &org).await.status, 201);
    let theirs = json!({ "issuer": CLUSTER, "orgId": "acme" });
    let theirs = stage.partner("kubernetes", &theirs).await;
    let ours = stage
        .partner("kubernetes", &json!({ "issuer": CLUSTER }))
        .await;
    let member =
        json!({ "agentId": "member", "orgId": "acme", "name": "n", "scopes": ["agents:read"] });
    assert_eq!(
        stage.send(&format!("POST {AGENTS}"), &member).await.status,
        201
    );
    stage.app.agent_named("reports", "agents:read").await;
    let line = format!("POST {AGENTS}/reports/credentials");
    let mut body = account(&theirs);
    body["kind"] = "federated".into();
    let refused = stage.send(&line, &body).await;
    refused.is_management_error(400, "VALIDATION_ERROR");
    // A partner of `default` serves all, and both may have the same issuer.
    stage.trust("member", account(&theirs)).await;
    stage.trust("member", account(&ours)).await;
    let token = stage.platform.sign(&stage.of_cluster());
    let got = stage.ask_patiently("member", &token).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(claims(&got.text("access_token"))["org_id"], "acme");
    let line = format!("POST /api/v1/partners/{theirs}/suspend");
    assert_eq!(stage.send(&line, &Value::Null).await.status, 200);
    assert_eq!(stage.ask_patiently("member", &token).await.status, 200);
}
