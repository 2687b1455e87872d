//! `key rotate --now` every ten seconds, with three servers under load: every token that is delivered
//! is verified by what another server publishes, as services do that verify offline.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::stage::client::Client;
use crate::stage::cluster::Cluster;
use crate::stage::ledger::head;
use crate::stage::server::{Agent, Server, Site};
use crate::stage::{eventually, pause, play, scaled};

/// How long the client libraries wait before they fetch the keys once more for a token whose key they
/// do not find.
const SECOND_FETCH_AFTER: Duration = Duration::from_millis(1_200);

/// What all workers share.
struct Stage {
    agent: Agent,
    stop: AtomicBool,
    verified: AtomicU64,
    second_fetches: AtomicU64,
    /// The keys of the tokens that were verified.
    kids: Mutex<HashSet<String>>,
}

/// A service that verifies tokens by the keys of one server, which it keeps.
struct Service {
    keys_from: Client,
    keys: JwkSet,
}

impl Service {
    fn key(&self, kid: &str) -> Option<DecodingKey> {
        let jwk = self.keys.find(kid)?;
        Some(DecodingKey::from_jwk(jwk).unwrap())
    }

    async fn fetch(&mut self) {
        let reply = self.keys_from.get("/.well-known/jwks.json").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        self.keys = serde_json::from_slice(&reply.body).unwrap();
    }

    /// The key of this name: as kept, as fetched now, or as fetched later.
    async fn look_up(&mut self, kid: &str, stage: &Stage) -> DecodingKey {
        if let Some(key) = self.key(kid) {
            return key;
        }
        self.fetch().await;
        if let Some(key) = self.key(kid) {
            return key;
        }
        stage.second_fetches.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        loop {
            sleep(SECOND_FETCH_AFTER).await;
            self.fetch().await;
            if let Some(key) = self.key(kid) {
                return key;
            }
            // The short form runs on machines that stand still for seconds.
            assert!(
                began.elapsed() < scaled(Duration::from_secs(10), Duration::ZERO),
                "the key is published in time"
            );
        }
    }
}

/// Gets tokens at each server in turn, and verifies each as a service of another server.
async fn work(stage: Arc<Stage>, mut clients: Vec<Client>, mut services: Vec<Service>) {
    let mut turn = 0;
    while !stage.stop.load(Ordering::Relaxed) {
        turn += 1;
        let count = clients.len();
        let token = clients[turn % count].issue(&stage.agent).await.token();
        let kid = head(&token)["kid"].as_str().unwrap().to_owned();
        let key = services[(turn + 1) % count].look_up(&kid, &stage).await;
        let mut rules = Validation::new(Algorithm::RS256);
        rules.validate_aud = false;
        decode::<Value>(&token, &key, &rules).unwrap();
        let asked = clients[(turn + 1) % count].introspect(&stage.agent, &token);
        assert!(asked.await.active(), "a token of {kid}");
        stage.verified.fetch_add(1, Ordering::Relaxed);
        stage.kids.lock().unwrap().insert(kid);
    }
}

#[test]
fn keys_that_are_rotated_all_the_time_fail_no_verification_at_three_servers() {
    play(async {
        let cluster = Cluster::start().await;
        let site = Site::postgres(&cluster).await;
        let servers = [site.start(), site.start(), site.start()];
        let stage = Arc::new(Stage {
            agent: site.agent("rotating", "unlimited"),
            stop: AtomicBool::new(false),
            verified: AtomicU64::new(0),
            second_fetches: AtomicU64::new(0),
            kids: Mutex::default(),
        });
        let clients = || servers.iter().map(Server::client).collect::<Vec<_>>();
        let mut workers = JoinSet::new();
        for _ in 0..6 {
            let services = clients().into_iter().map(|keys_from| Service {
                keys_from,
                keys: JwkSet { keys: Vec::new() },
            });
            workers.spawn(work(Arc::clone(&stage), clients(), services.collect()));
        }
        let rotations = scaled(3, 60);
        for _ in 0..rotations {
            pause(scaled(0, 10_000)).await;
            let key = site.json(&["key", "rotate", "--now"]);
            let kid = key["kid"].as_str().unwrap();
            eventually("a token of the new key is verified", async || {
                stage.kids.lock().unwrap().contains(kid)
            })
            .await;
        }
        stage.stop.store(true, Ordering::Relaxed);
        while let Some(done) = workers.join_next().await {
            done.unwrap();
        }
        println!(
            "3 servers, {rotations} rotations, tokens of {} keys: {} verified, none refused; {} waited for a second look at \
             the published keys",
            stage.kids.lock().unwrap().len(),
            stage.verified.load(Ordering::Relaxed),
            stage.second_fetches.load(Ordering::Relaxed),
        );
    });
}
