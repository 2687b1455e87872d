//! SIGHUP reads the configuration again, SIGQUIT drains as SIGTERM does.

use rustix::process::Signal;

use crate::stage::client::Client;
use crate::stage::server::{Agent, Server, Site, signal};
use crate::stage::{eventually, play};

async fn statuses(client: &mut Client, agent: &Agent, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(client.issue(agent).await.status);
    }
    statuses
}

/// SIGHUP, and waits until the server has said what it made of it.
async fn hang_up(server: &Server, says: &str) {
    let before = server.said(says);
    signal(Signal::HUP, server.pid());
    eventually("the server says what came of SIGHUP", async || server.said(says) > before).await;
}

#[test]
fn a_hangup_changes_limits_plans_and_the_log_and_ends_nothing() {
    play(async {
        let folder = tempfile::tempdir().unwrap();
        let (rate, plan, filter) =
            (folder.path().join("rate"), folder.path().join("plan"), folder.path().join("filter"));
        let write = |path: &std::path::Path, text: &str| std::fs::write(path, text).unwrap();
        write(&rate, "0");
        write(&plan, "1000");
        write(&filter, "info");
        let mut site = Site::sqlite();
        for (key, path) in [
            ("SEALWRIGHT_LIMITS__REQUESTS_PER_MINUTE_FILE", &rate),
            ("SEALWRIGHT_PLANS__SMALL_FILE", &plan),
            ("SEALWRIGHT_LOG__FILTER_FILE", &filter),
        ] {
            site.set(key, path.to_str().unwrap());
        }
        let (fast, small) = (site.agent("fast", "unlimited"), site.agent("small", "small"));
        let mut server = site.start();
        let mut client = server.client();
        assert_eq!(statuses(&mut client, &fast, 5).await, [200; 5]);
        assert_eq!(statuses(&mut client, &small, 2).await, [200; 2]);
        write(&rate, "3");
        hang_up(&server, "the configuration was read again").await;
        assert_eq!(statuses(&mut client, &fast, 4).await, [200, 200, 200, 429]);
        // The same again begins no new minute.
        hang_up(&server, "the configuration was read again").await;
        assert_eq!(client.issue(&fast).await.status, 429);
        // A fault changes nothing and is told.
        write(&rate, "many");
        write(&plan, "0");
        hang_up(&server, "the configuration has faults, the old one stays").await;
        assert_eq!(client.issue(&fast).await.status, 429);
        assert_eq!(client.issue(&small).await.status, 200);
        write(&rate, "0");
        write(&plan, "3");
        hang_up(&server, "the configuration was read again").await;
        assert_eq!(statuses(&mut client, &fast, 5).await, [200; 5]);
        assert_eq!(client.issue(&small).await.status, 403, "three were issued");
        write(&filter, "info,sealwright=debug");
        assert_eq!(server.said("request refused"), 0);
        hang_up(&server, "the configuration was read again").await;
        assert_eq!(client.issue(&small).await.status, 403);
        eventually("refusals are logged", async || server.said("request refused") > 0).await;
        assert!(server.is_alive());
    });
}

#[test]
fn what_needs_a_restart_is_told() {
    play(async {
        let folder = tempfile::tempdir().unwrap();
        let idle = folder.path().join("idle");
        std::fs::write(&idle, "75").unwrap();
        let mut site = Site::sqlite();
        site.set("SEALWRIGHT_SERVER__IDLE_SECONDS_FILE", idle.to_str().unwrap());
        let mut server = site.start();
        std::fs::write(&idle, "60").unwrap();
        for _ in 0..2 {
            hang_up(&server, "these keys need a restart").await;
            assert!(server.said("server.idle_seconds") > 0);
        }
        std::fs::write(&idle, "75").unwrap();
        let told = server.said("these keys need a restart");
        hang_up(&server, "the configuration was read again").await;
        assert_eq!(server.said("these keys need a restart"), told);
        signal(Signal::QUIT, server.pid());
        assert!(server.ended().await.success(), "a stop that was asked for is no failure");
    });
}
