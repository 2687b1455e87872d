//! Revocations by other clients, beside a client that revokes without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::stage::client::{Lost, revoke_request};
use crate::stage::cluster::Cluster;
use crate::stage::server::{Agent, Server, Site, raise_descriptors, report};
use crate::stage::{GENEROUS, answer_within, pause, play_alone, scaled};

#[test]
fn one_token_revoked_over_thousands_of_connections_keeps_no_other_revocation_waiting_on_sqlite() {
    play_alone(async { beside_hostile_revocations(&Site::sqlite(), 1).await });
}

#[test]
fn one_token_revoked_over_thousands_of_connections_keeps_no_other_revocation_waiting_on_postgres() {
    play_alone(async {
        let cluster = Cluster::start().await;
        beside_hostile_revocations(&Site::postgres(&cluster).await, 2).await;
    });
}

/// Revokes one token again and again over many connections.
struct Flood {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<(u64, u64)>,
}

impl Flood {
    async fn start(servers: &[Server], agent: &Agent, connections: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let token = servers[0].client().issue(agent).await.token();
        let request: Arc<[u8]> = revoke_request(agent, &token).into();
        let mut tasks = JoinSet::new();
        for number in 0..connections {
            let (mut client, stop) = (servers[number % servers.len()].client(), Arc::clone(&stop));
            let request = Arc::clone(&request);
            tasks.spawn(async move {
                let (mut revoked, mut refused) = (0, 0);
                while !stop.load(Ordering::Relaxed) {
                    match client.send(&request).await.map(|reply| reply.status) {
                        Ok(200) => revoked += 1,
                        // 429: the caller is over its rate. 503: the server cannot answer them all.
                        Ok(429 | 503) => refused += 1,
                        Ok(status) => panic!("{status}"),
                        Err(Lost::NotSent(_) | Lost::Unanswered(_)) => {}
                    }
                    // About 1,500 requests a second in total. The test shows that they hold nothing
                    // that others need. It does not test an overloaded machine.
                    pause(scaled(20, 2_000)).await;
                }
                (revoked, refused)
            });
        }
        Self { stop, tasks }
    }

    async fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        let all = self.tasks.join_all().await;
        all.into_iter()
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }
}

/// Revokes tokens of each agent by requests, and suspends each agent by a command. Returns how long
/// both took.
async fn kill(site: &Site, server: &Server, agents: &[Agent]) -> (Vec<Duration>, Vec<Duration>) {
    let (mut client, mut revocations, mut suspensions) = (server.client(), Vec::new(), Vec::new());
    for agent in agents {
        for _ in 0..5 {
            let token = client.issue(agent).await.token();
            let reply = client.revoke(agent, &token).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            revocations.push(reply.took);
            assert!(!client.introspect(agent, &token).await.active());
        }
        let began = Instant::now();
        site.must(&["agent", "suspend", &agent.id]);
        suspensions.push(began.elapsed());
        assert_eq!(client.issue(agent).await.status, 403);
    }
    (revocations, suspensions)
}

async fn beside_hostile_revocations(site: &Site, count: usize) {
    raise_descriptors();
    let hostile = site.agent("hostile", "unlimited");
    let (first, second) = (site.agents(scaled(3, 40)), site.agents(scaled(3, 40)));
    let servers: Vec<Server> = (0..count).map(|_| site.start()).collect();
    let last = servers.last().unwrap();
    let alone = kill(site, last, &first).await;
    let flood = Flood::start(&servers, &hostile, scaled(300, 3_000)).await;
    let beside = kill(site, last, &second).await;
    let (revoked, refused) = flood.stop().await;
    println!("beside {revoked} revocations of one token and {refused} that were refused:");
    let most = beside.0.iter().chain(&beside.1).max().copied().unwrap();
    for (what, times) in [
        ("revocations alone", alone.0),
        ("revocations beside them", beside.0),
        ("suspensions alone", alone.1),
        ("suspensions beside them", beside.1),
    ] {
        report(what, times);
    }
    assert!(revoked > 0, "nothing was revoked twice");
    // The times of a debug build on a machine with other load say nothing.
    assert!(
        most <= scaled(GENEROUS, answer_within()),
        "one took {} ms",
        most.as_millis()
    );
    // A token that was revoked a thousand times is recorded once.
    let rows = site.number("select count(*) from revoked_token").await;
    let tokens = i64::try_from((first.len() + second.len()) * 5 + 1).unwrap();
    assert_eq!(rows, tokens);
}
