//! Bursts of half-sent requests from one address: clients of other addresses, each with a new
//! connection, never wait for them, and a kept connection of the same address is never cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::stage::client::{get, read_reply, token_request};
use crate::stage::server::{Agent, Server, Site, raise_descriptors};
use crate::stage::{GENEROUS, cannot_run, pause, play_alone, scaled};

/// How long a newcomer of another address may wait for its token: what `docs/connections.md`
/// promises, and a second of this machine's own. The short form runs on machines that stand still now
/// and then. There the bound is less than the ten seconds for which a half body is waited for.
fn newcomer_timeout() -> Duration {
    scaled(Duration::from_secs(6), Duration::from_secs(2))
}

/// A request whose head is complete and whose body is half sent.
const HALF: &[u8] = b"POST /api/v1/token HTTP/1.1\r\nhost: a\r\n\
    content-type: application/x-www-form-urlencoded\r\ncontent-length: 100\r\n\r\n\
    grant_type=client_credentials";

#[test]
fn a_burst_of_half_bodies_holds_up_no_newcomer_of_another_address() {
    play_alone(async {
        beside_bursts(1_024, 900, scaled(4_000, 12_000), scaled(1, 3)).await;
    });
}

#[test]
fn a_burst_of_half_bodies_holds_up_no_newcomer_with_few_descriptors() {
    play_alone(async {
        beside_bursts(256, 200, scaled(4_000, 12_000), scaled(1, 3)).await;
    });
}

#[test]
fn bursts_of_half_bodies_one_after_another_hold_up_no_newcomer_of_another_address() {
    play_alone(async {
        beside_bursts(1_024, 450, 2_500, scaled(3, 24)).await;
    });
}

/// Bursts of `halves_each` half-sent requests from 127.0.0.1, one every `period` milliseconds, on a server
/// with so many descriptors.
async fn beside_bursts(descriptors: usize, halves_each: usize, period: u64, bursts: usize) {
    raise_descriptors();
    let site = Site::sqlite();
    let agent = site.agent("agent", "unlimited");
    let server = Arc::new(site.start_with_descriptors(descriptors));
    if let Err(why) = newcomer(&server, &agent).await {
        return cannot_run("a client with the address 127.0.0.2", &why);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let kept = tokio::spawn(poll_on_one_connection(
        Arc::clone(&server),
        Arc::clone(&stop),
    ));
    let newcomers = tokio::spawn(come_until(
        Arc::clone(&server),
        agent.clone(),
        Arc::clone(&stop),
    ));
    pause(1_000).await;
    let mut halves = JoinSet::new();
    for _ in 0..bursts {
        for _ in 0..halves_each {
            let address = server.address;
            halves.spawn(async move {
                let Ok(mut stream) = TcpStream::connect(address).await else {
                    return;
                };
                let _ = stream.write_all(HALF).await;
                // The client neither sends the rest, nor reads, nor goes away.
                std::future::pending::<()>().await;
            });
        }
        pause(period).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut waits = newcomers.await.unwrap();
    waits.sort_unstable();
    let longest = waits.last().copied().unwrap_or_default();
    println!(
        "{bursts} bursts of {halves_each} at {descriptors} descriptors: {} newcomers, median {} ms, longest {} ms",
        waits.len(),
        waits[waits.len() / 2].as_millis(),
        longest.as_millis(),
    );
    assert!(
        longest < newcomer_timeout(),
        "a newcomer waited {longest:?}"
    );
    let polls = kept.await.unwrap();
    println!("{polls} polls on one connection of the same address");
    // Once the clients have left, the same address gets tokens too.
    halves.shutdown().await;
    assert_eq!(server.client().issue(&agent).await.status, 200);
}

/// One token on a new connection from 127.0.0.2. Returns how long that took.
async fn newcomer(server: &Server, agent: &Agent) -> Result<Duration, String> {
    let began = Instant::now();
    let socket = TcpSocket::new_v4().map_err(|e| e.to_string())?;
    socket
        .bind(([127, 0, 0, 2], 0).into())
        .map_err(|e| e.to_string())?;
    let mut stream = socket
        .connect(server.address)
        .await
        .map_err(|e| e.to_string())?;
    let _ = stream.write_all(&token_request(agent)).await;
    let (head, _) = timeout(GENEROUS, read_reply(&mut stream))
        .await
        .map_err(|e| e.to_string())?
        .map_err(|e| e.to_string())?;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    Ok(began.elapsed())
}

/// Newcomers, one after another. Returns how long each waited.
async fn come_until(server: Arc<Server>, agent: Agent, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let mut waits = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        waits.push(newcomer(&server, &agent).await.expect("an answer"));
        pause(20).await;
    }
    waits
}

/// A client of the address from which the bursts come. Its connection is idle for half a second
/// between two requests, and must never be closed.
async fn poll_on_one_connection(server: Arc<Server>, stop: Arc<AtomicBool>) -> usize {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut polls = 0;
    while !stop.load(Ordering::Relaxed) {
        let sent = stream.write_all(&get("/.well-known/jwks.json", "")).await;
        let reply = timeout(GENEROUS, read_reply(&mut stream)).await.unwrap();
        let (head, _) = reply.unwrap_or_else(|e| panic!("after {polls} polls: {e}, {sent:?}"));
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        polls += 1;
        pause(500).await;
    }
    polls
}
