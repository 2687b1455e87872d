//! An upgrade from the release before: both serve side by side on one store, and back again. And its
//! end, `migrate --finish`, which is refused while a server of the release before runs.
//!
//! `tests/faults/build-before` makes the program of the release before from the history of the
//! repository, which takes minutes. Without it, a program that takes the lock of a file, or names its
//! connection as a server does, stands for one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use crate::stage::cluster::Cluster;
use crate::stage::ledger::{Load, Running};
use crate::stage::server::{Server, Site, this_program};
use crate::stage::{cannot_run, free_port, pause, play, scaled};

/// How long both releases serve side by side.
fn beside() -> Duration {
    scaled(Duration::from_secs(2), Duration::from_mins(10))
}

/// The program of the release before, if it was built.
fn before() -> Option<PathBuf> {
    let program = std::env::var_os("SEALWRIGHT_BEFORE").map(PathBuf::from);
    if program.is_none() {
        let why =
            "needs the program of the release before: `tests/faults/run --long upgrade` builds it";
        cannot_run("an upgrade beside the release before", why);
    }
    program
}

fn start_at(site: &mut Site, program: &PathBuf, address: SocketAddr) -> Server {
    site.program.clone_from(program);
    site.set("SEALWRIGHT_SERVER__LISTEN", &address.to_string());
    site.start()
}

/// Puts a server of this program in the place of one that serves.
async fn replace(site: &mut Site, server: &mut Server, program: &PathBuf, load: &Running) {
    server.terminate();
    assert!(server.ended().await.success());
    *server = start_at(site, program, server.address);
    load.delivers(100).await;
}

/// Runs a command, which must be refused, and returns what it said.
fn refused(site: &Site, arguments: &[&str]) -> String {
    let output = site.run(arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

const FINISH: &[&str] = &["migrate", "--finish"];
const REVOKE: &[&str] = &["key", "rotate", "--now", "--revoke"];

async fn serve_side_by_side(load: &Running) {
    let began = Instant::now();
    load.delivers(200).await;
    while began.elapsed() < beside() {
        pause(200).await;
    }
}

#[test]
fn the_release_before_and_this_one_serve_side_by_side_and_back_again_on_postgres() {
    let Some(before) = before() else { return };
    play(async {
        let (cluster, now) = (Cluster::start().await, this_program());
        let mut site = Site::postgres_of(&cluster, &before).await;
        let agents = site.agents(4);
        let addresses = [(); 2].map(|()| {
            let address: SocketAddr = format!("127.0.0.1:{}", free_port()).parse().unwrap();
            address
        });
        let [mut one, mut two] = addresses.map(|address| start_at(&mut site, &before, address));
        let load = Load {
            servers: addresses.to_vec(),
            ..Load::on(one.address, &agents, 16)
        };
        let load = load.revoking(20).start();
        load.delivers(200).await;
        site.program.clone_from(&now);
        site.must(&["migrate"]);
        load.delivers(200).await;
        replace(&mut site, &mut one, &now, &load).await;
        serve_side_by_side(&load).await;
        let said = refused(&site, FINISH);
        assert!(said.contains("(sealwright, user"), "{said}");
        let said = refused(&site, REVOKE);
        assert!(said.contains("migrate --finish"), "{said}");
        // Back again, and then on to this release alone.
        replace(&mut site, &mut one, &before, &load).await;
        load.delivers(200).await;
        replace(&mut site, &mut two, &now, &load).await;
        load.delivers(200).await;
        replace(&mut site, &mut one, &now, &load).await;
        site.must(FINISH);
        site.must(REVOKE);
        load.delivers(200).await;
        let ledger = load.stop().await;
        println!("the release before beside this one: {}", ledger.summary());
        assert_eq!(ledger.unanswered, 0, "requests without an answer");
        ledger.demand_served(0);
        site.audit(&ledger).await;
        drop((one, two));
        demand_logged(&site).await;
    });
}

/// Every event is in the log, those of both releases.
async fn demand_logged(site: &Site) {
    let server = site.start();
    let newest = site
        .number("select max(id) from (select id from token_event union all select id from audit_event) as e")
        .await;
    crate::stage::eventually("the log has every event", async || {
        let place = "select place from reader where name = 'ledger'";
        site.number(place).await >= newest
    })
    .await;
    site.must(&["audit", "verify"]);
    drop(server);
}

#[test]
fn a_file_of_the_release_before_is_served_by_this_one_and_back_again() {
    let Some(before) = before() else { return };
    play(async {
        let (mut site, now) = (Site::sqlite(), this_program());
        site.program.clone_from(&before);
        let agents = site.agents(4);
        let address = format!("127.0.0.1:{}", free_port()).parse().unwrap();
        let mut server = start_at(&mut site, &before, address);
        let load = Load::on(address, &agents, 8).revoking(20).start();
        load.delivers(200).await;
        for program in [&now, &before, &now, &before] {
            replace(&mut site, &mut server, program, &load).await;
        }
        // A server of this release was killed a moment ago, and the one before serves.
        site.program.clone_from(&now);
        let said = refused(&site, FINISH);
        assert!(said.contains("lock of the database file"), "{said}");
        replace(&mut site, &mut server, &now, &load).await;
        site.program.clone_from(&now);
        site.must(FINISH);
        site.must(REVOKE);
        load.delivers(200).await;
        let ledger = load.stop().await;
        println!("a file of the release before: {}", ledger.summary());
        assert_eq!(ledger.unanswered, 0, "requests without an answer");
        site.audit(&ledger).await;
        drop(server);
        demand_logged(&site).await;
    });
}

/// What an upgrade leaves: a store that is not new.
const UPGRADED: &str = "delete from store_default where name = 'key_revocation'";

#[test]
fn an_upgrade_is_finished_only_when_no_server_is_left_that_reports_nothing() {
    play(async {
        let cluster = Cluster::start().await;
        let site = Site::postgres(&cluster).await;
        let (one, two) = (site.start(), site.start());
        site.execute(UPGRADED).await;
        let said = refused(&site, REVOKE);
        assert!(said.contains("migrate --finish"), "{said}");
        let url = format!("{}?application_name=sealwright", site.database);
        let older = PgConnection::connect(&url).await.unwrap();
        let said = refused(&site, FINISH);
        assert!(said.contains("(sealwright, user"), "{said}");
        older.close().await.unwrap();
        // A release that reports, and knows an earlier schema.
        let pid = one.pid();
        let older = format!("update process set schema = schema - 1 where pid = {pid}");
        site.execute(&older).await;
        let said = refused(&site, FINISH);
        assert!(said.contains(&format!("pid {pid} on ")), "{said}");
        one.terminate();
        let mut one = one;
        assert!(one.ended().await.success());
        site.must(FINISH);
        site.must(FINISH);
        site.must(REVOKE);
        drop(two);
    });
}

#[test]
fn a_server_of_a_file_that_reports_nothing_keeps_an_upgrade_from_its_end() {
    play(async {
        let site = Site::sqlite();
        let server = site.start();
        site.execute(UPGRADED).await;
        // Its report is a moment old, and another program takes its place.
        server.kill();
        let lock = std::fs::File::open(site.folder().join("sealwright.db.serve")).unwrap();
        lock.try_lock().unwrap();
        let said = refused(&site, FINISH);
        assert!(said.contains("lock of the database file"), "{said}");
        drop(lock);
        let server = site.start();
        site.must(FINISH);
        site.must(REVOKE);
        drop(server);
    });
}
