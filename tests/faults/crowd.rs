//! More connections than the process has file descriptors for, and clients that stall in every way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::stage::client::{Lost, get, read_reply, token_request};
use crate::stage::ledger::Load;
use crate::stage::server::{Server, Site, raise_descriptors};
use crate::stage::{GENEROUS, eventually, pause, play_alone, scaled};

/// Opens a connection of a hostile client. The server may turn it away at once.
async fn connect(server: &Server) -> Option<TcpStream> {
    timeout(GENEROUS, TcpStream::connect(server.address))
        .await
        .ok()?
        .ok()
}

/// Reads a byte every 200 ms, for as long as bytes come.
async fn read_slowly(mut stream: TcpStream) {
    while stream.read_u8().await.is_ok() {
        pause(200).await;
    }
}

#[test]
fn hostile_connections_beyond_the_descriptors_cost_good_agents_nothing_on_sqlite() {
    play_alone(async { beside_hostile_connections(&Site::sqlite()).await });
}

#[test]
fn hostile_connections_beyond_the_descriptors_cost_good_agents_nothing_on_postgres() {
    play_alone(async {
        let cluster = crate::stage::cluster::Cluster::start().await;
        beside_hostile_connections(&Site::postgres(&cluster).await).await;
    });
}

/// `ulimit -n 1024`, and all clients come from one address: idle connections, half heads, slow
/// readers, and clients that pipeline and never read.
async fn beside_hostile_connections(site: &Site) {
    raise_descriptors();
    let (idle, slow, deaf) = scaled((1_100, 50, 120), (3_000, 200, 500));
    let (agents, late) = (site.agents(3), site.agent("late", "unlimited"));
    let mut server = site.start_with_descriptors(1_024);
    let load = Load::on(server.address, &agents, 8).start();
    load.delivers(50).await;
    let (mut kept, mut reading) = (Vec::new(), JoinSet::new());
    for number in 0..idle {
        let Some(mut stream) = connect(&server).await else {
            continue;
        };
        // Some clients send nothing, some send half a head, and some have been served.
        let said: &[u8] = match number % 3 {
            0 => b"",
            1 => b"POST /api/v1/token HTTP/1.1\r\nhost: a\r\nx-a: ",
            _ => b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n",
        };
        let _ = stream.write_all(said).await;
        kept.push(stream);
    }
    let documents = get("/.well-known/jwks.json", "").repeat(64);
    for number in 0..slow + deaf {
        let Some(mut stream) = connect(&server).await else {
            continue;
        };
        // Send until the server accepts no more, since nobody reads its responses.
        let _ = timeout(Duration::from_millis(20), async {
            while stream.write_all(&documents).await.is_ok() {}
        })
        .await;
        if number < slow {
            reading.spawn(read_slowly(stream));
        } else {
            kept.push(stream);
        }
    }
    load.delivers(scaled(200, 5_000)).await;
    // A client that comes now is served too.
    for number in 0..scaled(30, 300) {
        assert_eq!(
            server.client().issue(&late).await.status,
            200,
            "after {number} others"
        );
    }
    let ledger = load.stop().await;
    let shed = server
        .metric("sealwright_shed_total{of=\"connections\"}")
        .await;
    println!(
        "{} kept hostile connections, {shed} turned away; beside them {}",
        kept.len(),
        ledger.summary()
    );
    assert_eq!(ledger.unanswered, 0, "{}", ledger.summary());
    ledger.demand_served(scaled(3, 0));
    assert_eq!(server.ops_client().get("/readyz").await.status, 200);
    assert!(server.is_alive());
    site.audit(&ledger).await;
}

/// The server allows more connections than it has descriptors. When the system has no descriptor
/// left, idle connections make room.
#[test]
fn a_cap_above_the_descriptors_locks_nobody_out() {
    play_alone(async {
        raise_descriptors();
        let mut site = Site::sqlite();
        site.set("SEALWRIGHT_SERVER__MAX_CONNECTIONS", "5000");
        site.set("SEALWRIGHT_SERVER__MAX_CONNECTIONS_PER_SOURCE", "0");
        let agent = site.agent("agent", "unlimited");
        let server = site.start_with_descriptors(256);
        let mut kept = Vec::new();
        for _ in 0..400 {
            kept.extend(connect(&server).await);
        }
        for number in 0..5 {
            let asked = timeout(Duration::from_secs(30), server.client().issue(&agent)).await;
            assert_eq!(
                asked.expect("no descriptor is given back").status,
                200,
                "after {number} others"
            );
        }
        drop(kept);
    });
}

#[test]
fn bodies_that_stall_are_bounded_and_good_agents_are_served() {
    play_alone(async {
        raise_descriptors();
        let site = Site::sqlite();
        let agent = site.agent("agent", "unlimited");
        let server = site.start();
        assert_eq!(server.client().issue(&agent).await.status, 200);
        let before = server.resident();
        let head = format!(
            "POST /api/v1/token HTTP/1.1\r\nhost: a\r\nx-a: {}\r\ncontent-length: 65000\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n",
            "a".repeat(scaled(100, 30_000))
        );
        let stalling = format!("{head}{}", "b".repeat(64_900));
        let (turned_away, mut stalled) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
        for _ in 0..scaled(500, 1_500) {
            let mut stream = connect(&server).await.unwrap();
            stream.write_all(stalling.as_bytes()).await.unwrap();
            let turned_away = Arc::clone(&turned_away);
            stalled.spawn(async move {
                let (head, _) = read_reply(&mut stream).await.unwrap();
                if head.starts_with("HTTP/1.1 503") {
                    let head = head.to_ascii_lowercase();
                    assert!(
                        head.contains("retry-after: 1") && head.contains("connection: close"),
                        "{head}"
                    );
                    turned_away.fetch_add(1, Ordering::Relaxed);
                } else {
                    assert!(head.starts_with("HTTP/1.1 408"), "{head}");
                }
            });
        }
        eventually("too many are turned away", async || {
            turned_away.load(Ordering::Relaxed) > 50
        })
        .await;
        // A client that sends its body separately from its head is served all the same.
        let request = token_request(&agent);
        let (start, rest) = request.split_at(request.len() - 20);
        let mut stream = connect(&server).await.unwrap();
        stream.write_all(start).await.unwrap();
        pause(50).await;
        stream.write_all(rest).await.unwrap();
        let (head, _) = timeout(GENEROUS, read_reply(&mut stream))
            .await
            .unwrap()
            .unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let during = server.resident();
        if scaled(false, true) {
            timeout(GENEROUS, stalled.join_all())
                .await
                .expect("the server waits for a stalled body without end");
        }
        let shed = server.metric("sealwright_shed_total{of=\"bodies\"}").await;
        println!(
            "memory {before} → {during} → {} MiB, {shed} turned away",
            server.resident()
        );
        assert!(during < before + 128, "{during} MiB");
    });
}

/// The HTTP settings of the Oculus SDK: kept connections, a poll every 15 s, no retry.
#[test]
fn pollers_keep_their_connections() {
    play_alone(async {
        raise_descriptors();
        let site = Site::sqlite();
        let server = site.start();
        let (pollers, polls, period) = scaled((100, 4, 500), (1_000, 40, 15_000));
        let mut herd = JoinSet::new();
        for number in 0..pollers {
            let mut client = server.client();
            herd.spawn(async move {
                pause(period * number / pollers).await;
                for poll in 0..polls {
                    let reply = client.send(&get("/oauth/revoked-tokens", "")).await;
                    match reply {
                        Ok(reply) => assert_eq!(reply.status, 200),
                        Err(Lost::NotSent(fault) | Lost::Unanswered(fault)) => {
                            panic!("poll {poll}: {fault}")
                        }
                    }
                    pause(period).await;
                }
            });
        }
        herd.join_all().await;
        println!("{pollers} pollers, {polls} polls each, one every {period} ms: no error");
    });
}
