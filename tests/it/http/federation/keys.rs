//! Servers of keys: slow, huge, elsewhere, without names; and what is told of them.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::platform::{CLUSTER, Platform, Stage, account, ask_at, run};
use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, TOKEN, bearer, wait_until};
use crate::http::token::INVALID_CLIENT;

with_platform! {
    no_request_waits_for_a_server_of_keys,
    no_address_outside_the_rule_is_connected_for_a_token,
    keys_without_names_verify_tokens_with_and_without_one,
    an_admin_of_one_organization_learns_nothing_of_the_network,
}

/// An agent that trusts an account of the cluster. Returns the id of the partner.
async fn trusting(stage: &Stage<'_>) -> String {
    stage.app.agent_named("reports", "agents:read").await;
    let issuer = json!({ "issuer": CLUSTER });
    let partner = stage.partner("kubernetes", &issuer).await;
    stage.trust("reports", account(&partner)).await;
    partner
}

/// All of these are answered although the server of keys says nothing.
async fn no_request_waits_for_a_server_of_keys(stage: &Stage<'_>) {
    let platform = &stage.platform;
    trusting(stage).await;
    platform.is_silent.store(true, Ordering::SeqCst);
    let token = platform.sign(&stage.of_cluster());
    let asked = (0..20).map(|_| stage.ask("reports", &token, ""));
    for answer in join_all(asked).await {
        answer.is_error(503, "temporarily_unavailable");
        assert_eq!(answer.header("retry-after"), "1");
    }
    wait_until("the fetch begins", async || platform.opened() == 1).await;
    stage
        .ask("nobody", &token, "")
        .await
        .is(401, INVALID_CLIENT);
    platform.is_silent.store(false, Ordering::SeqCst);
    stage.app.clock.advance(10);
    assert_eq!(stage.ask_patiently("reports", &token).await.status, 200);
    assert_eq!((platform.opened(), platform.seen()), (2, 1));
    // What is too large is no key set, and the keys of before serve on.
    *platform.answer.lock().unwrap() = Some("0".repeat(300_000));
    stage.app.clock.advance(700);
    let token = platform.sign(&stage.of_cluster());
    assert_eq!(stage.ask("reports", &token, "").await.status, 200);
    wait_until("the next fetch", async || platform.seen() == 2).await;
    assert_eq!(stage.ask("reports", &token, "").await.status, 200);
}

/// The server that is not allowed to go there looks at each address that it connects to, so that a
/// name which leads elsewhere the next time leads nowhere.
async fn no_address_outside_the_rule_is_connected_for_a_token(stage: &Stage<'_>) {
    let partner = trusting(stage).await;
    let app = stage.app.beside().await;
    let token = stage.platform.sign(&stage.of_cluster());
    let first = ask_at(&app, TOKEN, "reports", &token, "").await;
    first.is_error(503, "temporarily_unavailable");
    let path = format!("/api/v1/partners/{partner}/test");
    let trial = json!({ "agentId": "reports", "assertion": token }).to_string();
    let json = ("content-type", "application/json");
    let headers = [("authorization", &*stage.admin), json];
    wait_until("the fetch has failed", async || {
        let told = app
            .send("POST", &path, &headers, trial.clone().into())
            .await;
        told.text("failedCheck") == "keys" && !told.text("reason").contains("being fetched")
    })
    .await;
    app.clock.advance(5);
    let again = ask_at(&app, TOKEN, "reports", &token, "").await;
    again.is_error(503, "temporarily_unavailable");
    assert_eq!(stage.platform.opened(), 0);
}

async fn keys_without_names_verify_tokens_with_and_without_one(stage: &Stage<'_>) {
    let (app, platform) = (&stage.app, &stage.platform);
    trusting(stage).await;
    let mut set = platform.key_set();
    set["keys"][0].as_object_mut().unwrap().remove("kid");
    *platform.answer.lock().unwrap() = Some(set.to_string());
    let (named, claims) = (platform.sign(&stage.of_cluster()), stage.of_cluster());
    let unnamed = platform.sign_as(&json!({ "alg": "ES256" }), &claims);
    assert_eq!(stage.ask_patiently("reports", &named).await.status, 200);
    // Neither is a reason to look for other keys.
    app.clock.advance(31);
    for token in [&named, &unnamed] {
        let got = stage.ask("reports", token, "").await;
        assert_eq!(got.status, 200, "{got:?}");
    }
    let other = Platform::start().await;
    let forged = other.sign_as(&json!({ "alg": "ES256" }), &claims);
    let refused = stage.ask("reports", &forged, "").await;
    refused.is(401, INVALID_CLIENT);
    assert_eq!(platform.seen(), 1);
    // A name that nothing else verifies may be that of a new key.
    let forged = other.sign(&claims);
    let refused = stage.ask_patiently("reports", &forged).await;
    refused.is(401, INVALID_CLIENT);
    assert_eq!(platform.seen(), 2);
}

async fn an_admin_of_one_organization_learns_nothing_of_the_network(stage: &Stage<'_>) {
    let (app, platform) = (&stage.app, &stage.platform);
    let org = json!({ "orgId": "acme", "name": "Acme" });
    assert_eq!(stage.send("POST /api/v1/orgs", &org).await.status, 201);
    let new_agent = format!("POST {AGENTS}");
    let chief = json!({ "name": "n", "orgId": "acme", "scopes": ["admin:orgs"] });
    let chief = stage.send(&new_agent, &chief).await;
    let (id, secret) = (chief.text("agentId"), chief.text("clientSecret"));
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let chief = bearer(&app.post(TOKEN, &form).await.text("access_token"));
    let member =
        json!({ "agentId": "member", "orgId": "acme", "name": "n", "scopes": ["agents:read"] });
    assert_eq!(stage.send(&new_agent, &member).await.status, 201);
    *platform.answer.lock().unwrap() = Some("<html>".to_owned());
    let (mut told, mut details) = (vec![], vec![]);
    for uri in ["https://127.0.0.1:1/keys", &platform.uri()] {
        let partner =
            json!({ "name": "n", "preset": "kubernetes", "issuer": CLUSTER, "jwksUri": uri });
        let made = stage
            .send_as(&chief, "POST /api/v1/partners", &partner)
            .await;
        assert_eq!(made.status, 201, "{made:?}");
        let line = format!("POST /api/v1/partners/{}/test", made.text("partnerId"));
        let token = platform.sign(&stage.of_cluster());
        let trial = json!({ "agentId": "member", "assertion": token });
        // While the fetch runs, and once it has failed.
        told.push(stage.send_as(&chief, &line, &trial).await);
        let reason = |answer: &Answer| answer.text("reason");
        let mut detail = String::new();
        wait_until("the fetch has failed", async || {
            detail = reason(&stage.send(&line, &trial).await);
            !detail.contains("being fetched")
        })
        .await;
        details.push(detail);
        told.push(stage.send_as(&chief, &line, &trial).await);
        let end = format!("DELETE /api/v1/partners/{}", made.text("partnerId"));
        assert_eq!(stage.send_as(&chief, &end, &Value::Null).await.status, 204);
    }
    assert_ne!(details[0], details[1]);
    for answer in &told {
        assert_eq!(
            (answer.status, answer.text("failedCheck")),
            (200, "keys".to_owned())
        );
        assert_eq!(answer.body, told[0].body);
        assert!(details.iter().all(|detail| !answer.body.contains(detail)));
    }
}
