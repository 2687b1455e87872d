//! The SQLite file: one server at a time, and no room left to write.

use std::process::Command;

use crate::stage::ledger::Load;
use crate::stage::outcome::{expect_in_time, expect_unavailable};
use crate::stage::server::{Server, Site};
use crate::stage::{eventually, pause, play};

#[test]
fn a_second_server_on_one_file_is_refused_until_the_first_is_gone() {
    play(async {
        let site = Site::sqlite();
        let agent = site.agent("agent", "unlimited");
        let first = site.start();
        let (status, said) = site.start_or_refusal().err().expect("two servers on one file");
        assert_eq!(status.code(), Some(1));
        assert!(said.contains("another server runs on this database file"), "{said}");
        assert_eq!(first.client().issue(&agent).await.status, 200);
        // Every other command works beside it.
        site.must(&["agent", "list"]);
        first.kill();
        let second = site.start();
        assert_eq!(second.client().issue(&agent).await.status, 200);
    });
}

/// Says how large the files of a running process may grow.
fn limit_files(server: &Server, bytes: &str) {
    let limited = Command::new("prlimit")
        .args(["--pid", &server.pid().to_string(), &format!("--fsize={bytes}")])
        .output()
        .expect("prlimit (of util-linux) is missing");
    assert!(limited.status.success(), "{}", String::from_utf8_lossy(&limited.stderr));
}

#[test]
fn a_full_disk_is_a_503_and_passes() {
    play(async {
        let site = Site::sqlite();
        let agents = site.agents(2);
        let mut server = site.start_without_file_size_signal();
        let kept = server.client().issue(&agents[0]).await.token();
        let load = Load::on(server.address, &agents, 16).revoking(5).start();
        pause(500).await;
        // From here on every write past the first page fails, as on a full disk.
        limit_files(&server, "4096:");
        eventually("the disk is full", async || server.client().issue(&agents[0]).await.status == 503).await;
        for _ in 0..3 {
            expect_unavailable("token", &server.client().issue(&agents[0]).await);
            expect_unavailable("revocation", &server.client().revoke(&agents[0], &kept).await);
        }
        // Reads need no room.
        assert!(server.client().introspect(&agents[1], &kept).await.active());
        assert_eq!(server.client().get("/livez").await.status, 200);
        assert_eq!(server.client().get("/.well-known/jwks.json").await.status, 200);
        limit_files(&server, "unlimited:");
        let other = site.agent("other", "unlimited");
        let healed = eventually("tokens after room was made", async || {
            server.client().issue(&other).await.status == 200
        })
        .await;
        pause(300).await;
        let mut ledger = load.stop().await;
        println!("full disk: healed after {} ms, {}", healed.as_millis(), ledger.summary());
        assert!(server.is_alive());
        assert_eq!(ledger.unanswered, 0);
        assert!(ledger.statuses.keys().all(|(_, status)| [200, 503].contains(status)), "{}", ledger.summary());
        expect_in_time(&ledger.times);
        // The one token above, and none of the requests that were told 503 by hand.
        ledger.accounts.get_mut(&agents[0].id).unwrap().delivered.push(crate::stage::ledger::jti_of(&kept));
        site.audit(&ledger).await;
        // What was written is whole.
        server.kill();
        let server = site.start();
        crate::stage::audit::introspect_all(&server, &agents[0], &ledger).await;
    });
}
