//! A signing key that is replaced at once: what becomes of its tokens on every process, and of the
//! requests that run meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use sealwright::testing::service::key_rotation::RotationMode;
use serde_json::{Value, json};

use super::introspect::INACTIVE;
use super::on_both;
use crate::harness::app::{AGENTS, Agent, TestApp, bearer, header};

const JWKS: &str = "/.well-known/jwks.json";
const ROTATE: &str = "/api/v1/keys/rotate";

on_both! {
    a_revoked_key_and_all_its_tokens_are_dead_on_every_process_at_once,
    keys_that_retired_before_are_revoked_as_well,
    a_key_that_is_only_replaced_keeps_its_tokens_alive,
    the_announced_key_is_the_one_that_signs_at_once,
    no_token_is_dead_at_birth_while_keys_are_revoked_again_and_again,
    an_announced_key_is_announced_no_second_time,
    a_request_that_revokes_names_what_is_wrong_with_it,
    an_event_tells_what_became_of_each_key,
}

fn kid(token: &str) -> String {
    header(token)["kid"].as_str().unwrap().to_owned()
}

async fn kids(app: &TestApp<'_>) -> Vec<String> {
    let keys = app.get(JWKS).await.json()["keys"].take();
    let keys = keys.as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

async fn rotate(app: &TestApp<'_>, mode: RotationMode) -> String {
    let act = app.opened.operator();
    app.opened.keys.rotate(mode, &act).await.unwrap().kid.0
}

async fn demand_dead(app: &TestApp<'_>, caller: &Agent, token: &str) {
    app.introspect(caller, token).await.is(200, INACTIVE);
    for path in ["/forward-auth", AGENTS] {
        let answer = app.get_as(&bearer(token), path).await;
        assert_eq!(answer.status, 401, "{path}");
    }
}

async fn demand_alive(app: &TestApp<'_>, caller: &Agent, token: &str) {
    assert!(app.is_active(caller, token).await);
    for path in ["/forward-auth", AGENTS] {
        let answer = app.get_as(&bearer(token), path).await;
        assert_eq!(answer.status, 200, "{path}");
    }
}

/// No process reads the keys by itself in this test: only requests make it.
async fn a_revoked_key_and_all_its_tokens_are_dead_on_every_process_at_once(app: &TestApp<'_>) {
    let others = [app.beside().await, app.beside().await];
    let apps = [app, &others[0], &others[1]];
    let agent = app.agent("tokens:read agents:read").await;
    let token = app.token(&agent).await;
    for app in apps {
        // After this, each process remembers the token's signature as verified.
        demand_alive(app, &agent, &token).await;
    }
    let new = rotate(&others[0], RotationMode::NowRevoking).await;
    assert_ne!(new, kid(&token));
    for app in apps {
        demand_dead(app, &agent, &token).await;
    }
    let tokens = [
        apps[0].token(&agent).await,
        apps[1].token(&agent).await,
        apps[2].token(&agent).await,
    ];
    for token in &tokens {
        assert_eq!(kid(token), new);
        for app in apps {
            demand_alive(app, &agent, token).await;
        }
    }
    for app in apps {
        assert_eq!(kids(app).await, [&*new]);
    }
    // A process that no request reaches learns it by itself.
    let newest = rotate(app, RotationMode::NowRevoking).await;
    others[1].opened.keys.refresh().await.unwrap();
    assert_eq!(kids(&others[1]).await, [newest]);
}

async fn keys_that_retired_before_are_revoked_as_well(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read agents:read").await;
    let first = app.token(&agent).await;
    rotate(app, RotationMode::Now).await;
    let second = app.token(&agent).await;
    demand_alive(app, &agent, &first).await;
    let new = rotate(app, RotationMode::NowRevoking).await;
    for token in [&first, &second] {
        demand_dead(app, &agent, token).await;
    }
    assert_eq!(kids(app).await, [new]);
}

async fn a_key_that_is_only_replaced_keeps_its_tokens_alive(app: &TestApp<'_>) {
    let other = app.beside().await;
    let agent = app.agent("tokens:read agents:read").await;
    let old = app.token(&agent).await;
    let new = rotate(app, RotationMode::Now).await;
    // Each process takes the tokens of the other one, although nobody told it of the new key.
    for (issuer, verifier) in [(app, &other), (&other, app)] {
        let token = issuer.token(&agent).await;
        assert_eq!(kid(&token), new);
        demand_alive(verifier, &agent, &token).await;
        demand_alive(verifier, &agent, &old).await;
    }
    for app in [app, &other] {
        assert_eq!(kids(app).await, [new.clone(), kid(&old)]);
    }
    app.clock.advance(86_400 + 180);
    app.opened.keys.refresh().await.unwrap();
    assert_eq!(kids(app).await, [new]);
}

async fn the_announced_key_is_the_one_that_signs_at_once(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let old = kid(&app.token(&agent).await);
    let announced = rotate(app, RotationMode::Announce).await;
    assert_eq!(kids(app).await, [old.clone(), announced.clone()]);
    assert_eq!(rotate(app, RotationMode::NowRevoking).await, announced);
    assert_eq!(kid(&app.token(&agent).await), announced);
    assert_eq!(kids(app).await, [&*announced]);
    // If that key leaked too, the command is run twice.
    let new = rotate(app, RotationMode::NowRevoking).await;
    assert_eq!(kids(app).await, [&*new]);
    assert!(new != announced && new != old);
    // A process that starts now trusts the key with its new times.
    let later = app.beside().await;
    assert_eq!(kid(&later.token(&agent).await), new);
}

/// Three processes issue and introspect while keys are revoked. A token whose request began after
/// one command had answered, and ended before the next one began, is alive everywhere.
async fn no_token_is_dead_at_birth_while_keys_are_revoked_again_and_again(app: &TestApp<'_>) {
    let others = [app.beside().await, app.beside().await];
    let apps = [app, &others[0], &others[1]];
    let agent = app.agent("tokens:read").await;
    let (revoking, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    let worker = async |place: usize| {
        let mut alive = 0;
        while !ended.load(Ordering::SeqCst) {
            let was_calm = !revoking.load(Ordering::SeqCst);
            let answer = apps[place % 3].ask(&agent, "").await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let token = answer.json()["access_token"].take();
            let token = token.as_str().unwrap();
            let is_active = apps[(place + 1) % 3].is_active(&agent, token).await;
            if was_calm && !revoking.load(Ordering::SeqCst) {
                assert!(is_active, "dead at birth: {}", kid(token));
                alive += 1;
            }
        }
        alive
    };
    let revoker = async {
        for round in 0..3 {
            let old = app.token(&agent).await;
            revoking.store(true, Ordering::SeqCst);
            rotate(apps[round], RotationMode::NowRevoking).await;
            for app in apps {
                app.introspect(&agent, &old).await.is(200, INACTIVE);
            }
            revoking.store(false, Ordering::SeqCst);
            for app in apps {
                let token = app.token(&agent).await;
                assert!(app.is_active(&agent, &token).await);
            }
        }
        ended.store(true, Ordering::SeqCst);
    };
    let workers = futures_util::future::join_all((0..6).map(worker));
    let (alive, ()) = tokio::join!(workers, revoker);
    assert!(alive.iter().sum::<i32>() > 0);
}

/// Asks as an admin for a rotation.
async fn post(app: &TestApp<'_>, path: &str, body: &Value) -> (u16, Value) {
    let admin = app.agent("admin:orgs").await;
    let authorization = bearer(&app.token(&admin).await);
    let headers = [
        ("content-type", "application/json"),
        ("authorization", authorization.as_str()),
    ];
    let answer = app
        .send("POST", path, &headers, body.to_string().into())
        .await;
    (answer.status, answer.json())
}

async fn an_announced_key_is_announced_no_second_time(app: &TestApp<'_>) {
    let (status, announced) = post(app, ROTATE, &json!({})).await;
    assert_eq!((status, &announced["state"]), (200, &json!("announced")));
    let (status, refused) = post(app, ROTATE, &json!({})).await;
    assert_eq!(
        (status, &refused["code"], &refused["details"]["kid"]),
        (409, &json!("KEY_ANNOUNCED"), &announced["kid"])
    );
    let (status, tried) = post(app, &format!("{ROTATE}?dryRun=true"), &json!({"now": true})).await;
    assert_eq!(
        (status, &tried["kid"], &tried["state"]),
        (200, &announced["kid"], &json!("signing"))
    );
    assert_eq!(kids(app).await.len(), 2);
    let (status, signing) = post(app, ROTATE, &json!({"now": true})).await;
    assert_eq!((status, &signing), (200, &tried));
    let (status, next) = post(app, ROTATE, &json!({})).await;
    assert_eq!((status, &next["state"]), (200, &json!("announced")));
}

async fn a_request_that_revokes_names_what_is_wrong_with_it(app: &TestApp<'_>) {
    let before = kids(app).await;
    for body in [
        json!({"revoke": true}),
        json!({"revoke": true, "now": false}),
    ] {
        let (status, refused) = post(app, ROTATE, &body).await;
        let errors = &refused["details"]["errors"];
        assert_eq!((status, &errors[0]["field"]), (400, &json!("/revoke")));
    }
    let (status, refused) = post(app, ROTATE, &json!({"now": "yes", "revoke": 1})).await;
    let errors = refused["details"]["errors"].as_array().unwrap();
    assert_eq!((status, errors.len()), (400, 2), "{refused}");
    assert_eq!(kids(app).await, before);
    let body = json!({"now": true, "revoke": true, "reason": "it leaked"});
    let (status, new) = post(app, ROTATE, &body).await;
    assert_eq!((status, &new["state"]), (200, &json!("signing")));
    assert_eq!(kids(app).await, [new["kid"].as_str().unwrap()]);
}

async fn an_event_tells_what_became_of_each_key(app: &TestApp<'_>) {
    let old = kids(app).await.remove(0);
    let events =
        "select kind || ' ' || detail from audit_event where kind like 'key.%' order by id";
    let before = app.database.texts(events).await.len();
    let first = rotate(app, RotationMode::Now).await;
    let second = rotate(app, RotationMode::NowRevoking).await;
    let mut told = app.database.texts(events).await.split_off(before);
    // The two revocations come in the order of the keys.
    told[4..].sort_by_key(|event| !event.contains(&old));
    let expected = [
        format!("key.announced {first}"),
        format!("key.activated {first}"),
        format!("key.announced {second}"),
        format!("key.activated {second}"),
        format!("key.revoked {old}"),
        format!("key.revoked {first}"),
    ];
    assert_eq!(told, expected);
}
