//! Suspensions by commands, beside a server under full load on one SQLite file.

use std::time::{Duration, Instant};

use crate::stage::ledger::Load;
use crate::stage::server::{Site, report};
use crate::stage::{play_alone, scaled};

#[test]
fn a_hundred_suspensions_beside_a_busy_server_each_end_within_a_second_and_hold() {
    play_alone(async {
        let site = Site::sqlite();
        let busy = site.agents(4);
        let (victims, others) = (site.agents(100), site.agents(5));
        let server = site.start();
        let mut client = server.client();
        let mut alone = Vec::new();
        for other in others.iter() {
            let began = Instant::now();
            site.must(&["agent", "suspend", &other.id]);
            alone.push(began.elapsed());
        }
        let mut tokens = Vec::new();
        for victim in victims.iter() {
            tokens.push(client.issue(victim).await.token());
        }
        let load = Load::on(server.address, &busy, 32).start();
        load.delivers(200).await;
        let mut times = Vec::new();
        for (victim, token) in victims.iter().zip(&tokens) {
            assert!(client.introspect(&busy[0], token).await.active());
            let began = Instant::now();
            site.must(&["agent", "suspend", &victim.id]);
            times.push(began.elapsed());
            let refused = client.issue(victim).await;
            assert_eq!(refused.status, 403, "{}", refused.text());
            assert_eq!(refused.json()["error"], "unauthorized_client");
            assert!(!client.introspect(&busy[0], token).await.active());
        }
        let ledger = load.stop().await;
        println!("beside the suspensions: {}", ledger.summary());
        report("agent suspend, the whole command", times.clone());
        ledger.demand_served(scaled(3, 0));
        // In the short form, the bound grows with what a command takes without the load.
        let slowest = alone.into_iter().max().unwrap();
        let bound = Duration::from_secs(1).max(slowest * scaled(5, 0));
        let late = times.iter().filter(|time| **time > bound).count();
        // The short form runs on machines that stand still now and then. A server that keeps commands
        // waiting makes most of them late.
        assert!(
            late <= scaled(5, 0),
            "{late} of {} took longer than {} ms",
            times.len(),
            bound.as_millis()
        );
        site.audit(&ledger).await;
    });
}
