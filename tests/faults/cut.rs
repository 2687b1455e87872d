//! A connection to the database breaks at the worst moment.

use crate::stage::audit::introspect_all;
use crate::stage::client::{get, token_request};
use crate::stage::cluster::Cluster;
use crate::stage::ledger::Load;
use crate::stage::outcome::{expect_in_time, expect_unavailable};
use crate::stage::proxy::{Kind, Mode, Proxy};
use crate::stage::server::Site;
use crate::stage::{eventually, pause, play_alone};

#[test]
fn a_batch_whose_answer_is_lost_is_counted_once_and_its_tokens_arrive() {
    play_alone(async {
        let cluster = Cluster::start().await;
        let site = Site::postgres(&cluster).await;
        let agents = site.agents(3);
        let proxy = Proxy::start(cluster.port(), Kind::Batches).await;
        let server = site.start_at(&proxy.url(&site.database));
        for mode in [Mode::LoseAnswer(4), Mode::CutAtOnce(4)] {
            let before = proxy.cuts();
            proxy.set(mode);
            let load = Load::on(server.address, &agents, 32).start();
            eventually("the proxy cuts", async || proxy.cuts() >= before + 40).await;
            proxy.set(Mode::Forward);
            let ledger = load.stop().await;
            let cuts = proxy.cuts() - before;
            println!("{mode:?}: {cuts} cuts, {}", ledger.summary());
            // The server sends the batch again after the cut, so every client gets its token.
            assert_eq!(ledger.unanswered, 0);
            assert!(
                ledger.statuses.keys().all(|(_, status)| *status == 200),
                "{}",
                ledger.summary()
            );
            for agent in agents.iter() {
                let mine = i64::try_from(ledger.accounts[&agent.id].delivered.len()).unwrap();
                let used = site.used(&agent.id).await;
                assert_eq!(used, mine, "exactly once");
            }
            site.audit(&ledger).await;
            site.forget_counts().await;
        }
    });
}

#[test]
fn a_revocation_whose_commit_is_cut_is_never_promised_and_lost() {
    play_alone(async {
        let cluster = Cluster::start().await;
        let site = Site::postgres(&cluster).await;
        let agents = site.agents(2);
        let proxy = Proxy::start(cluster.port(), Kind::Commits).await;
        let server = site.start_at(&proxy.url(&site.database));
        for mode in [Mode::LoseAnswer(3), Mode::CutAtOnce(3)] {
            let before = proxy.cuts();
            proxy.set(mode);
            let load = Load::on(server.address, &agents, 16).revoking(2).start();
            eventually("the proxy cuts", async || proxy.cuts() >= before + 40).await;
            proxy.set(Mode::Forward);
            let ledger = load.stop().await;
            println!(
                "{mode:?}: {} cuts, {}",
                proxy.cuts() - before,
                ledger.summary()
            );
            assert_eq!(ledger.unanswered, 0);
            // A revocation may be written twice. The server repeats it after a cut, so every client
            // gets a 200.
            assert!(
                ledger.statuses.keys().all(|(_, status)| *status == 200),
                "{}",
                ledger.summary()
            );
            introspect_all(&server, &agents[0], &ledger).await;
            site.audit(&ledger).await;
            site.forget_counts().await;
        }
    });
}

#[test]
fn connections_that_are_reset_or_half_closed_are_replaced() {
    play_alone(async {
        let cluster = Cluster::start().await;
        let site = Site::postgres(&cluster).await;
        let agents = site.agents(2);
        let proxy = Proxy::start(cluster.port(), Kind::Batches).await;
        let server = site.start_at(&proxy.url(&site.database));
        for mode in [Mode::Reset(40), Mode::HalfClose(40)] {
            let before = proxy.cuts();
            proxy.set(mode);
            let load = Load::on(server.address, &agents, 16).revoking(5).start();
            eventually("the proxy cuts", async || proxy.cuts() >= before + 40).await;
            proxy.set(Mode::Forward);
            let ledger = load.stop().await;
            println!(
                "{mode:?}: {} cuts, {}",
                proxy.cuts() - before,
                ledger.summary()
            );
            assert_eq!(ledger.unanswered, 0);
            assert!(
                ledger
                    .statuses
                    .keys()
                    .all(|(_, status)| [200, 503].contains(status)),
                "{}",
                ledger.summary()
            );
            assert!(ledger.count("token", 200) > 0);
            introspect_all(&server, &agents[0], &ledger).await;
            site.audit(&ledger).await;
            site.forget_counts().await;
        }
    });
}

#[test]
fn a_stalled_database_is_a_503_within_three_seconds_and_heals_by_itself() {
    play_alone(async {
        let cluster = Cluster::start().await;
        let site = Site::postgres(&cluster).await;
        let agents = site.agents(2);
        // This agent is not on the ledger.
        let other = site.agent("other", "unlimited");
        let proxy = Proxy::start(cluster.port(), Kind::Batches).await;
        let server = site.start_at(&proxy.url(&site.database));
        let load = Load::on(server.address, &agents, 16).revoking(5).start();
        load.delivers(50).await;
        proxy.set(Mode::Stall);
        pause(100).await;
        // Requests that came before the stall, during it and at its end all have the same time
        // limit.
        for _ in 0..2 {
            let reply = server.client().ask(&token_request(&other)).await;
            expect_unavailable("token", &reply);
        }
        let ready = server.client().ask(&get("/readyz", "")).await;
        assert_eq!(ready.status, 503);
        assert_eq!(server.client().get("/livez").await.status, 200);
        assert_eq!(
            server.client().get("/.well-known/jwks.json").await.status,
            200
        );
        proxy.set(Mode::Forward);
        let healed = eventually("tokens after the stall", async || {
            server.client().issue(&other).await.status == 200
        })
        .await;
        load.delivers(50).await;
        let ledger = load.stop().await;
        println!(
            "stall: healed after {} ms, {}",
            healed.as_millis(),
            ledger.summary()
        );
        assert_eq!(ledger.unanswered, 0);
        assert!(
            ledger
                .statuses
                .keys()
                .all(|(_, status)| [200, 503].contains(status)),
            "{}",
            ledger.summary()
        );
        expect_in_time(&ledger.times);
        site.audit(&ledger).await;
    });
}
