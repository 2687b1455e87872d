//! SIGHUP reads the configuration again. SIGQUIT drains, as SIGTERM does.

use rustix::fs::{CWD, Mode, mkfifoat};
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

/// Sends SIGHUP and waits until the server has logged the outcome.
async fn hang_up(server: &Server, says: &str) {
    let before = server.said(says);
    signal(Signal::HUP, server.pid());
    eventually("the server logs the outcome of SIGHUP", async || {
        server.said(says) > before
    })
    .await;
}

#[test]
fn a_hangup_changes_limits_plans_and_the_log_and_ends_nothing() {
    play(async {
        let folder = tempfile::tempdir().unwrap();
        let (rate, plan, filter) = (
            folder.path().join("rate"),
            folder.path().join("plan"),
            folder.path().join("filter"),
        );
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
        let (fast, small) = (
            site.agent("fast", "unlimited"),
            site.agent("small", "small"),
        );
        let mut server = site.start();
        let mut client = server.client();
        assert_eq!(statuses(&mut client, &fast, 5).await, [200; 5]);
        assert_eq!(statuses(&mut client, &small, 2).await, [200; 2]);
        write(&rate, "3");
        hang_up(&server, "the configuration was read again").await;
        assert_eq!(statuses(&mut client, &fast, 4).await, [200, 200, 200, 429]);
        // Reading an unchanged configuration does not reset the rates.
        hang_up(&server, "the configuration was read again").await;
        assert_eq!(client.issue(&fast).await.status, 429);
        // A configuration with faults changes nothing, and the log says so.
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
        eventually("refusals are logged", async || {
            server.said("request refused") > 0
        })
        .await;
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
        site.set(
            "SEALWRIGHT_SERVER__IDLE_SECONDS_FILE",
            idle.to_str().unwrap(),
        );
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
        assert!(
            server.ended().await.success(),
            "a stop that was asked for is no failure"
        );
    });
}

#[test]
fn a_pipe_in_place_of_a_file_is_refused_and_the_next_hangup_reads_again() {
    play(async {
        let folder = tempfile::tempdir().unwrap();
        let rate = folder.path().join("rate");
        std::fs::write(&rate, "0").unwrap();
        let mut site = Site::sqlite();
        site.set(
            "SEALWRIGHT_LIMITS__REQUESTS_PER_MINUTE_FILE",
            rate.to_str().unwrap(),
        );
        let agent = site.agent("agent", "unlimited");
        let mut server = site.start();
        let mut client = server.client();
        std::fs::remove_file(&rate).unwrap();
        mkfifoat(CWD, &rate, Mode::RUSR | Mode::WUSR).unwrap();
        hang_up(&server, "it is no regular file").await;
        assert_eq!(statuses(&mut client, &agent, 5).await, [200; 5]);
        // Kubernetes keeps values behind links, and moves a link to change them.
        std::fs::remove_file(&rate).unwrap();
        let next = folder.path().join("next");
        std::fs::write(&next, "2").unwrap();
        std::os::unix::fs::symlink(&next, &rate).unwrap();
        hang_up(&server, "the configuration was read again").await;
        assert_eq!(statuses(&mut client, &agent, 3).await, [200, 200, 429]);
        signal(Signal::TERM, server.pid());
        assert!(server.ended().await.success());
    });
}

#[test]
fn a_hangup_changes_the_rates_of_callers_and_of_failures() {
    play(async {
        let folder = tempfile::tempdir().unwrap();
        let mut site = Site::sqlite();
        let keys = ["INTROSPECTIONS", "REVOCATIONS", "FAILURES"].map(|of| {
            let file = folder.path().join(of);
            std::fs::write(&file, "0").unwrap();
            site.set(
                &format!("SEALWRIGHT_LIMITS__{of}_PER_MINUTE_FILE"),
                file.to_str().unwrap(),
            );
            file
        });
        let agent = site.agent("agent", "unlimited");
        // The hash has bcrypt's least cost, since each failure computes it.
        site.import(&[(
            "imported",
            "$2b$04$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        )]);
        let server = site.start();
        let mut client = server.client();
        let token = client.issue(&agent).await.token();
        let wrong = Agent {
            id: "imported".to_owned(),
            secret: "wrong".to_owned(),
        };
        assert_eq!(statuses(&mut client, &wrong, 25).await, [401; 25]);
        let mut of_callers = async |count: usize| {
            let mut found = (Vec::new(), Vec::new());
            for _ in 0..count {
                found.0.push(client.introspect(&agent, &token).await.status);
                found.1.push(client.revoke(&agent, "unknown").await.status);
            }
            found
        };
        assert_eq!(of_callers(3).await, (vec![200; 3], vec![200; 3]));
        for file in &keys {
            std::fs::write(file, "1").unwrap();
        }
        hang_up(&server, "the configuration was read again").await;
        assert_eq!(of_callers(2).await, (vec![200, 429], vec![200, 429]));
        let after = statuses(&mut client, &wrong, 25).await;
        assert_eq!(
            (after.first(), after.last()),
            (Some(&401), Some(&429)),
            "{after:?}"
        );
        assert_eq!(server.said("these keys need a restart"), 0);
    });
}

#[test]
fn a_signal_of_log_rotation_ends_nothing() {
    play(async {
        let site = Site::sqlite();
        let agent = site.agent("agent", "unlimited");
        let mut server = site.start();
        let mut client = server.client();
        for of_rotation in [Signal::USR1, Signal::USR2] {
            signal(of_rotation, server.pid());
            assert_eq!(client.issue(&agent).await.status, 200);
        }
        // A stop that follows shows that both signals were delivered.
        signal(Signal::TERM, server.pid());
        assert!(server.ended().await.success());
    });
}
