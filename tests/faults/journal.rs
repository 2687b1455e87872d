//! The tamper-evident log of the real program beside transactions that pause: every event is logged
//! once, whatever the order of the commits.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::stage::cluster::{Cluster, Locked};
use crate::stage::ledger::Load;
use crate::stage::server::Site;
use crate::stage::{GENEROUS, eventually, pause, play, scaled};

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

/// Makes a change, and returns how long it takes until the log has it.
async fn lag_of_a_change(site: &Site, number: u64) -> Duration {
    let scope = format!("lag{number}:read");
    site.must(&["scope", "add", &scope, "--description", "x"]);
    let logged =
        "select case when max(last_id) >= (select max(id) from audit_event) then 1 else 0 end
                  from log_entry where not tokens";
    eventually("the change is logged", async || {
        site.number(logged).await == 1
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
