//! A load generator, and a ledger of the response to each of its requests.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tokio::task::JoinSet;

use super::client::{Client, Lost, Reply, revoke_request, token_request};
use super::server::Agent;
use super::{eventually, pause};

/// The results of one agent's requests.
#[derive(Debug, Default, Clone)]
pub struct Account {
    /// The ids of the tokens that the client got.
    pub delivered: Vec<String>,
    /// Requests that got no response, or a 5xx. The server may have counted their tokens or not.
    pub unknown: i64,
}

/// A token whose revocation was requested.
#[derive(Debug, Clone)]
pub struct Revoked {
    pub token: String,
    /// Whether the revocation was answered 200.
    pub promised: bool,
}

#[derive(Debug, Default)]
pub struct Ledger {
    pub accounts: HashMap<String, Account>,
    /// The number of responses by path and status.
    pub statuses: BTreeMap<(&'static str, u16), u64>,
    pub unanswered: u64,
    /// Responses of the server itself, and of no proxy, that tell the client to come again.
    pub late: u64,
    pub revoked: Vec<Revoked>,
    /// A token whose revocation was not requested.
    pub kept: Option<String>,
    pub times: Vec<Duration>,
}

impl Ledger {
    pub fn add(&mut self, other: Ledger) {
        for (id, account) in other.accounts {
            let mine = self.accounts.entry(id).or_default();
            mine.delivered.extend(account.delivered);
            mine.unknown += account.unknown;
        }
        for (key, count) in other.statuses {
            *self.statuses.entry(key).or_default() += count;
        }
        self.unanswered += other.unanswered;
        self.late += other.late;
        self.revoked.extend(other.revoked);
        self.kept = other.kept.or(self.kept.take());
        self.times.extend(other.times);
    }

    pub fn delivered(&self) -> usize {
        self.accounts
            .values()
            .map(|account| account.delivered.len())
            .sum()
    }

    /// The number of responses with this status on this path.
    pub fn count(&self, path: &'static str, status: u16) -> u64 {
        self.statuses.get(&(path, status)).copied().unwrap_or(0)
    }

    /// Demands that every request was answered with 200, but for at most `late` answers that tell the
    /// client to come again. A test in its short form runs beside others, on machines that stand still
    /// for seconds: there a hash or a database may come too late for a request.
    #[track_caller]
    pub fn demand_served(&self, late: u64) {
        let of = |wanted: &dyn Fn(u16) -> bool| -> u64 {
            let counts = self.statuses.iter();
            counts
                .filter_map(|((_, status), count)| wanted(*status).then_some(count))
                .sum()
        };
        let others = of(&|status| status != 200);
        assert!(
            others == self.late && others <= late,
            "{} late, {}",
            self.late,
            self.summary()
        );
    }

    /// The ledger in one line.
    pub fn summary(&self) -> String {
        let promised = self.revoked.iter().filter(|r| r.promised).count();
        format!(
            "{} delivered, {} without an answer, {promised} revocations promised, answers {:?}",
            self.delivered(),
            self.unanswered,
            self.statuses
        )
    }

    fn note(&mut self, path: &'static str, reply: &Reply) {
        *self.statuses.entry((path, reply.status)).or_default() += 1;
        self.times.push(reply.took);
        let is_late = reply.status == 503
            && reply.header("retry-after").is_some()
            && reply.text().contains("\"temporarily_unavailable\"");
        self.late += u64::from(is_late);
    }
}

/// What the load generator sends, and to which servers.
#[derive(Clone)]
pub struct Load {
    pub servers: Vec<SocketAddr>,
    pub agents: Arc<Vec<Agent>>,
    /// The number of connections in total, spread over the servers.
    pub connections: usize,
    /// One in so many tokens is revoked right after it arrives. 0 for none.
    pub revoke_every: u64,
    /// The load stops by itself after so many token requests.
    pub most: Option<u64>,
}

impl Load {
    pub fn on(server: SocketAddr, agents: &Arc<Vec<Agent>>, connections: usize) -> Self {
        Self {
            servers: vec![server],
            agents: Arc::clone(agents),
            connections,
            revoke_every: 0,
            most: None,
        }
    }

    pub fn revoking(mut self, every: u64) -> Self {
        self.revoke_every = every;
        self
    }

    pub fn start(self) -> Running {
        let stop = Arc::new(AtomicBool::new(false));
        let begun = Arc::new(AtomicU64::new(0));
        let arrived = Arc::new(AtomicU64::new(0));
        let mut workers = JoinSet::new();
        for worker in 0..self.connections {
            workers.spawn(work(
                self.clone(),
                worker,
                Arc::clone(&stop),
                Arc::clone(&begun),
                Arc::clone(&arrived),
            ));
        }
        Running {
            stop,
            arrived,
            workers,
        }
    }
}

/// A load that is running.
pub struct Running {
    stop: Arc<AtomicBool>,
    arrived: Arc<AtomicU64>,
    workers: JoinSet<Ledger>,
}

impl Running {
    /// Waits until this many more tokens have arrived, however slow the machine is.
    pub async fn delivers(&self, count: u64) {
        let enough = self.arrived.load(Ordering::Relaxed) + count;
        eventually("the load delivers", async || {
            self.arrived.load(Ordering::Relaxed) >= enough
        })
        .await;
    }

    /// How many tokens have arrived.
    pub fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }

    /// Stops the load. Each worker finishes the request that it has sent.
    pub async fn stop(self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        self.finish().await
    }

    /// Waits until the load has ended by itself.
    pub async fn finish(mut self) -> Ledger {
        let mut ledger = Ledger::default();
        while let Some(part) = self.workers.join_next().await {
            ledger.add(part.unwrap());
        }
        ledger
    }
}

async fn work(
    load: Load,
    worker: usize,
    stop: Arc<AtomicBool>,
    begun: Arc<AtomicU64>,
    arrived: Arc<AtomicU64>,
) -> Ledger {
    let mut ledger = Ledger::default();
    let mut client = Client::new(load.servers[worker % load.servers.len()]);
    let mut turn = worker;
    let mut issued = 0u64;
    while !stop.load(Ordering::Relaxed) {
        if load
            .most
            .is_some_and(|most| begun.fetch_add(1, Ordering::Relaxed) >= most)
        {
            break;
        }
        let agent = &load.agents[turn % load.agents.len()];
        turn += 1;
        let reply = match client.send(&token_request(agent)).await {
            Ok(reply) => reply,
            Err(Lost::NotSent(_)) => {
                pause(3).await;
                continue;
            }
            Err(Lost::Unanswered(_)) => {
                ledger.unanswered += 1;
                ledger.accounts.entry(agent.id.clone()).or_default().unknown += 1;
                continue;
            }
        };
        ledger.note("token", &reply);
        let account = ledger.accounts.entry(agent.id.clone()).or_default();
        match reply.status {
            200 => {}
            500.. => {
                account.unknown += 1;
                continue;
            }
            _ => continue,
        }
        let token = reply.token();
        account.delivered.push(jti_of(&token));
        arrived.fetch_add(1, Ordering::Relaxed);
        issued += 1;
        // The workers revoke in different turns.
        let place = issued + u64::try_from(worker).unwrap();
        if load.revoke_every == 0 || !place.is_multiple_of(load.revoke_every) {
            ledger.kept = Some(token);
            continue;
        }
        let promised = match client.send(&revoke_request(agent, &token)).await {
            Ok(reply) => {
                ledger.note("revoke", &reply);
                reply.status == 200
            }
            Err(Lost::NotSent(_)) => continue,
            Err(Lost::Unanswered(_)) => {
                ledger.unanswered += 1;
                false
            }
        };
        ledger.revoked.push(Revoked { token, promised });
    }
    ledger
}

/// The id of a token as 32 hexadecimal digits.
pub fn jti_of(token: &str) -> String {
    claims(token)["jti"].as_str().unwrap().replace('-', "")
}

/// The claims of a token.
pub fn claims(token: &str) -> Value {
    part_of(token, 1)
}

/// The header of a token, which names the signing key.
pub fn head(token: &str) -> Value {
    part_of(token, 0)
}

fn part_of(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}
