//! Several servers on one PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinSet;

use crate::stage::cluster::Cluster;
use crate::stage::ledger::Load;
use crate::stage::server::Site;
use crate::stage::{play_alone, scaled};

/// The limit of a month.
fn limit() -> i64 {
    scaled(3_000, 100_000)
}

#[test]
fn three_servers_give_out_exactly_the_months_tokens() {
    play_alone(async {
        let cluster = Cluster::start().await;
        let mut site = Site::postgres(&cluster).await;
        let limit = limit();
        site.set("SEALWRIGHT_PLANS__FREE", &limit.to_string());
        let agent = site.agent("limited", "free");
        let servers = [site.start(), site.start(), site.start()];
        let offered = 3 * limit;
        let load = Load {
            servers: servers.iter().map(|server| server.address).collect(),
            connections: 96,
            most: Some(offered.unsigned_abs()),
            ..Load::on(servers[0].address, &Arc::new(vec![agent.clone()]), 64)
        };
        let ledger = load.start().finish().await;
        println!(
            "three servers, 96 connections, limit {limit}, {offered} asked for: {}",
            ledger.summary()
        );
        assert_eq!(i64::try_from(ledger.delivered()).unwrap(), limit);
        assert_eq!(ledger.count("token", 403), 2 * limit.unsigned_abs());
        assert_eq!(ledger.unanswered, 0);
        site.audit(&ledger).await;
        assert_eq!(site.used(&agent.id).await, limit);

        // After a restart with a limit below what is used, the server refuses tokens and leaves the
        // counter as it is.
        drop(servers);
        site.set("SEALWRIGHT_PLANS__FREE", "100");
        let lowered = site.start();
        let refused = lowered.client().issue(&agent).await;
        assert_eq!(refused.status, 403);
        assert!(
            refused.text().contains("limit of 100 requests"),
            "{}",
            refused.text()
        );
        assert_eq!(site.used(&agent.id).await, limit);
        // A command gives the agent another plan, which holds on the next request.
        site.must(&["agent", "update", &agent.id, "--plan", "unlimited"]);
        assert_eq!(lowered.client().issue(&agent).await.status, 200);
        assert_eq!(site.used(&agent.id).await, limit + 1);
    });
}

#[test]
fn what_one_server_revokes_is_dead_on_the_other_on_the_next_request() {
    play_alone(async {
        let cluster = Cluster::start().await;
        let site = Site::postgres(&cluster).await;
        let (asker, agent) = (
            site.agent("asker", "unlimited"),
            site.agent("agent", "unlimited"),
        );
        let (one, two) = (site.start(), site.start());
        let (mut here, mut there) = (one.client(), two.client());
        let mut revoked = Vec::new();
        for _ in 0..50 {
            let token = here.issue(&agent).await.token();
            assert!(there.introspect(&asker, &token).await.active());
            assert_eq!(here.revoke(&agent, &token).await.status, 200);
            assert!(!there.introspect(&asker, &token).await.active());
            revoked.push(token);
        }
        let mut killed = Vec::new();
        for _ in 0..5 {
            let token = there.issue(&agent).await.token();
            assert!(here.introspect(&asker, &token).await.active());
            site.must(&["agent", "suspend", &agent.id]);
            for client in [&mut here, &mut there] {
                assert!(!client.introspect(&asker, &token).await.active());
                assert_eq!(client.issue(&agent).await.status, 403);
            }
            site.must(&["agent", "reactivate", &agent.id]);
            for client in [&mut here, &mut there] {
                assert!(!client.introspect(&asker, &token).await.active());
            }
            killed.push(token);
        }
        let live = here.issue(&agent).await.token();
        assert!(there.introspect(&asker, &live).await.active());
        drop((one, two));
        let again = site.start();
        let mut client = again.client();
        for token in revoked.iter().chain(&killed) {
            assert!(!client.introspect(&asker, token).await.active());
        }
        assert!(client.introspect(&asker, &live).await.active());
    });
}

/// How often a revoked token is asked about.
const ASKED: u64 = 20;

#[test]
fn no_question_begun_after_a_revocation_on_another_server_finds_the_token_active() {
    play_alone(async {
        let cluster = Cluster::start().await;
        let site = Site::postgres(&cluster).await;
        let asker = Arc::new(site.agent("asker", "unlimited"));
        let agents = site.agents(4);
        let (one, two, three) = (site.start(), site.start(), site.start());
        let wanted = scaled(4_000, 1_000_000);
        let questions = Arc::new(AtomicU64::new(0));
        let mut workers = JoinSet::new();
        for worker in 0..16 {
            let (asker, agents, questions) = (
                Arc::clone(&asker),
                Arc::clone(&agents),
                Arc::clone(&questions),
            );
            let mut clients = [one.client(), two.client(), three.client()];
            workers.spawn(async move {
                let agent = &agents[worker % agents.len()];
                while questions.fetch_add(ASKED, Ordering::Relaxed) < wanted {
                    // Each server revokes in turn, and the others are asked.
                    clients.rotate_left(1);
                    let [here, others @ ..] = &mut clients;
                    let token = here.issue(agent).await.token();
                    for other in others.iter_mut() {
                        assert!(other.introspect(&asker, &token).await.active());
                    }
                    assert_eq!(here.revoke(agent, &token).await.status, 200);
                    for turn in 0..ASKED {
                        let other = &mut others[usize::from(turn % 2 == 1)];
                        assert!(!other.introspect(&asker, &token).await.active());
                    }
                }
            });
        }
        while let Some(done) = workers.join_next().await {
            done.unwrap();
        }
        println!(
            "{} questions about revoked tokens, none of them active",
            questions.load(Ordering::Relaxed)
        );
    });
}
