//! The tamper-evident log of the real program beside pauses, kills and restarts: every event is
//! logged once, and every checkpoint that left the process belongs to one history.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stage::cluster::{Cluster, Locked};
use crate::stage::ledger::{Ledger, Load};
use crate::stage::server::Site;
use crate::stage::{Dice, GENEROUS, eventually, pause, play, scaled};

/// Waits until the log covers every event. Demands that it has each of them once and that nothing
/// is broken. Returns what the command told. A server of the store must run.
pub async fn demand_whole_log(site: &Site) -> Value {
    let events = "(select count(*) from audit_event) + (select count(*) from token_event)";
    let mut told = Value::Null;
    eventually("the log has every event once", async || {
        told = site.json(&["audit", "verify"]);
        told["pending"] == 0 && told["events"] == site.number(events).await
    })
    .await;
    told
}

/// Lets one in ten writers of events pause between drawing its ids and its commit.
const PAUSES: &str = "
    create function hesitate() returns trigger language plpgsql as $$ begin
        if random() < 0.1 then perform pg_sleep(random() * 0.2); end if;
        return null;
    end $$;
    create trigger hesitate after insert on audit_event for each statement execute function hesitate();
    create trigger hesitate after insert on token_event for each statement execute function hesitate()";

/// How long a change waits for the log, which reads only what is settled. The short form demands no
/// figure: its program may be a debug build on a busy machine.
fn max_lag() -> Duration {
    scaled(GENEROUS, Duration::from_secs(3))
}

/// Makes a change, and returns how long it takes until the log has its event. Others commit
/// meanwhile, whose events may still be on their way.
async fn lag_of_a_change(site: &Site, number: u64) -> Duration {
    let scope = format!("lag{number}:read");
    site.must(&["scope", "add", &scope, "--description", "x"]);
    let made = format!("select max(id) from audit_event where detail like '%{scope}%'");
    let made = site.number(&made).await;
    let logged = format!("select count(*) from log_entry where not tokens and last_id >= {made}");
    eventually("the change is logged", async || {
        site.number(&logged).await > 0
    })
    .await
}

/// Two servers issue tokens, and some of their transactions pause. An event that is committed after
/// a later one must still be read. Nothing outside of the tables of events may hold the log back: an
/// open writer and a prepared transaction in another database, a long reader, and dumps.
#[test]
fn every_committed_event_is_logged_beside_transactions_that_pause() {
    play(async {
        let cluster = Cluster::start().await;
        let site = Site::postgres(&cluster).await;
        site.execute(PAUSES).await;
        let agents = site.agents(4);
        let (one, two) = (site.start(), site.start());

        let other = cluster.create_database().await;
        let table = "create table audit_event (id integer)";
        let prepared = "insert into audit_event values (1); prepare transaction 'other'";
        drop(Locked::rows(&other, &format!("{table}; commit; begin; {prepared}")).await);
        let _writer = Locked::rows(&other, "insert into audit_event values (2)").await;
        let reader = "set transaction isolation level repeatable read;
                      select count(*) from token_event; select count(*) from audit_event";
        let _reader = Locked::rows(&site.database, reader).await;

        let load = Load {
            servers: vec![one.address, two.address],
            ..Load::on(one.address, &agents, 16)
        };
        let (began, load) = (Instant::now(), load.revoking(20).start());
        load.delivers(10).await;
        let (mut slowest, mut changes) = (Duration::ZERO, 0);
        while began.elapsed() < scaled(Duration::from_secs(5), Duration::from_mins(10)) {
            let lag = lag_of_a_change(&site, changes).await;
            (slowest, changes) = (slowest.max(lag), changes + 1);
            cluster.dump(&site.database);
            pause(200).await;
        }
        let ledger = load.stop().await;
        site.audit(&ledger).await;
        let told = demand_whole_log(&site).await;
        println!(
            "pauses in transactions: {} events, {changes} changes logged within {} ms; {}",
            told["events"],
            slowest.as_millis(),
            ledger.summary()
        );
        assert!(slowest <= max_lag(), "{} ms", slowest.as_millis());
    });
}

/// Kills the server again and again under load, and keeps every checkpoint that somebody could have
/// read. All of them must be states of the log as it is in the end. So each two are consistent.
async fn keep_checkpoints(site: &Site) {
    let agents = site.agents(2);
    let (mut kept, mut ledger, mut starts) = (BTreeSet::new(), Ledger::default(), 0);
    let (began, mut dice) = (Instant::now(), Dice::new());
    let least = scaled(Duration::ZERO, Duration::from_mins(30));
    while began.elapsed() < least || starts < 3 {
        let server = site.start();
        starts += 1;
        let load = Load::on(server.address, &agents, 8).revoking(9).start();
        // The ledger of this server waits until the lease of the killed one has ended.
        eventually("there is a new checkpoint", async || {
            let read = site.run(&["audit", "checkpoint"]);
            read.status.success() && kept.insert(String::from_utf8(read.stdout).unwrap())
        })
        .await;
        let killed = Instant::now() + Duration::from_millis(dice.below(scaled(2_000, 10_000)));
        while Instant::now() < killed {
            let read = site.run(&["audit", "checkpoint"]);
            // A command may find the file busy. Then it prints no checkpoint.
            if read.status.success() {
                kept.insert(String::from_utf8(read.stdout).unwrap());
            }
            pause(100).await;
        }
        server.kill();
        ledger.add(load.stop().await);
    }
    let _server = site.start();
    site.audit(&ledger).await;
    demand_whole_log(site).await;
    let lines = kept.iter().map(|note| {
        let line = json!({ "message": "checkpoint", "note": note });
        format!("{line}\n")
    });
    let file = site.folder().join("kept");
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    let told = site.json(&["audit", "verify", "--against", file.to_str().unwrap()]);
    println!(
        "kills under load: {starts} starts, {} checkpoints are one history; {}",
        kept.len(),
        ledger.summary()
    );
    assert_eq!(told["checkpoints"], kept.len(), "{told}");
}

#[test]
fn every_checkpoint_belongs_to_one_history_on_sqlite() {
    play(async { keep_checkpoints(&Site::sqlite()).await });
}

#[test]
fn every_checkpoint_belongs_to_one_history_on_postgres() {
    play(async {
        let cluster = Cluster::start().await;
        keep_checkpoints(&Site::postgres(&cluster).await).await;
    });
}
