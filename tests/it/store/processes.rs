//! The processes that serve from a store: what they report, and who reports nothing.

use sealwright::testing::domain::id::ProcessId;
use sealwright::testing::domain::time::{Moment, Timestamp};
use sealwright::testing::store::{Backend, PROCESS_TTL, ProcessReport};

use super::kit::{MILLIS, NOW, uuid};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_process_is_known_from_its_first_report_until_it_says_that_it_stops,
    a_process_that_died_is_forgotten_after_a_while,
}

fn report(host: &str) -> ProcessReport {
    ProcessReport {
        process_id: ProcessId(uuid(NOW)),
        host: host.to_owned(),
        pid: 4_194_304,
        release: "1.2.3".to_owned(),
        master_keys: vec!["0011223344556677".to_owned(), "8899aabbccddeeff".to_owned()],
    }
}

/// Lets the store's clock show `seconds` after `NOW`: the database's own, or the one that the call
/// passes.
fn after(db: &Database, seconds: i64) -> Moment {
    let now = Timestamp(NOW.0 + seconds);
    db.set_clock(now);
    now.into()
}

async fn hosts(store: &dyn Backend, now: Moment) -> Vec<String> {
    let processes = store.processes(now).await.unwrap();
    processes.into_iter().map(|one| one.report.host).collect()
}

async fn a_process_is_known_from_its_first_report_until_it_says_that_it_stops(db: &Database) {
    let store = db.open().await;
    assert!(store.processes(after(db, 0)).await.unwrap().is_empty());
    let (one, two) = (report("one"), report("two"));
    store.report_process(&one, after(db, 0)).await.unwrap();
    store.report_process(&two, after(db, 5)).await.unwrap();
    store.report_process(&one, after(db, 20)).await.unwrap();
    let seen = store.processes(after(db, 21)).await.unwrap();
    let [first, second] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!((&first.report, &second.report), (&one, &two));
    assert_eq!(
        (first.started_at, first.seen_at),
        (Moment(MILLIS), Moment(MILLIS + 20_000))
    );
    assert_eq!((first.age_millis, second.age_millis), (1_000, 16_000));
    assert_eq!(first.schema, store.schema().await.unwrap().known);
    store.end_process(one.process_id).await.unwrap();
    store.end_process(one.process_id).await.unwrap();
    assert_eq!(hosts(&*store, after(db, 22)).await, ["two"]);
}

async fn a_process_that_died_is_forgotten_after_a_while(db: &Database) {
    let store = db.open().await;
    for (host, seconds) in [("a", 0), ("b", 0), ("c", 1)] {
        store
            .report_process(&report(host), after(db, seconds))
            .await
            .unwrap();
    }
    let prune = async |seconds| {
        let now = after(db, seconds).second();
        store.prune(now, 86_400, 1).await.unwrap()
    };
    assert_eq!(prune(PROCESS_TTL).await, 0);
    assert_eq!(prune(PROCESS_TTL + 1).await, 1);
    assert_eq!(hosts(&*store, after(db, 0)).await.len(), 2);
    assert_eq!(prune(PROCESS_TTL + 1).await, 1);
    assert_eq!(prune(PROCESS_TTL + 1).await, 0);
    assert_eq!(hosts(&*store, after(db, 0)).await, ["c"]);
}

/// What a release does that has no such reports: it names itself, and takes no lock.
const OLDER: &str = "select 1";

#[tokio::test]
async fn connections_of_a_program_that_reports_nothing_are_told_apart() {
    let db = Database::postgres().await;
    let (store, other) = (db.open().await, db.open().await);
    let silent = async || store.silent_users(Moment(0)).await.unwrap();
    other.ping().await.unwrap();
    assert_eq!(silent().await, []);
    let with_name = |name: &str| {
        let join = if db.url().contains('?') { '&' } else { '?' };
        format!("{}{join}application_name={name}", db.url())
    };
    let unrelated = connect(&with_name("psql")).await;
    assert_eq!(silent().await, []);
    let older = connect(&with_name("sealwright")).await;
    let found = silent().await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].who.contains("sealwright"), "{found:?}");
    // It was opened a moment ago.
    assert!(found[0].may_report);
    drop((unrelated, older));
    drop((store, other));
    db.remove().await;
}

async fn connect(url: &str) -> sqlx::PgConnection {
    use sqlx::Connection as _;
    let mut conn = sqlx::PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(OLDER).execute(&mut conn).await.unwrap();
    conn
}

#[tokio::test]
async fn the_server_of_a_file_is_silent_until_it_reports() {
    use sealwright::testing::store::sqlite::SqliteStore;
    let db = Database::sqlite().await;
    let store = db.open().await;
    let silent = async |since| store.silent_users(since).await.unwrap().len();
    assert_eq!(silent(NOW.into()).await, 0);
    let lock = SqliteStore::lock_serve(db.path()).unwrap();
    assert_eq!(silent(NOW.into()).await, 1);
    store
        .report_process(&report("one"), NOW.into())
        .await
        .unwrap();
    assert_eq!(silent(NOW.into()).await, 0);
    // A report from before may be that of a server which died.
    assert_eq!(silent(Moment(MILLIS + 1)).await, 1);
    drop(lock);
    assert_eq!(silent(Moment(MILLIS + 1)).await, 0);
    db.remove().await;
}
