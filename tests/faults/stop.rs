//! SIGTERM under load: accepted requests are finished, and counted tokens are delivered.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::stage::client::{read_reply, token_request};
use crate::stage::cluster::Cluster;
use crate::stage::ledger::Load;
use crate::stage::server::{Agent, Server, Site};
use crate::stage::{eventually, pause, play};

#[test]
fn a_stop_under_load_delivers_all_that_was_counted_on_sqlite() {
    play(async { stop_under_load(&Site::sqlite()).await });
}

#[test]
fn a_stop_under_load_delivers_all_that_was_counted_on_postgres() {
    play(async {
        let cluster = Cluster::start().await;
        stop_under_load(&Site::postgres(&cluster).await).await;
    });
}

/// Begins a request. Returns its connection and the last bytes, which are not sent yet.
async fn begin(server: &Server, agent: &Agent) -> (TcpStream, Vec<u8>) {
    let mut request = token_request(agent);
    let rest = request.split_off(request.len() - 10);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&request).await.unwrap();
    // The request counts as running only once the server has read its head.
    pause(300).await;
    (stream, rest)
}

async fn stop_under_load(site: &Site) {
    let agents = site.agents(3);
    let late = site.agent("late", "unlimited");
    let mut server = site.start();
    let load = Load::on(server.address, &agents, 32).revoking(7).start();
    let (mut stream, rest) = begin(&server, &late).await;
    load.delivers(100).await;
    server.terminate();
    // The probes on the operators' listener see the stop for as long as it lasts.
    eventually("readiness ends", async || {
        server.ops_client().get("/readyz").await.status == 503
    })
    .await;
    assert_eq!(server.ops_client().get("/livez").await.status, 200);
    eventually("no new connections", async || {
        TcpStream::connect(server.address).await.is_err()
    })
    .await;
    stream.write_all(&rest).await.unwrap();
    let (head, _) = read_reply(&mut stream)
        .await
        .expect("what was accepted is answered");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(
        server.ended().await.success(),
        "a stop that was asked for is no failure"
    );
    let ledger = load.stop().await;
    println!("stop: {}", ledger.summary());
    assert!(ledger.delivered() > 0);
    // Clients that could still connect, or had a connection, were served. The others could not
    // connect, so they sent nothing.
    assert_eq!(ledger.unanswered, 0, "accepted and lost");
    ledger.demand_served(0);
    site.audit(&ledger).await;
    assert_eq!(site.used(&late.id).await, 1);
    for agent in agents.iter() {
        let delivered = i64::try_from(ledger.accounts[&agent.id].delivered.len()).unwrap();
        assert_eq!(
            site.used(&agent.id).await,
            delivered,
            "counted and not delivered"
        );
    }
}

#[test]
fn a_second_signal_ends_a_stop_at_once() {
    play(async {
        let site = Site::sqlite();
        let agent = site.agent("late", "unlimited");
        let mut server = site.start();
        let (_stream, _rest) = begin(&server, &agent).await;
        server.terminate();
        eventually("the stop begins", async || {
            TcpStream::connect(server.address).await.is_err()
        })
        .await;
        assert!(server.is_alive(), "a request is under way");
        server.terminate();
        // With the first signal alone, the server would wait for that request for ten seconds.
        let began = std::time::Instant::now();
        assert!(
            !server.ended().await.success(),
            "what was under way is lost, and the exit code says so"
        );
        assert!(began.elapsed().as_secs() < 5);
    });
}
