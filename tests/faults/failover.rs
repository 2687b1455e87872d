//! The primary of the database goes away, and a standby takes its place. The servers know both.

use std::time::{Duration, Instant};

use crate::stage::audit::introspect_all;
use crate::stage::cluster::Cluster;
use crate::stage::ledger::Load;
use crate::stage::server::{Agent, Server, Site};
use crate::stage::{GENEROUS, eventually, pause, play, scaled};

/// How long after a promotion the servers issue tokens again. The short form demands only that they do.
fn serving_within() -> Duration {
    scaled(GENEROUS, Duration::from_secs(5))
}

/// What happens to the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Killed,
    /// It stands still, and goes on after another server has taken its place.
    Frozen,
}

/// Waits until each server issues a token. Demands that none takes longer than
/// [`serving_within`] from `since` on.
async fn expect_tokens(servers: &[Server], agent: &Agent, since: Instant) {
    for server in servers {
        eventually("tokens from the new primary", async || {
            server.client().issue(agent).await.status == 200
        })
        .await;
        let took = since.elapsed();
        println!("serving {} ms after the promotion", took.as_millis());
        assert!(took <= serving_within(), "{} ms", took.as_millis());
    }
}

async fn fail_over(fate: Fate) {
    let primary = Cluster::start().await;
    let mut site = Site::postgres(&primary).await;
    let standby = primary.standby().await;
    let (agents, watcher) = (site.agents(2), site.agent("watcher", "unlimited"));
    // The order says nothing about which of them is the primary.
    let orders = [[&primary, &standby], [&standby, &primary]];
    let servers = orders.map(|order| site.start_at(&Cluster::url_among(&order, &site.database)));
    let mut load = Load::on(servers[0].address, &agents, 8).revoking(3);
    load.servers.push(servers[1].address);
    let running = load.start();
    running.delivers(scaled(100, 2_000)).await;
    let frozen = match fate {
        Fate::Killed => {
            primary.kill_all();
            None
        }
        Fate::Frozen => Some(primary.freeze()),
    };
    pause(scaled(500, 5_000)).await;
    let new = standby.url_of(&site.database);
    let old = std::mem::replace(&mut site.database, new);
    let promoted = Instant::now();
    standby.promote();
    expect_tokens(&servers, &watcher, promoted).await;
    if frozen.is_some() {
        drop(frozen);
        // No server goes back, and none keeps a session there. A commit that waits for a standby goes
        // on to wait, although its client has gone.
        let sessions = "select count(*) from pg_stat_activity where application_name = 'sealwright'
                        and wait_event is distinct from 'SyncRep'";
        let new = std::mem::replace(&mut site.database, old);
        eventually("nobody is left at the old primary", async || {
            site.number(sessions).await == 0
        })
        .await;
        site.database = new;
    }
    running.delivers(scaled(100, 2_000)).await;
    let ledger = running.stop().await;
    println!("{fate:?}: {}", ledger.summary());
    assert_eq!(ledger.unanswered, 0);
    assert!(
        ledger
            .statuses
            .keys()
            .all(|(_, status)| [200, 503].contains(status)),
        "{}",
        ledger.summary()
    );
    for server in &servers {
        introspect_all(server, &agents[0], &ledger).await;
        eventually("readiness", async || {
            server.client().get("/readyz").await.status == 200
        })
        .await;
    }
    site.audit(&ledger).await;
}

#[test]
fn servers_go_to_the_standby_that_was_promoted_when_the_primary_is_killed() {
    play(fail_over(Fate::Killed));
}

#[test]
fn servers_leave_a_primary_that_stands_still_and_do_not_go_back() {
    play(fail_over(Fate::Frozen));
}

#[test]
fn a_server_tells_which_of_the_named_servers_it_uses() {
    play(async {
        let primary = Cluster::start().await;
        let mut site = Site::postgres(&primary).await;
        let standby = primary.standby().await;
        site.database = Cluster::url_among(&[&standby, &primary], &site.database);
        let log = site.folder().join("log");
        let server = site.start_keeping_log(&log);
        let used = format!("\"server\":\"127.0.0.1:{}\"", primary.port());
        let said = || std::fs::read_to_string(&log).unwrap();
        eventually("the start is told", async || said().contains("\"serving\"")).await;
        assert!(said().contains(&used), "{}", said());
        let told = String::from_utf8(site.run(&["doctor"]).stdout).unwrap();
        let line = told
            .lines()
            .find(|line| line.starts_with("fine\tserver\t"))
            .unwrap_or(&told);
        assert!(
            line.contains(&format!("127.0.0.1:{}", primary.port())),
            "{told}"
        );
        drop(server);
        // Without a primary, each server is named with its reason.
        primary.stop_at_once();
        let (status, told) = site
            .start_or_refusal()
            .err()
            .expect("a server without a primary");
        assert_eq!(status.code(), Some(1));
        for part in [
            format!("127.0.0.1:{}: ", primary.port()),
            format!("127.0.0.1:{}: ", standby.port()),
            "the database is a standby".to_owned(),
        ] {
            assert!(told.contains(&part), "{part}: {told}");
        }
    });
}
