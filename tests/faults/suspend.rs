//! Suspensions by commands, beside a server under full load on one SQLite file.

use std::time::{Duration, Instant};

use crate::stage::ledger::Load;
use crate::stage::play_alone;
use crate::stage::server::{Site, report};

#[test]
fn a_hundred_suspensions_beside_a_busy_server_each_end_within_a_second_and_hold() {
    play_alone(async {
        let site = Site::sqlite();
        let busy = site.agents(4);
        let victims = site.agents(100);
        let server = site.start();
        let mut client = server.client();
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
        assert!(
            ledger.statuses.keys().all(|(_, status)| *status == 200),
            "{}",
            ledger.summary()
        );
        let late = times
            .iter()
            .filter(|time| **time > Duration::from_secs(1))
            .count();
        assert_eq!(
            late,
            0,
            "{late} of {} took longer than a second",
            times.len()
        );
        site.audit(&ledger).await;
    });
}
