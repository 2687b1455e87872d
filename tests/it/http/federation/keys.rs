//! Servers of keys: slow, huge, elsewhere, without names; and what is told of them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::{BoxFuture, join_all, ready};
use sealwright::testing::outbound::network::OuterNetwork;
use serde_json::{Value, json};

use super::platform::{
    CLUSTER, Platform, Stage, VECTORS, account, ask_at, new_key, patiently, run,
};
use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, OAUTH_TOKEN, TOKEN, bearer, wait_until};
use crate::http::token::INVALID_CLIENT;

with_platform! {
    no_request_waits_for_a_server_of_keys,
    no_address_outside_the_rule_is_connected_for_a_token,
    keys_without_names_verify_tokens_with_and_without_one,
    an_admin_of_one_organization_learns_nothing_of_the_network,
    a_name_that_leads_elsewhere_later_is_not_followed_there,
    a_server_of_keys_that_lies_or_redirects_proves_nobody,
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
    // The answer does not tell who trusts the partner, or who exists.
    stage.app.agent_named("idle", "agents:read").await;
    for agent in ["idle", "nobody"] {
        let answer = stage.ask(agent, &token, "").await;
        answer.is_error(503, "temporarily_unavailable");
    }
    platform.is_silent.store(false, Ordering::SeqCst);
    stage.app.clock.advance(10);
    assert_eq!(stage.ask_patiently("reports", &token).await.status, 200);
    for agent in ["idle", "nobody"] {
        let answer = stage.ask(agent, &token, "").await;
        answer.is(401, INVALID_CLIENT);
    }
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

/// A network in which 127.0.0.1 is public and nothing else is, and every name leads to these places.
#[derive(Debug)]
struct Rebinding {
    places: Mutex<Vec<SocketAddr>>,
    asked: AtomicUsize,
}

impl OuterNetwork for Rebinding {
    fn resolve<'s, 'n, 'f>(
        &'s self,
        _: &'n str,
        _: u16,
    ) -> BoxFuture<'f, io::Result<Vec<SocketAddr>>>
    where
        Self: 'f,
        's: 'f,
        'n: 'f,
    {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(ready(Ok(self.places.lock().unwrap().clone())))
    }

    fn is_public(&self, address: IpAddr) -> bool {
        address == Ipv4Addr::LOCALHOST
    }
}

async fn a_name_that_leads_elsewhere_later_is_not_followed_there(stage: &Stage<'_>) {
    trusting(stage).await;
    let platform = &stage.platform;
    let elsewhere = Platform::start_at("127.0.0.2:0").await;
    *elsewhere.keys.lock().unwrap() = vec![("k2".to_owned(), new_key())];
    let inside = SocketAddr::from((Ipv4Addr::LOCALHOST, platform.port));
    let outside = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), elsewhere.port));
    let network = Arc::new(Rebinding {
        places: Mutex::new(vec![inside]),
        asked: AtomicUsize::new(0),
    });
    let trust = format!("{VECTORS}/a.crt");
    let settings = [
        ("outbound.ca_cert", &*trust),
        ("limits.failures_per_minute", "0"),
    ];
    let app = stage.app.beside_in(Arc::clone(&network) as _, &settings);
    let app = app.await;
    let ask = async |token: &str| {
        patiently(async || ask_at(&app, OAUTH_TOKEN, "reports", token, "").await).await
    };
    let good = platform.sign(&stage.of_cluster());
    assert_eq!(ask(&good).await.status, 200);
    // A key that is unknown has the keys fetched again, which is over once the token is refused.
    let forged = elsewhere.sign(&stage.of_cluster());
    let turns = [vec![outside], vec![outside, inside], vec![inside, outside]];
    for (turn, places) in turns.into_iter().enumerate() {
        *network.places.lock().unwrap() = places;
        stage.app.clock.advance(31);
        assert_eq!(ask(&forged).await.status, 401);
        assert_eq!(network.asked.load(Ordering::SeqCst), turn + 2);
        assert_eq!(platform.seen(), turn + 1);
        assert_eq!(ask(&good).await.status, 200);
    }
    assert_eq!(elsewhere.opened(), 0);
}

async fn a_server_of_keys_that_lies_or_redirects_proves_nobody(stage: &Stage<'_>) {
    let partner = trusting(stage).await;
    let (app, platform) = (&stage.app, &stage.platform);
    let token = platform.sign(&stage.of_cluster());
    let test = format!("POST /api/v1/partners/{partner}/test");
    let trial = json!({ "agentId": "reports", "assertion": token });
    let keys = platform.key_set().to_string();
    let answer = |head: String, body: &str| format!("HTTP/1.1 {head}\r\n\r\n{body}");
    let with_length = |length: usize| format!("200 OK\r\ncontent-length: {length}");
    let mut lies = vec![
        answer(with_length(keys.len() + 1), &keys),
        answer(with_length(keys.len() - 1), &keys),
        answer(with_length(0), &keys),
        answer("200 OK\r\ntransfer-encoding: chunked".to_owned(), &keys),
        answer(
            "200 OK\r\ncontent-type: application/jwk-set+json".to_owned(),
            "<html></html>",
        ),
        answer("203 Non-Authoritative Information".to_owned(), &keys),
    ];
    // It would find the keys there, at the target that is allowed.
    lies.extend([301, 302, 303, 307, 308].map(|status| {
        let head = format!(
            "{status} Moved\r\nlocation: {}\r\ncontent-length: {}",
            platform.uri(),
            keys.len()
        );
        answer(head, &keys)
    }));
    for (turn, lie) in lies.into_iter().enumerate() {
        *platform.raw.lock().unwrap() = Some(lie.clone());
        let first = stage.ask("reports", &token, "").await;
        first.is_error(503, "temporarily_unavailable");
        wait_until("the fetch has failed", async || {
            let told = stage.send(&test, &trial).await;
            assert_eq!(told.text("failedCheck"), "keys", "{lie}");
            platform.seen() > turn && !told.text("reason").contains("being fetched")
        })
        .await;
        let again = stage.ask("reports", &token, "").await;
        again.is_error(503, "temporarily_unavailable");
        assert_eq!(platform.seen(), turn + 1, "{lie}");
        app.clock.advance(10);
    }
    *platform.raw.lock().unwrap() = None;
    // The keys of another issuer verify nothing of this one.
    let other = Platform::start().await;
    *platform.answer.lock().unwrap() = Some(other.key_set().to_string());
    let refused = stage.ask_patiently("reports", &token).await;
    refused.is(401, INVALID_CLIENT);
    *platform.answer.lock().unwrap() = None;
    app.clock.advance(601);
    wait_until("its own keys are fetched", async || {
        stage.ask("reports", &token, "").await.status == 200
    })
    .await;
}
