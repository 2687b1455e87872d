//! The SQLite file: only one server at a time, and another process that keeps the turn to write.

use tokio::task::JoinSet;

use crate::stage::client::revoke_request;
use crate::stage::ledger::{self, Load};
use crate::stage::outcome::{expect_in_time, expect_unavailable};
use crate::stage::server::{Agent, Server, Site};
use crate::stage::{eventually, play};

#[test]
fn a_second_server_on_one_file_is_refused_until_the_first_is_gone() {
    play(async {
        let site = Site::sqlite();
        let agent = site.agent("agent", "unlimited");
        let first = site.start();
        let (status, said) = site
            .start_or_refusal()
            .err()
            .expect("two servers on one file");
        assert_eq!(status.code(), Some(1));
        assert!(
            said.contains("another server runs on this database file"),
            "{said}"
        );
        assert_eq!(first.client().issue(&agent).await.status, 200);
        // Every other command works while the server runs.
        site.must(&["agent", "list"]);
        first.kill();
        let second = site.start();
        assert_eq!(second.client().issue(&agent).await.status, 200);
    });
}

#[test]
fn a_turn_to_write_that_somebody_keeps_is_a_503_and_passes() {
    play(async {
        let site = Site::sqlite();
        let agents = site.agents(2);
        let mut server = site.start();
        let kept = server.client().issue(&agents[0]).await.token();
        let mut account = ledger::Ledger::default();
        account
            .accounts
            .entry(agents[0].id.clone())
            .or_default()
            .delivered
            .push(ledger::jti_of(&kept));
        let load = Load::on(server.address, &agents, 16).revoking(3).start();
        load.delivers(100).await;
        // Hold the lock, as a command does that is stopped in the middle of its commit.
        let turn = std::fs::File::open(site.file().with_extension("db.turn")).unwrap();
        turn.lock().unwrap();
        let threads = server.threads();
        for _ in 0..2 {
            revoke_at_once(&server, &agents[0], &kept, 40).await;
        }
        assert!(server.client().introspect(&agents[1], &kept).await.active());
        assert_eq!(server.client().get("/livez").await.status, 200);
        // Requests that gave up have left no thread behind that still waits.
        let more = server.threads();
        assert!(more <= threads + 8, "{threads} threads became {more}");
        drop(turn);
        let other = site.agent("other", "unlimited");
        eventually("tokens after the turn ended", async || {
            server.client().issue(&other).await.status == 200
        })
        .await;
        load.delivers(100).await;
        account.add(load.stop().await);
        println!(
            "a kept turn: {threads} → {more} threads, {}",
            account.summary()
        );
        assert!(server.is_alive());
        assert_eq!(account.unanswered, 0);
        assert!(
            account
                .statuses
                .keys()
                .all(|(_, status)| [200, 503].contains(status)),
            "{}",
            account.summary()
        );
        expect_in_time(&account.times);
        site.audit(&account).await;
        crate::stage::audit::introspect_all(&server, &agents[1], &account).await;

        let late = server.client().issue(&other).await.token();
        let turn = std::fs::File::open(site.file().with_extension("db.turn")).unwrap();
        turn.lock().unwrap();
        revoke_at_once(&server, &other, &late, 1).await;
        server.terminate();
        assert!(
            server.ended().await.success(),
            "a stop does not wait for somebody else's turn"
        );
        drop(turn);
    });
}

/// Sends this many revocations at once. Each must get a 503.
async fn revoke_at_once(server: &Server, agent: &Agent, token: &str, count: usize) {
    let mut asked = JoinSet::new();
    for _ in 0..count {
        let (mut client, request) = (server.client(), revoke_request(agent, token));
        asked.spawn(async move { client.ask(&request).await });
    }
    for reply in asked.join_all().await {
        expect_unavailable("revocation", &reply);
    }
}
