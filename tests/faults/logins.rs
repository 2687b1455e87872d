//! First logins of agents with generated secrets, beside junk secrets. There are imported
//! credentials, so each junk secret costs a hash.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::stage::client::token_request;
use crate::stage::outcome::percentile;
use crate::stage::server::{Agent, Server, Site, report};
use crate::stage::{play, scaled};

const ARGON2: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI";
const BCRYPT_10: &str = "$2b$10$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
const BCRYPT_14: &str = "$2b$14$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

/// The junk requests beside the first logins, all from one network.
struct Junk {
    /// How many requests are sent in a second.
    rate: u32,
    /// How many of them must be answered in a second.
    min_rate: f64,
    /// The ids that they name, in turn. `None` is an unknown id, a different one each time.
    ids: &'static [Option<&'static str>],
}

#[test]
fn a_thousand_junk_secrets_a_second_cost_no_first_login_anything() {
    play(async {
        // The rate is a little above the demanded one, since a sender may be late but is never
        // early.
        let junk = Junk {
            rate: scaled(200, 1_050),
            min_rate: scaled(1.0, 1_000.0),
            ids: &[None, Some("argon2"), Some("bcrypt")],
        };
        first_logins_beside(&junk, &[("argon2", ARGON2), ("bcrypt", BCRYPT_10)], &[]).await;
    });
}

/// The limit on failures is off, so that only the lanes separate the requests.
#[test]
fn wrong_secrets_at_the_dearest_hash_keep_no_first_login_waiting() {
    play(async {
        let junk = Junk {
            rate: 3,
            min_rate: 0.1,
            ids: &[Some("dear")],
        };
        let unlimited = [("SEALWRIGHT_LIMITS__FAILURES_PER_MINUTE", "0")];
        first_logins_beside(&junk, &[("dear", BCRYPT_14)], &unlimited).await;
    });
}

async fn first_logins_beside(junk: &Junk, hashes: &[(&str, &str)], settings: &[(&str, &str)]) {
    let mut site = Site::sqlite();
    for (key, value) in settings {
        site.set(key, value);
    }
    site.import(hashes);
    let agents = site.agents(scaled(12, 200));
    // Each process hashes each secret once, so each measurement needs a new process.
    let alone = site.start();
    let quiet = first_logins(&alone, &agents).await;
    drop(alone);
    let server = site.start();
    let stop = Arc::new(AtomicBool::new(false));
    let (senders, began) = (send(junk, &server, &stop), Instant::now());
    let beside = first_logins(&server, &agents).await;
    stop.store(true, Ordering::Relaxed);
    let sent: u64 = senders.join_all().await.into_iter().sum();
    let rate = f64::from(u32::try_from(sent).unwrap()) / began.elapsed().as_secs_f64();
    let ratio = percentile(&beside, 99) / percentile(&quiet, 99);
    let (hashes_done, shed) = (
        server.metric("sealwright_hashes_total").await,
        server.metric("sealwright_hash_shed_total").await,
    );
    report("first logins alone", quiet);
    report("first logins beside junk", beside);
    println!(
        "{sent} junk requests, {rate:.0}/s of {} sent, {hashes_done} hashes, {shed} shed; p99 beside junk / alone: {ratio:.2}",
        junk.rate
    );
    assert!(
        rate >= junk.min_rate,
        "{rate:.0} junk requests a second are too few"
    );
    // The short form has only a dozen samples. On a machine with other load their ratio says
    // nothing.
    assert!(
        scaled(true, ratio < 2.0),
        "p99 is {ratio:.2} times as long beside junk"
    );
}

/// Makes the first login of each agent, one after the other with a short pause. Each must succeed.
async fn first_logins(server: &Server, agents: &[Agent]) -> Vec<Duration> {
    let (mut client, mut times) = (server.client(), Vec::new());
    let mut pace = interval(Duration::from_millis(50));
    // The first request pays for what a process does only once, so send another request first.
    client.get("/readyz").await;
    for agent in agents {
        pace.tick().await;
        let reply = client.issue(agent).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        times.push(reply.took);
    }
    times
}

/// Sends junk at its rate on several connections until it is stopped. Returns how many requests
/// were answered.
fn send(junk: &Junk, server: &Server, stop: &Arc<AtomicBool>) -> JoinSet<u64> {
    const CONNECTIONS: u32 = 16;
    let mut senders = JoinSet::new();
    for number in 0..CONNECTIONS.min(junk.rate) {
        let (mut client, stop, ids) = (server.client(), Arc::clone(stop), junk.ids);
        let mut pace = interval(Duration::from_secs(1) * CONNECTIONS.min(junk.rate) / junk.rate);
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        senders.spawn(async move {
            let (began, mut sent) = (Instant::now(), 0u64);
            while !stop.load(Ordering::Relaxed) {
                pace.tick().await;
                let unique = format!("{number}-{sent}-{}", began.elapsed().as_nanos());
                let id = match ids[usize::try_from(sent).unwrap() % ids.len()] {
                    Some(id) => id.to_owned(),
                    None => format!("nobody-{unique}"),
                };
                let reply = client
                    .ask(&token_request(&Agent {
                        id,
                        secret: format!("junk-{unique}"),
                    }))
                    .await;
                assert!([401, 429, 503].contains(&reply.status), "{}", reply.text());
                sent += 1;
            }
            sent
        });
    }
    senders
}
