//! The step of a reader of events: it takes a lease, reads what is settled, hands it to a consumer,
//! and commits what the consumer made of it.

use std::sync::Arc;

use async_trait::async_trait;
use sealwright::testing::clock::{Clock, FakeClock, StoreClock};
use sealwright::testing::domain::id::HolderId;
use sealwright::testing::service::Error;
use sealwright::testing::service::journal::settle::{
    EventConsumer, JournalReader, LEASE_TTL, Piece, Progress,
};
use sealwright::testing::store::Write;
use sqlx::{Connection, PgConnection};

use super::kit::{NOW, create, issue, result, results, uuid};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_step_reads_everything_once_in_pieces,
    a_consumer_may_take_several_pieces_before_it_commits,
    a_reader_that_stops_while_it_works_loses_to_the_next_one,
    a_reader_whose_consumer_failed_begins_at_its_place,
    events_that_were_removed_after_they_settled_are_not_waited_for,
}

/// Writes the id of each event of a token as a result.
#[derive(Default)]
struct Marks {
    /// What was taken since the last commit.
    taken: Vec<i64>,
    /// How many events to take before a commit.
    least: usize,
    /// Fails once.
    fails: bool,
    /// How many events each piece had.
    pieces: Vec<usize>,
}

#[async_trait]
impl EventConsumer for Marks {
    async fn consume(&mut self, piece: Piece<'_>) -> Result<Option<Vec<Write>>, Error> {
        if piece.after == piece.place {
            self.taken.clear();
        }
        self.pieces.push(piece.events.len());
        let tokens = piece.events.iter().filter(|e| e.kind == "token.issued");
        self.taken.extend(tokens.map(|event| event.id));
        if std::mem::take(&mut self.fails) {
            return Err(Error::Unavailable(Arc::new(std::io::Error::other("test"))));
        }
        if self.taken.len() < self.least {
            return Ok(None);
        }
        let marks = self.taken.iter().map(|id| result(&format!("e{id}")));
        Ok(Some(marks.collect()))
    }
}

/// The names of the results for these ids.
fn marks(ids: impl IntoIterator<Item = i64>) -> Vec<String> {
    ids.into_iter().map(|id| format!("e{id}")).collect()
}

/// A reader of another process, and its clock.
async fn reader(db: &Database, max_events: usize) -> (JournalReader, Arc<FakeClock>) {
    let clock = Arc::new(FakeClock::at(NOW));
    let reader = JournalReader::new(
        db.open().await,
        Arc::new(StoreClock::new(clock.clone())),
        "test",
        HolderId(uuid(NOW)),
        max_events,
    );
    (reader, clock)
}

/// Lets time pass for a process and for the database.
fn pass_time(db: &Database, clock: &FakeClock, seconds: i64) {
    clock.advance(seconds);
    db.set_clock(clock.now());
}

async fn a_step_reads_everything_once_in_pieces(db: &Database) {
    let store = db.open().await;
    let ((mut one, clock), mut consumer) = (reader(db, 4).await, Marks::default());
    assert_eq!(one.step(&mut consumer).await.unwrap(), Progress::Done);
    create(&*store, "a").await;
    issue(&*store, "a", 5, None).await;
    assert_eq!(one.step(&mut consumer).await.unwrap(), Progress::More);
    assert_eq!(store.place("test").await.unwrap(), Some(4));
    // The results are events themselves, but the store told of the first six events alone.
    assert_eq!(one.step(&mut consumer).await.unwrap(), Progress::Done);
    assert_eq!(store.place("test").await.unwrap(), Some(6));
    assert_eq!(one.step(&mut consumer).await.unwrap(), Progress::More);
    assert_eq!(store.place("test").await.unwrap(), Some(10));
    while one.step(&mut consumer).await.unwrap() == Progress::More {}
    assert_eq!(results(db).await, marks(2..=6));
    assert_eq!(consumer.pieces, [0, 4, 2, 4, 1]);
    // The lease is renewed while nothing happens, and another process waits for it.
    let (mut other, others_clock) = reader(db, 4).await;
    for _ in 0..5 {
        others_clock.advance(6);
        pass_time(db, &clock, 6);
        assert_eq!(one.step(&mut consumer).await.unwrap(), Progress::Done);
        assert_eq!(
            other.step(&mut Marks::default()).await.unwrap(),
            Progress::Elsewhere
        );
    }
}

async fn a_consumer_may_take_several_pieces_before_it_commits(db: &Database) {
    let store = db.open().await;
    let ((mut one, clock), mut consumer) = (reader(db, 2).await, Marks::default());
    consumer.least = 5;
    create(&*store, "a").await;
    issue(&*store, "a", 4, None).await;
    while one.step(&mut consumer).await.unwrap() == Progress::More {}
    assert_eq!(consumer.taken, [2, 3, 4, 5]);
    assert_eq!(store.place("test").await.unwrap(), Some(0));
    // Renewing the lease keeps what was taken.
    pass_time(db, &clock, 6);
    issue(&*store, "a", 1, None).await;
    one.step(&mut consumer).await.unwrap();
    assert_eq!(consumer.pieces, [2, 2, 1, 1]);
    assert_eq!(store.place("test").await.unwrap(), Some(6));
    assert_eq!(results(db).await, marks(2..=6));
}

/// Stops in the middle of its work until its lease has ended and another reader has read.
struct Stopped<'a> {
    db: &'a Database,
    clock: &'a FakeClock,
    other: JournalReader,
    other_clock: &'a FakeClock,
    work: Marks,
    others_work: Marks,
}

#[async_trait]
impl EventConsumer for Stopped<'_> {
    async fn consume(&mut self, piece: Piece<'_>) -> Result<Option<Vec<Write>>, Error> {
        let done = self.work.consume(piece).await;
        let ttl = i64::try_from(LEASE_TTL.as_secs()).unwrap();
        self.other_clock.advance(ttl);
        pass_time(self.db, self.clock, ttl);
        assert_eq!(
            self.other.step(&mut self.others_work).await?,
            Progress::Done
        );
        done
    }
}

async fn a_reader_that_stops_while_it_works_loses_to_the_next_one(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    issue(&*store, "a", 3, None).await;
    let ((mut one, clock), (other, other_clock)) = (reader(db, 100).await, reader(db, 100).await);
    let mut stopped = Stopped {
        db,
        clock: &clock,
        other,
        other_clock: &other_clock,
        work: Marks::default(),
        others_work: Marks::default(),
    };
    assert_eq!(one.step(&mut stopped).await.unwrap(), Progress::Elsewhere);
    assert_eq!(stopped.work.taken, [2, 3, 4]);
    assert_eq!(results(db).await, marks(2..=4));
    assert_eq!(store.place("test").await.unwrap(), Some(4));
    // It stays away until the other's lease is over, and goes on where the other ended.
    let mut work = Marks::default();
    assert_eq!(one.step(&mut work).await.unwrap(), Progress::Elsewhere);
    pass_time(db, &clock, 10);
    assert_eq!(one.step(&mut work).await.unwrap(), Progress::Done);
    assert_eq!(work.pieces, [3]);
    assert!(work.taken.is_empty());
    assert_eq!(results(db).await, marks(2..=4));
}

async fn a_reader_whose_consumer_failed_begins_at_its_place(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let ((mut one, _), mut consumer) = (reader(db, 2).await, Marks::default());
    consumer.least = 3;
    issue(&*store, "a", 3, None).await;
    assert_eq!(one.step(&mut consumer).await.unwrap(), Progress::More);
    consumer.fails = true;
    one.step(&mut consumer).await.unwrap_err();
    assert_eq!(store.place("test").await.unwrap(), Some(0));
    while one.step(&mut consumer).await.unwrap() == Progress::More {}
    assert_eq!(results(db).await, marks(2..=4));
}

async fn events_that_were_removed_after_they_settled_are_not_waited_for(db: &Database) {
    let store = db.open().await;
    let ((mut one, _), mut consumer) = (reader(db, 2).await, Marks::default());
    consumer.least = usize::MAX;
    create(&*store, "a").await;
    issue(&*store, "a", 3, None).await;
    assert_eq!(one.step(&mut consumer).await.unwrap(), Progress::More);
    db.execute("delete from token_event where id > 2").await;
    assert_eq!(one.step(&mut consumer).await.unwrap(), Progress::Done);
    issue(&*store, "a", 1, None).await;
    assert_eq!(one.step(&mut consumer).await.unwrap(), Progress::Done);
    assert_eq!(consumer.taken, [2, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_does_not_read_past_an_open_transaction() {
    let db = Database::postgres().await;
    let store = db.open().await;
    create(&*store, "a").await;
    let mut late = PgConnection::connect(db.url()).await.unwrap();
    let sql = "begin; insert into audit_event (at, kind, actor, detail)
                      values (1, 'token.issued', 'late', '{}')";
    sqlx::raw_sql(sql).execute(&mut late).await.unwrap();
    issue(&*store, "a", 1, None).await;
    let ((mut one, _), mut consumer) = (reader(&db, 100).await, Marks::default());
    for _ in 0..2 {
        assert_eq!(one.step(&mut consumer).await.unwrap(), Progress::Waiting);
        assert_eq!(store.place("test").await.unwrap(), Some(0));
        issue(&*store, "a", 1, None).await;
    }
    sqlx::raw_sql("commit").execute(&mut late).await.unwrap();
    one.step(&mut consumer).await.unwrap();
    one.step(&mut consumer).await.unwrap();
    assert_eq!(results(&db).await, marks(2..=5));
    late.close().await.unwrap();
    db.remove().await;
}
