//! Another master key under load: every replica is restarted with both, the keys are sealed anew, and
//! every replica is restarted with the new one alone. No request fails, and a step out of its turn is
//! refused.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::stage::cluster::Cluster;
use crate::stage::ledger::{Load, Running};
use crate::stage::server::{Agent, Server, Site};
use crate::stage::{free_port, play, scaled};

/// The master keys of a test, in their order. The first is the one that every store has.
const MASTER_KEYS: [&str; 4] = [
    "c2VhbHdyaWdodC1mYXVsdC10ZXN0LW1hc3Rlci1rZXk=",
    "c2Vjb25kLXNlYWx3cmlnaHQtZmF1bHQtdGVzdC1rZXk=",
    "dGhpcmQtc2VhbHdyaWdodC1mYXVsdC10ZXN0LWtleSE=",
    "Zm91cnRoLXNlYWx3cmlnaHQtZmF1bHQtdGVzdC1rZXk=",
];

/// The orders in which three replicas are restarted.
const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [2, 1, 0],
    [1, 2, 0],
    [0, 2, 1],
    [1, 0, 2],
    [2, 0, 1],
];

/// Lets every process that starts from now on have this master key, and the one before it.
fn give(site: &mut Site, newest: &str, previous: &str) {
    site.set("SEALWRIGHT_KEYS__MASTER_KEY", newest);
    site.set("SEALWRIGHT_KEYS__MASTER_KEY_PREVIOUS", previous);
}

fn start_at(site: &mut Site, address: SocketAddr) -> Server {
    site.set("SEALWRIGHT_SERVER__LISTEN", &address.to_string());
    site.start()
}

/// Replicas that serve while they are restarted one after the other.
struct Replicas {
    servers: Vec<Server>,
    load: Running,
}

impl Replicas {
    fn start(site: &mut Site, count: usize, agents: &Arc<Vec<Agent>>) -> Self {
        let servers: Vec<Server> = (0..count)
            .map(|_| {
                let address = format!("127.0.0.1:{}", free_port()).parse().unwrap();
                start_at(site, address)
            })
            .collect();
        let load = Load {
            servers: servers.iter().map(|server| server.address).collect(),
            ..Load::on(servers[0].address, agents, 12)
        };
        let load = load.revoking(20).start();
        Self { servers, load }
    }

    /// Restarts one. Its clients wait until it listens again, as a load balancer lets them.
    async fn restart(&mut self, site: &mut Site, place: usize) {
        let address = self.servers[place].address;
        self.servers[place].terminate();
        assert!(self.servers[place].ended().await.success());
        self.servers[place] = start_at(site, address);
        self.load.delivers(50).await;
    }
}

/// What a server says that must not start. Its address is free, so that only the keys are in its way.
fn refused_start(site: &mut Site) -> String {
    site.set("SEALWRIGHT_SERVER__LISTEN", "127.0.0.1:0");
    let (_, said) = site.start_or_refusal().err().expect("it must not start");
    said
}

/// Runs the command, which must be refused, and returns what it said.
fn refused(site: &Site) -> String {
    let output = site.run(&["key", "reseal"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The whole change, with the replicas restarted in this order.
async fn change_master_key(
    site: &mut Site,
    replicas: &mut Replicas,
    order: &[usize],
    (before, after): (&str, &str),
) {
    // Too early: what is sealed under the key before cannot be opened.
    give(site, after, "");
    let said = refused_start(site);
    assert!(said.contains("keys.master_key_previous"), "{said}");
    give(site, after, before);
    for (number, place) in order.iter().enumerate() {
        let said = refused(site);
        for place in &order[number..] {
            let pid = format!("pid {} on ", replicas.servers[*place].pid());
            assert!(said.contains(&pid), "{said}");
        }
        for place in &order[..number] {
            let pid = format!("pid {} on ", replicas.servers[*place].pid());
            assert!(!said.contains(&pid), "{said}");
        }
        replicas.restart(site, *place).await;
    }
    let sealed = site.json(&["key", "reseal"]);
    assert!(sealed["keys"].as_i64().unwrap() >= 5, "{sealed}");
    assert_eq!(site.json(&["key", "reseal"])["keys"], 0);
    replicas.load.delivers(100).await;
    // Too late: nothing is sealed under the key before any more.
    give(site, before, "");
    let said = refused_start(site);
    assert!(said.contains("keys.master_key"), "{said}");
    give(site, after, "");
    for place in order {
        replicas.restart(site, *place).await;
    }
    replicas.load.delivers(100).await;
}

#[test]
fn three_replicas_get_another_master_key_under_load_and_no_request_fails() {
    play(async {
        let cluster = Cluster::start().await;
        let mut site = Site::postgres(&cluster).await;
        let agents = site.agents(4);
        let mut replicas = Replicas::start(&mut site, 3, &agents);
        let mut keys = MASTER_KEYS.into_iter().cycle();
        let mut before = keys.next().unwrap();
        for order in ORDERS.iter().take(scaled(2, ORDERS.len())) {
            let after = keys.next().unwrap();
            change_master_key(&mut site, &mut replicas, order, (before, after)).await;
            before = after;
        }
        let ledger = replicas.load.stop().await;
        println!("another master key, three replicas: {}", ledger.summary());
        assert_eq!(ledger.unanswered, 0, "requests without an answer");
        ledger.demand_served(scaled(3, 0));
        site.audit(&ledger).await;
        site.must(&["audit", "verify"]);
    });
}
