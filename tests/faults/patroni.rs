//! Patroni's leader is lost in each way. Minutes long: `tests/deploy/checks/patroni` is the short form.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::stage::audit::introspect_all;
use crate::stage::client::Client;
use crate::stage::ledger::Load;
use crate::stage::patroni::Nodes;
use crate::stage::server::{Agent, Server, Site};
use crate::stage::{cannot_run, eventually, pause, play, scaled};

/// How long no token may be had.
const SERVING_WITHIN: Duration = Duration::from_secs(45);

/// How long a fault lasts, and how long after it is looked at.
const FAULT_MILLISECONDS: u64 = 60_000;

/// The longest time without a token at a server, until `is_over`.
async fn longest_gap(server: &Server, agent: Agent, is_over: Arc<AtomicBool>) -> Duration {
    let mut client = Client::new(server.address);
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    while !is_over.load(Ordering::Relaxed) {
        if client.issue(&agent).await.status == 200 {
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        pause(20).await;
    }
    longest.max(last.elapsed())
}

/// Runs `fault` while two replicas are used, and looks at what was lost.
async fn survive(
    what: &str,
    site: &mut Site,
    nodes: &mut Nodes,
    servers: &[Server; 2],
    fault: impl AsyncFnOnce(&mut Nodes),
) {
    let (agents, watcher) = (site.agents(2), site.agent("watcher", "unlimited"));
    let mut load = Load::on(servers[0].address, &agents, 8).revoking(3);
    load.servers.push(servers[1].address);
    let running = load.start();
    running.delivers(1_000).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let watch = |server| longest_gap(server, watcher.clone(), Arc::clone(&is_over));
    let (first, second, ()) = tokio::join!(watch(&servers[0]), watch(&servers[1]), async {
        fault(nodes).await;
        running.delivers(1_000).await;
        is_over.store(true, Ordering::Relaxed);
    });
    let ledger = running.stop().await;
    nodes.settled().await;
    let all = std::mem::replace(
        &mut site.database,
        nodes.url_at(nodes.leader().await.unwrap()),
    );
    println!(
        "{what}: without a token for {} ms and {} ms at most; {}",
        first.as_millis(),
        second.as_millis(),
        ledger.summary()
    );
    for server in servers {
        introspect_all(server, &agents[0], &ledger).await;
        eventually("readiness", async || {
            server.client().get("/readyz").await.status == 200
        })
        .await;
    }
    site.audit(&ledger).await;
    site.database = all;
    assert!(first.max(second) <= SERVING_WITHIN);
}

#[test]
fn patroni_replaces_a_leader_and_nothing_that_was_answered_is_lost() {
    if !scaled(false, true) {
        cannot_run(
            "the failover of Patroni",
            "it takes minutes: tests/faults/run --long patroni",
        );
        return;
    }
    play(async {
        let mut nodes = match Nodes::start().await {
            Ok(nodes) => nodes,
            Err(why) => return cannot_run("the failover of Patroni", &why),
        };
        let mut site = Site::in_database(nodes.url());
        let servers = [site.start(), site.start()];
        let (nodes, site) = (&mut nodes, &mut site);
        survive("leader killed", site, nodes, &servers, async |nodes| {
            let leader = nodes.leader().await.unwrap();
            nodes.kill(leader);
            pause(FAULT_MILLISECONDS).await;
            nodes.start_node(leader);
        })
        .await;
        survive(
            "leader stopped for 60 s",
            site,
            nodes,
            &servers,
            async |nodes| {
                let frozen = nodes.freeze(nodes.leader().await.unwrap());
                pause(FAULT_MILLISECONDS).await;
                drop(frozen);
                pause(5_000).await;
            },
        )
        .await;
        survive("etcd lost for 60 s", site, nodes, &servers, async |nodes| {
            nodes.kill_etcd();
            pause(FAULT_MILLISECONDS).await;
            nodes.start_etcd();
            pause(15_000).await;
        })
        .await;
    });
}
