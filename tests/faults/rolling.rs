//! Two replicas behind `HAProxy`, with the configuration that `deploy/` has for it, are restarted one
//! after the other while clients ask for tokens and revoke them. No client notices.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::stage::client::{Client, get};
use crate::stage::cluster::Cluster;
use crate::stage::ledger::Load;
use crate::stage::reverse_proxy::find;
use crate::stage::server::{Server, Site};
use crate::stage::{cannot_run, eventually, free_port, play, scaled};

/// The file with which operators run `HAProxy`.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/haproxy/haproxy.cfg");

/// How many seconds a stopping replica is served by while it says that it is not ready. `HAProxy`
/// asks once a second, and twice more within a second after the first refusal.
const DRAIN_DELAY: &str = "4";

#[test]
fn replicas_that_are_restarted_in_turn_behind_haproxy_fail_no_request() {
    let Some(program) = find("haproxy") else {
        cannot_run("a rolling restart", "needs the program `haproxy`");
        return;
    };
    play(async {
        let cluster = Cluster::start().await;
        let mut site = Site::postgres(&cluster).await;
        site.set("SEALWRIGHT_SERVER__DRAIN_DELAY_SECONDS", DRAIN_DELAY);
        let agents = site.agents(4);
        let addresses = [free_address(), free_address()];
        let mut replicas = addresses.map(|address| start_at(&mut site, address));
        let balancer = Balancer::start(&program, addresses);
        balancer.serves().await;
        let load = Load::on(balancer.address, &agents, 16).revoking(50).start();
        let (mut restarts, wanted) = (0, scaled(4_000, 100_000));
        while restarts < 4 || load.arrived() < wanted {
            for (place, address) in addresses.into_iter().enumerate() {
                replicas[place].terminate();
                assert!(replicas[place].ended().await.success());
                replicas[place] = start_at(&mut site, address);
                balancer.serves().await;
                load.delivers(100).await;
                restarts += 1;
            }
        }
        let ledger = load.stop().await;
        println!("{restarts} restarts behind HAProxy: {}", ledger.summary());
        assert_eq!(ledger.unanswered, 0, "requests without an answer");
        ledger.demand_served(0);
        site.audit(&ledger).await;
    });
}

fn free_address() -> SocketAddr {
    format!("127.0.0.1:{}", free_port()).parse().unwrap()
}

fn start_at(site: &mut Site, address: SocketAddr) -> Server {
    site.set("SEALWRIGHT_SERVER__LISTEN", &address.to_string());
    site.start()
}

/// A running `HAProxy`. Dropping it kills it.
struct Balancer {
    child: Child,
    address: SocketAddr,
    replicas: [SocketAddr; 2],
}

impl Balancer {
    fn start(program: &Path, replicas: [SocketAddr; 2]) -> Self {
        let address = free_address();
        let child = Command::new(program)
            .args(["-db", "-f", FILE])
            .env("LISTEN", address.to_string())
            .env("REPLICA_ONE", replicas[0].to_string())
            .env("REPLICA_TWO", replicas[1].to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            address,
            replicas,
        }
    }

    /// Waits until both replicas are ready and requests reach one of them through it.
    async fn serves(&self) {
        let [one, two] = self.replicas;
        eventually("the replicas are ready", async || {
            is_ready(one).await && is_ready(two).await && is_ready(self.address).await
        })
        .await;
    }
}

async fn is_ready(address: SocketAddr) -> bool {
    let asked = Client::new(address).send(&get("/readyz", "")).await;
    asked.is_ok_and(|reply| reply.status == 200)
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
