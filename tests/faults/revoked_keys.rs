//! `key rotate --now --revoke` with three servers under load: from the command's answer on no token of
//! a revoked key is active at any of them, and no token is dead when it is delivered.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::RwLock;
use tokio::task::JoinSet;

use crate::stage::client::Client;
use crate::stage::cluster::Cluster;
use crate::stage::ledger::head;
use crate::stage::server::{Agent, Server, Site};
use crate::stage::{eventually, play, scaled};

/// How many of a worker's last tokens are asked about after a revocation.
const KEPT: usize = 20;

/// The clients of one worker, one for each server.
type Clients = Vec<Client>;

/// What all workers share.
struct Stage {
    asker: Agent,
    agents: Vec<Agent>,
    /// Held for writing while the command runs. Every token that a worker gets while it holds the lock
    /// for reading was asked for after the last answer and came before the next command.
    running: RwLock<()>,
    stop: AtomicBool,
    delivered: AtomicU64,
    dead: AtomicU64,
    /// The keys of tokens that came while a command ran and were dead a moment later.
    dead_keys: Mutex<HashSet<String>>,
}

fn clients(servers: &[Server]) -> Clients {
    servers.iter().map(Server::client).collect()
}

fn kid(token: &str) -> String {
    head(token)["kid"].as_str().unwrap().to_owned()
}

/// Gets tokens at each server in turn, and asks another one about each. Returns how many tokens came
/// while a command ran.
async fn work(stage: Arc<Stage>, mut clients: Clients, worker: usize) -> u64 {
    let agent = stage.agents[worker % stage.agents.len()].clone();
    let (mut turn, mut across) = (worker, 0);
    while !stage.stop.load(Ordering::Relaxed) {
        turn += 1;
        let count = clients.len();
        // While a command runs, a token may be of the old key and dead a moment later.
        let quiet = stage.running.try_read().ok();
        let issued = clients[turn % count].issue(&agent).await;
        assert_eq!(issued.status, 200, "{}", issued.text());
        let token = issued.token();
        stage.delivered.fetch_add(1, Ordering::Relaxed);
        let asked = clients[(turn + 1) % count]
            .introspect(&stage.asker, &token)
            .await;
        assert_eq!(asked.status, 200, "{}", asked.text());
        if quiet.is_none() {
            across += 1;
            if !asked.active() {
                stage.dead_keys.lock().unwrap().insert(kid(&token));
            }
        } else if !asked.active() {
            stage.dead.fetch_add(1, Ordering::Relaxed);
        }
    }
    across
}

#[test]
fn a_revoked_key_is_dead_at_three_servers_and_no_token_is_dead_when_it_is_delivered() {
    play(async {
        let cluster = Cluster::start().await;
        let site = Site::postgres(&cluster).await;
        let servers = [site.start(), site.start(), site.start()];
        revoke_under_load(&site, &servers).await;
    });
}

#[test]
fn a_revoked_key_is_dead_at_the_server_of_a_file() {
    play(async {
        let site = Site::sqlite();
        let servers = [site.start()];
        revoke_under_load(&site, &servers).await;
    });
}

async fn revoke_under_load(site: &Site, servers: &[Server]) {
    let stage = Arc::new(Stage {
        asker: site.agent("asker", "unlimited"),
        agents: (0..4)
            .map(|n| site.agent(&format!("a{n}"), "unlimited"))
            .collect(),
        running: RwLock::new(()),
        stop: AtomicBool::new(false),
        delivered: AtomicU64::new(0),
        dead: AtomicU64::new(0),
        dead_keys: Mutex::default(),
    });
    let mut workers = JoinSet::new();
    for worker in 0..12 {
        workers.spawn(work(Arc::clone(&stage), clients(servers), worker));
    }
    let (mut here, mut revoked, mut asked) = (clients(servers), HashSet::new(), 0);
    for _ in 0..scaled(3, 100) {
        let enough = stage.delivered.load(Ordering::Relaxed) + 100;
        eventually("tokens are delivered", async || {
            stage.delivered.load(Ordering::Relaxed) >= enough
        })
        .await;
        // Each server remembers that it has verified these.
        let mut tokens = Vec::new();
        for number in 0..KEPT {
            let place = number % here.len();
            let token = here[place].issue(&stage.agents[0]).await.token();
            for client in &mut here {
                assert!(client.introspect(&stage.asker, &token).await.active());
            }
            tokens.push(token);
        }
        let old = kid(&tokens[0]);
        let turn = stage.running.write().await;
        // Tokens arrive while the command runs.
        let made = site.json(&["key", "rotate", "--now", "--revoke"]);
        for token in &tokens {
            assert_ne!(kid(token), made["kid"].as_str().unwrap());
            for client in &mut here {
                let found = client.introspect(&stage.asker, token).await;
                assert_eq!((found.status, found.active()), (200, false));
                asked += 1;
            }
        }
        for client in &mut here {
            let token = client.issue(&stage.agents[0]).await.token();
            assert_eq!(kid(&token), made["kid"].as_str().unwrap());
        }
        drop(turn);
        revoked.insert(old);
    }
    stage.stop.store(true, Ordering::Relaxed);
    let mut across = 0;
    while let Some(done) = workers.join_next().await {
        across += done.unwrap();
    }
    println!(
        "{} servers, {} revoked keys, {} tokens delivered, {across} of them during a command, {} dead at birth, \
         {asked} questions about tokens of revoked keys, none of them active",
        servers.len(),
        revoked.len(),
        stage.delivered.load(Ordering::Relaxed),
        stage.dead.load(Ordering::Relaxed),
    );
    assert_eq!(stage.dead.load(Ordering::Relaxed), 0, "dead at birth");
    let dead_keys = stage.dead_keys.lock().unwrap();
    assert!(dead_keys.is_subset(&revoked), "{dead_keys:?} {revoked:?}");
    assert!(across > 0, "no token arrived during a command");
}
