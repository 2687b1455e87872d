//! The places and leases of the readers of events, and the commit that moves a place.

use std::time::Duration;

use sealwright::testing::domain::id::HolderId;
use sealwright::testing::domain::time::{Moment, Timestamp};
use sealwright::testing::store::{Backend, Lease, Outcome, Pass, PassOutcome, Write};

use super::kit::{NOW, result, results, server_run, uuid};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_lease_has_one_holder_until_it_is_over,
    a_lease_of_a_clock_that_was_ahead_is_over,
    the_place_and_the_result_are_in_one_commit,
    a_holder_that_was_stopped_moves_nothing_when_it_wakes,
}

const TTL: Duration = Duration::from_secs(10);

fn holder() -> HolderId {
    HolderId(uuid(NOW))
}

/// Lets the store's clock show `seconds` after `NOW`: the database's own, or the one that the call
/// passes.
fn after(db: &Database, seconds: i64) -> Moment {
    let now = Timestamp(NOW.0 + seconds);
    db.set_clock(now);
    now.into()
}

async fn lease(store: &dyn Backend, holder: HolderId, now: Moment) -> Option<Lease> {
    store.take_lease("test", holder, TTL, now).await.unwrap()
}

async fn pass(
    store: &dyn Backend,
    lease: &Lease,
    to: i64,
    result: Write,
    at: Moment,
) -> PassOutcome {
    let pass = Pass {
        lease: lease.clone(),
        to,
        writes: vec![result],
        ttl: TTL,
        at,
    };
    store.commit_pass(&pass).await.unwrap()
}

/// The lease after a commit that moved the place.
fn moved(mut lease: Lease, place: i64) -> Lease {
    lease.place = place;
    lease
}

const COMMITTED: fn() -> PassOutcome = || PassOutcome::Committed(vec![Outcome::Applied]);

async fn a_lease_has_one_holder_until_it_is_over(db: &Database) {
    let (one, other) = (db.open().await, db.open().await);
    let (a, b) = (holder(), holder());
    assert_eq!(one.place("test").await.unwrap(), None);
    let first = lease(&*one, a, after(db, 0)).await.unwrap();
    assert_eq!((first.holder, first.place), (a, 0));
    assert_eq!(one.place("test").await.unwrap(), Some(0));
    assert_eq!(lease(&*other, b, after(db, 9)).await, None);
    // The holder renews it.
    assert_eq!(lease(&*one, a, after(db, 9)).await, Some(first.clone()));
    assert_eq!(lease(&*other, b, after(db, 18)).await, None);
    assert_eq!(lease(&*other, b, after(db, 19)).await.unwrap().holder, b);
    assert_eq!(lease(&*one, a, after(db, 20)).await, None);
    // A commit renews it too.
    let second = lease(&*other, b, after(db, 20)).await.unwrap();
    let at = after(db, 25);
    assert_eq!(
        pass(&*other, &second, 7, result("b"), at).await,
        COMMITTED()
    );
    assert_eq!(lease(&*one, a, after(db, 34)).await, None);
    let third = lease(&*one, a, after(db, 35)).await.unwrap();
    assert_eq!((third.holder, third.place), (a, 7));
    // Each reader has a place and a lease of its own.
    let another = one.take_lease("another", b, TTL, after(db, 35)).await;
    assert_eq!(another.unwrap().unwrap().place, 0);
}

async fn a_lease_of_a_clock_that_was_ahead_is_over(db: &Database) {
    let store = db.open().await;
    let (a, b) = (holder(), holder());
    lease(&*store, a, after(db, 86_400)).await.unwrap();
    assert_eq!(lease(&*store, b, after(db, 0)).await.unwrap().holder, b);
    assert_eq!(lease(&*store, a, after(db, 0)).await, None);
}

async fn the_place_and_the_result_are_in_one_commit(db: &Database) {
    let store = db.open().await;
    let lease = lease(&*store, holder(), after(db, 0)).await.unwrap();
    let now = after(db, 1);
    let mut unknown = lease.clone();
    unknown.reader = "unknown";
    assert_eq!(
        pass(&*store, &unknown, 5, result("a"), now).await,
        PassOutcome::LeaseLost
    );
    assert_eq!(
        pass(&*store, &lease, 5, result("a"), now).await,
        COMMITTED()
    );
    // The same pass again finds the place moved, and writes nothing.
    assert_eq!(
        pass(&*store, &lease, 5, result("b"), now).await,
        PassOutcome::LeaseLost
    );
    let lease = moved(lease, 5);
    // A write that cannot be done is an outcome, as in every commit.
    let outcome = pass(&*store, &lease, 6, result("a"), now).await;
    assert_eq!(outcome, PassOutcome::Committed(vec![Outcome::Conflict]));
    assert_eq!(store.place("test").await.unwrap(), Some(6));
    assert_eq!(results(db).await, ["a"]);
}

async fn a_holder_that_was_stopped_moves_nothing_when_it_wakes(db: &Database) {
    let (one, other) = (db.open().await, db.open().await);
    let (a, b) = (holder(), holder());
    let stopped = lease(&*one, a, after(db, 0)).await.unwrap();
    let taken = lease(&*other, b, after(db, 10)).await.unwrap();
    let now = after(db, 11);
    assert_eq!(
        pass(&*one, &stopped, 3, result("a"), now).await,
        PassOutcome::LeaseLost
    );
    assert_eq!(
        pass(&*other, &taken, 3, result("b"), now).await,
        COMMITTED()
    );
    assert_eq!(
        pass(&*one, &stopped, 3, result("a"), now).await,
        PassOutcome::LeaseLost
    );
    // The first holder gets the lease again, but its old work began at an older place.
    let again = lease(&*one, a, after(db, 30)).await.unwrap();
    let now = after(db, 31);
    assert_eq!(
        pass(&*one, &stopped, 4, result("a"), now).await,
        PassOutcome::LeaseLost
    );
    assert_eq!(results(db).await, ["b"]);
    assert_eq!(pass(&*one, &again, 4, result("c"), now).await, COMMITTED());
    // A lease that is over, but that nobody took, is still the holder's.
    let again = moved(again, 4);
    let now = after(db, 300);
    assert_eq!(pass(&*one, &again, 5, result("d"), now).await, COMMITTED());
    assert_eq!(results(db).await, ["b", "c", "d"]);
    assert_eq!(other.place("test").await.unwrap(), Some(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_of_the_database_ends_a_lease_whatever_a_process_shows() {
    let db = Database::postgres().await;
    let store = db.open().await;
    let (a, b) = (holder(), holder());
    db.set_clock(NOW);
    let years_ahead = Moment::from(Timestamp(NOW.0 + 1_000_000_000));
    let first = lease(&*store, a, years_ahead).await.unwrap();
    assert_eq!(lease(&*store, b, years_ahead).await, None);
    let outcome = pass(&*store, &first, 1, result("a"), Moment(0)).await;
    assert_eq!(outcome, COMMITTED());
    assert_eq!(lease(&*store, b, years_ahead).await, None);
    db.set_clock(Timestamp(NOW.0 + 10));
    assert!(lease(&*store, b, Moment(0)).await.is_some());
    db.remove().await;
}

/// Two processes ask at the same moment: one gets the lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_holders_that_ask_at_once_one_gets_the_lease() {
    for db in [Database::sqlite().await, Database::postgres().await] {
        let now = after(&db, 0);
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let store = db.open().await;
            tasks.spawn(async move { lease(&*store, holder(), now).await });
        }
        let taken = tasks.join_all().await;
        assert_eq!(taken.iter().flatten().count(), 1);
        db.remove().await;
    }
}

/// A failover may lose the newest commits. A holder that read them before must not move the place
/// behind the events that get their ids now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_ends_with_the_run_of_the_database_server() {
    let db = Database::postgres().await;
    db.execute(&server_run(1)).await;
    let (store, a) = (db.open().await, holder());
    let now = after(&db, 0);
    let before = lease(&*store, a, now).await.unwrap();
    db.execute(&server_run(2)).await;
    assert_eq!(
        pass(&*store, &before, 3, result("a"), now).await,
        PassOutcome::LeaseLost
    );
    let renewed = lease(&*store, a, now).await.unwrap();
    assert_ne!(renewed, before);
    let outcome = pass(&*store, &renewed, 2, result("b"), now).await;
    assert_eq!(outcome, COMMITTED());
    assert_eq!(results(&db).await, ["b"]);
    db.remove().await;
}
