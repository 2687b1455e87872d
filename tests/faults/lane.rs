//! Agents that share a commit lane: while another program holds the lock on an agent's counter,
//! only that agent waits, however many requests it makes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;

use crate::stage::client::{CALLBACK, exchange_request};
use crate::stage::cluster::{Cluster, Locked};
use crate::stage::ledger::Load;
use crate::stage::outcome::expect_in_time;
use crate::stage::server::{Agent, Server, Site, report};
use crate::stage::{eventually, play_alone, scaled};

/// Exchanges codes of an agent on several connections until it is stopped. Returns the statuses of
/// the responses.
fn exchange(servers: &[Server], agent: &Agent, stop: &Arc<AtomicBool>) -> JoinSet<Vec<u16>> {
    let mut tasks = JoinSet::new();
    for number in 0..8 {
        let (mut client, agent) = (servers[number % servers.len()].client(), agent.clone());
        let stop = Arc::clone(stop);
        tasks.spawn(async move {
            let mut statuses = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let code = client.code(&agent).await;
                statuses.push(client.ask(&exchange_request(&agent, &code)).await.status);
            }
            statuses
        });
    }
    tasks
}

#[test]
fn an_agent_whose_counter_is_held_keeps_nobody_else_waiting() {
    play_alone(async {
        let cluster = Cluster::start().await;
        let site = Site::postgres(&cluster).await;
        let (agents, victims) = (site.agents(3), site.agents(scaled(2, 20)));
        let held = site.agent("held", "unlimited");
        site.must(&["agent", "update", &held.id, "--redirect-uri", CALLBACK]);
        let servers = [site.start(), site.start()];
        // The agent's counter exists from now on.
        assert_eq!(servers[0].client().issue(&held).await.status, 200);
        let on_both = |agents: &Arc<Vec<Agent>>, connections| Load {
            servers: servers.iter().map(|server| server.address).collect(),
            ..Load::on(servers[0].address, agents, connections)
        };
        let sql = format!(
            "update quota set used = used where agent_id = '{}'",
            held.id
        );
        let lock = Locked::rows(&site.database, &sql).await;
        let hostile = on_both(&Arc::new(vec![held.clone()]), 40).start();
        let stop = Arc::new(AtomicBool::new(false));
        let exchanges = exchange(&servers, &held, &stop);
        let load = on_both(&agents, 16).revoking(5).start();
        for victim in victims.iter() {
            load.delivers(scaled(100, 1_000)).await;
            let token = servers[0].client().issue(victim).await.token();
            site.must(&["agent", "suspend", &victim.id]);
            assert!(
                !servers[1]
                    .client()
                    .introspect(&agents[0], &token)
                    .await
                    .active()
            );
        }
        let ledger = load.stop().await;
        stop.store(true, Ordering::Relaxed);
        let answers: Vec<u16> = exchanges.join_all().await.concat();
        let waited = hostile.stop().await;
        println!(
            "held: {}, {} exchanges; beside it {}",
            waited.summary(),
            answers.len(),
            ledger.summary()
        );
        report(
            "answers beside an agent whose counter is held",
            ledger.times.clone(),
        );
        assert_eq!(ledger.unanswered, 0);
        ledger.demand_served(scaled(3, 0));
        assert!(
            waited.count("token", 503) > 0 && waited.delivered() == 0,
            "{}",
            waited.summary()
        );
        assert!(
            !answers.is_empty() && answers.iter().all(|status| *status == 503),
            "{answers:?}"
        );
        expect_in_time(&ledger.times);
        site.audit(&ledger).await;
        drop(lock);
        eventually("the agent has its tokens again", async || {
            servers[1].client().issue(&held).await.status == 200
        })
        .await;
        let events = format!(
            "select count(*) from token_event e left join token_terms t on t.id = e.terms
             where coalesce(e.agent_id, t.agent_id) = '{}'",
            held.id
        );
        assert_eq!(
            site.used(&held.id).await,
            site.number(&events).await,
            "counted once"
        );
    });
}
