//! Requests that wait for news of the revocation list, as many as there are descriptors for: what
//! they cost, and that a revocation answers all of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::stage::client::{get, read_reply};
use crate::stage::cluster::Cluster;
use crate::stage::ledger::{Load, claims};
use crate::stage::outcome::percentile;
use crate::stage::server::{Agent, Server, Site, raise_descriptors, report};
use crate::stage::{GENEROUS, eventually, pause, play, play_alone, scaled};

const LIST: &str = "/api/v1/token/revoked";

/// The most KiB of resident memory that a held request may cost in the release build. The debug
/// build keeps more on the stack of a task.
const MAX_KIB: u64 = if cfg!(debug_assertions) { 64 } else { 24 };

async fn version(server: &Server) -> i64 {
    let list = server.client().get(LIST).await;
    list.json()["version"].as_i64().unwrap()
}

async fn revoke_one(server: &Server, agent: &Agent) -> String {
    let mut client = server.client();
    let token = client.issue(agent).await.token();
    assert_eq!(client.revoke(agent, &token).await.status, 200);
    claims(&token)["jti"].as_str().unwrap().to_owned()
}

async fn connect(address: SocketAddr) -> TcpStream {
    let began = Instant::now();
    while began.elapsed() < GENEROUS {
        if let Ok(Ok(stream)) = timeout(GENEROUS, TcpStream::connect(address)).await {
            return stream;
        }
        pause(20).await;
    }
    panic!("no connection to {address}");
}

/// Opens a connection with a request that waits.
async fn poll(address: SocketAddr, query: &str) -> TcpStream {
    let mut stream = connect(address).await;
    let request = get(&format!("{LIST}?{query}"), "accept-encoding: gzip\r\n");
    stream.write_all(&request).await.unwrap();
    stream
}

/// As many held requests, begun by eight tasks at once.
async fn poll_often(address: SocketAddr, query: &str, polls: usize) -> Vec<TcpStream> {
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let query = query.to_owned();
        let share = (task..polls).step_by(8).count();
        tasks.spawn(async move {
            let mut streams = Vec::with_capacity(share);
            for _ in 0..share {
                streams.push(poll(address, &query).await);
            }
            streams
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

/// A count as a metric tells it.
fn whole(value: f64) -> usize {
    format!("{value:.0}").parse().unwrap()
}

/// How many requests the server holds. The gauge is set every few seconds.
async fn held(server: &Server, polls: usize) {
    eventually("the requests are held", async || {
        whole(server.metric("sealwright_held_polls").await) == polls
    })
    .await;
}

#[test]
fn as_many_held_requests_as_there_are_descriptors_cost_little_and_are_all_answered() {
    play_alone(async {
        raise_descriptors();
        let cluster = Cluster::start().await;
        let mut site = Site::postgres(&cluster).await;
        site.set("SEALWRIGHT_SERVER__MAX_CONNECTIONS_PER_SOURCE", "0");
        let agent = site.agent("agent", "unlimited");
        let agents = site.agents(3);
        let server = site.start();
        revoke_one(&server, &agent).await;
        let version = version(&server).await;
        let descriptors = whole(server.metric("process_max_fds").await);
        // A few descriptors are left to this test and to the agents.
        let most = descriptors - descriptors.div_ceil(10) - 200;
        let polls = most.min(scaled(1_500, 20_000));
        let load = || async {
            let load = Load::on(server.address, &agents, 4).start();
            load.delivers(scaled(300, 5_000)).await;
            load.stop().await
        };
        let alone = load().await;
        let before = server.resident_kib();
        let query = format!("since={version}&wait=25");
        // The requests begin within the wait of the first one, or this shows nothing.
        let began = Instant::now();
        let waiting = poll_often(server.address, &query, polls).await;
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{:?}",
            began.elapsed()
        );
        let transactions =
            "select xact_commit from pg_stat_database where datname = current_database()";
        let cost = site.number(transactions).await;
        pause(2_000).await;
        let cost = site.number(transactions).await - cost;
        let kib = server.resident_kib().saturating_sub(before) / polls as u64;
        let threads = server.threads();
        let meanwhile = load().await;
        let (told, beside) = tokio::join!(
            async {
                pause(500).await;
                let jti = Arc::new(revoke_one(&server, &agent).await);
                let began = Instant::now();
                let mut answered = JoinSet::new();
                for mut stream in waiting {
                    let jti = Arc::clone(&jti);
                    answered.spawn(async move {
                        let (head, body) = read_reply(&mut stream).await.expect("an answer");
                        let took = began.elapsed();
                        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                        assert!(String::from_utf8_lossy(&body).contains(&*jti), "{head}");
                        took
                    });
                }
                answered.join_all().await
            },
            load()
        );
        println!(
            "{polls} held requests ({descriptors} descriptors): {kib} KiB each, {threads} threads, {cost} transactions in 2 s"
        );
        report(
            "until each was answered after the revocation was",
            told.clone(),
        );
        let ratio = percentile(&meanwhile.times, 99) / percentile(&alone.times, 99);
        println!(
            "tokens alone: {}; beside held requests: {}, p99 {ratio:.2} times as long; while these are answered: {}",
            alone.summary(),
            meanwhile.summary(),
            beside.summary()
        );
        // The short form has few samples. On a machine with other load they say nothing.
        assert!(
            scaled(true, ratio < 2.0),
            "p99 is {ratio:.2} times as long beside held requests"
        );
        assert!(kib <= MAX_KIB, "{kib} KiB");
        assert!(threads < 40, "{threads} threads");
        // The loops read the version of the list and other things twice a second, and the database
        // counts what a session did up to ten seconds late. A read for each held request would be
        // far more.
        assert!(
            cost < i64::try_from(polls / 4).unwrap(),
            "{cost} transactions"
        );
        let last = told.iter().max().unwrap();
        assert!(*last < Duration::from_secs(5), "{last:?}");
        assert_eq!(meanwhile.unanswered + beside.unanswered, 0);
    });
}

#[test]
fn another_process_answers_its_held_requests_within_a_second_or_so() {
    play(async {
        let cluster = Cluster::start().await;
        let site = Site::postgres(&cluster).await;
        let agent = site.agent("agent", "unlimited");
        let (here, there) = (site.start(), site.start());
        let mut times = Vec::new();
        let mut last = {
            revoke_one(&here, &agent).await;
            version(&here).await
        };
        for _ in 0..scaled(5, 50) {
            // The other process may not know the version yet: then it waits for its next look.
            let mut stream = poll(there.address, &format!("since={last}&wait=25")).await;
            pause(700).await;
            let jti = revoke_one(&here, &agent).await;
            let began = Instant::now();
            let (_, body) = read_reply(&mut stream).await.unwrap();
            times.push(began.elapsed());
            let delta: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(delta["since"], last, "{delta}");
            assert_eq!(delta["revoked_tokens"][0]["jti"], jti);
            assert_eq!(delta["revoked_tokens"].as_array().unwrap().len(), 1);
            last = delta["version"].as_i64().unwrap();
        }
        report("until another process answered", times.clone());
        times.sort_unstable();
        assert!(times[times.len() / 2] < Duration::from_secs(2), "{times:?}");
    });
}

#[test]
fn a_stop_answers_held_requests_at_once() {
    play(async {
        let mut site = Site::sqlite();
        site.set("SEALWRIGHT_SERVER__DRAIN_DELAY_SECONDS", "5");
        let agent = site.agent("agent", "unlimited");
        let mut server = site.start();
        revoke_one(&server, &agent).await;
        let query = format!("since={}&wait=25", version(&server).await);
        let mut waiting = Vec::new();
        for _ in 0..200 {
            waiting.push(poll(server.address, &query).await);
        }
        held(&server, 200).await;
        let began = Instant::now();
        server.terminate();
        for (number, mut stream) in waiting.into_iter().enumerate() {
            let (head, _) = read_reply(&mut stream).await.expect("an answer");
            is_early(&head, "1");
            assert!(head.contains("connection: close"), "{head}");
            if number == 0 {
                // Who comes while it still accepts connections is told the same.
                let mut late = poll(server.address, &query).await;
                let (head, _) = read_reply(&mut late).await.expect("an answer");
                is_early(&head, "1");
            }
        }
        assert!(server.ended().await.success());
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{:?}",
            began.elapsed()
        );
    });
}

fn is_early(head: &str, seconds: &str) {
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(
        head.contains(&format!("retry-after: {seconds}\r\n")),
        "{head}"
    );
}

/// The connections of held requests are all that the server may have. A client that needs a token
/// gets one, and those that have waited longest come again.
#[test]
fn held_requests_lock_nobody_out() {
    play(async {
        raise_descriptors();
        let mut site = Site::sqlite();
        site.set("SEALWRIGHT_SERVER__MAX_CONNECTIONS", "300");
        site.set("SEALWRIGHT_SERVER__MAX_CONNECTIONS_PER_SOURCE", "0");
        let agent = site.agent("agent", "unlimited");
        let server = site.start();
        revoke_one(&server, &agent).await;
        let query = format!("since={}&wait=25", version(&server).await);
        // Requests that come at the same time are held in any order, so those that have waited
        // longest are all held before the others come.
        let old = poll_often(server.address, &query, 100).await;
        held(&server, 100).await;
        let new = poll_often(server.address, &query, 200).await;
        pause(500).await;
        for number in 0..scaled(10, 100) {
            let asked = timeout(Duration::from_secs(30), server.client().issue(&agent)).await;
            assert_eq!(asked.expect("no room").status, 200, "after {number} others");
        }
        let shed = whole(
            server
                .metric("sealwright_shed_total{of=\"held_polls\"}")
                .await,
        );
        println!("{shed} of 300 held requests made room");
        assert!((1..=old.len()).contains(&shed), "{shed}");
        let mut answers = JoinSet::new();
        for mut stream in old {
            answers.spawn(async move { read_reply(&mut stream).await });
        }
        for _ in 0..shed {
            let answer = answers.join_next().await.expect("one of the old requests");
            let (head, _) = answer.unwrap().expect("an answer");
            is_early(&head, "15");
        }
        drop(new);
    });
}

/// Clients that leave while they wait, again and again, leave nothing behind.
#[test]
fn clients_that_leave_free_their_places() {
    play(async {
        let mut site = Site::sqlite();
        site.set("SEALWRIGHT_LIMITS__HELD_POLLS", "50");
        let agent = site.agent("agent", "unlimited");
        let server = site.start();
        revoke_one(&server, &agent).await;
        let query = format!("since={}&wait=25", version(&server).await);
        for _ in 0..scaled(3, 30) {
            let mut waiting = Vec::new();
            for _ in 0..50 {
                waiting.push(poll(server.address, &query).await);
            }
            held(&server, 50).await;
            let mut more = poll(server.address, &query).await;
            let (head, _) = read_reply(&mut more).await.expect("an answer");
            is_early(&head, "15");
            drop(waiting);
            held(&server, 0).await;
        }
    });
}
