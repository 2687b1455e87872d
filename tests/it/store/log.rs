//! The tamper-evident log as a store holds it: it grows only where it ended, in the commit that
//! moves its reader's place.

use std::time::Duration;

use sealwright::testing::domain::id::HolderId;
use sealwright::testing::domain::time::Moment;
use sealwright::testing::domain::tree::hash::leaf_hash;
use sealwright::testing::store::{
    Backend, Change, Lease, LogAppend, LogChange, LogEntry, LogEntryKind, LogHead, LogNode,
    Outcome, Pass, PassOutcome, StoreError, Write,
};

use super::kit::{NOW, commit, uuid, write};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_log_begins_once_for_each_generation,
    a_log_grows_with_the_place_of_its_reader,
    a_log_of_another_size_moves_no_place,
    entries_and_hashes_are_read_by_index_and_by_id,
}

const TTL: Duration = Duration::from_secs(10);

async fn begin(store: &dyn Backend, generation: i64) -> Outcome {
    let origin = format!("log/{generation}");
    let change = LogChange::Begin { generation, origin };
    commit(store, Change::Log(change)).await
}

/// An entry for the event with this id, or for the block of these tokens.
fn entry(index: u64, kind: LogEntryKind, (first_id, last_id): (i64, i64)) -> LogEntry {
    let bytes = format!("entry {index}").into_bytes();
    LogEntry {
        index,
        kind,
        first_id,
        last_id,
        hash: leaf_hash(&bytes),
        bytes,
    }
}

fn events(ids: impl IntoIterator<Item = i64>, from: u64) -> Vec<LogEntry> {
    let entries = ids.into_iter().zip(from..);
    entries
        .map(|(id, index)| entry(index, LogEntryKind::Event, (id, id)))
        .collect()
}

fn append(old_size: u64, entries: Vec<LogEntry>) -> Write {
    let note = format!("note {}", old_size + entries.len() as u64);
    write(Change::Log(LogChange::Append(Box::new(LogAppend {
        generation: 1,
        old_size,
        entries,
        nodes: vec![],
        note,
    }))))
}

async fn lease(store: &dyn Backend) -> Lease {
    let (holder, now) = (HolderId(uuid(NOW)), Moment::from(NOW));
    let lease = store.take_lease("ledger", holder, TTL, now).await;
    lease.unwrap().unwrap()
}

async fn pass(
    store: &dyn Backend,
    lease: &Lease,
    to: i64,
    write: Write,
) -> Result<PassOutcome, StoreError> {
    let pass = Pass {
        lease: lease.clone(),
        to,
        writes: vec![write],
        ttl: TTL,
        at: NOW.into(),
    };
    store.commit_pass(&pass).await
}

async fn a_log_begins_once_for_each_generation(db: &Database) {
    let store = db.open().await;
    assert_eq!(store.log_heads().await.unwrap(), []);
    assert_eq!(begin(&*store, 1).await, Outcome::Applied);
    assert_eq!(begin(&*store, 1).await, Outcome::Conflict);
    let lease = lease(&*store).await;
    pass(&*store, &lease, 2, append(0, events([1, 2], 0)))
        .await
        .unwrap();
    // A later generation goes on from the entries of the earlier ones.
    assert_eq!(begin(&*store, 7).await, Outcome::Applied);
    let head = |generation: i64, note: Option<&str>| LogHead {
        generation,
        origin: format!("log/{generation}"),
        size: 2,
        note: note.map(str::to_owned),
        at: NOW,
    };
    let heads = store.log_heads().await.unwrap();
    assert_eq!(heads, [head(1, Some("note 2")), head(7, None)]);
    // None of this is an event.
    assert_eq!(store.newest_event().await.unwrap(), 0);
}

async fn a_log_grows_with_the_place_of_its_reader(db: &Database) {
    let store = db.open().await;
    begin(&*store, 1).await;
    let mut lease = lease(&*store).await;
    let first = pass(&*store, &lease, 3, append(0, events([1, 3], 0))).await;
    assert_eq!(
        first.unwrap(),
        PassOutcome::Committed(vec![Outcome::Applied])
    );
    lease.place = 3;
    let many = events(4..300, 2);
    pass(&*store, &lease, 299, append(2, many)).await.unwrap();
    assert_eq!(store.place("ledger").await.unwrap(), Some(299));
    let heads = store.log_heads().await.unwrap();
    assert_eq!(
        (heads[0].size, heads[0].note.as_deref()),
        (298, Some("note 298"))
    );
    // A holder that lost its lease writes nothing.
    let late = pass(&*store, &lease, 400, append(298, events([400], 298))).await;
    assert_eq!(late.unwrap(), PassOutcome::LeaseLost);
    assert_eq!(store.log_entries(298, 1).await.unwrap(), []);
}

async fn a_log_of_another_size_moves_no_place(db: &Database) {
    let store = db.open().await;
    let lease = lease(&*store).await;
    // There is no log yet.
    let early = pass(&*store, &lease, 1, append(0, events([1], 0))).await;
    assert!(matches!(early, Err(StoreError::Fault(_))), "{early:?}");
    begin(&*store, 1).await;
    let ahead = pass(&*store, &lease, 1, append(1, events([1], 1))).await;
    assert!(matches!(ahead, Err(StoreError::Fault(_))), "{ahead:?}");
    assert_eq!(store.place("ledger").await.unwrap(), Some(0));
    // Nor does a log grow after a restore has begun another one.
    begin(&*store, 2).await;
    let old = pass(&*store, &lease, 1, append(0, events([1], 0))).await;
    assert!(matches!(old, Err(StoreError::Fault(_))), "{old:?}");
    assert_eq!(store.log_entries(0, 9).await.unwrap(), []);
}

async fn entries_and_hashes_are_read_by_index_and_by_id(db: &Database) {
    let store = db.open().await;
    begin(&*store, 1).await;
    let entries = vec![
        entry(0, LogEntryKind::Event, (2, 2)),
        entry(1, LogEntryKind::Event, (5, 5)),
        entry(2, LogEntryKind::Tokens, (1, 6)),
        entry(3, LogEntryKind::Tokens, (8, 9)),
    ];
    let node = |index| LogNode {
        level: 1,
        index,
        hash: leaf_hash(&[7]),
    };
    let append = LogAppend {
        generation: 1,
        old_size: 0,
        entries: entries.clone(),
        nodes: vec![node(0), node(1)],
        note: "note".to_owned(),
    };
    let change = Change::Log(LogChange::Append(Box::new(append)));
    assert_eq!(commit(&*store, change).await, Outcome::Applied);

    assert_eq!(store.log_entries(0, 9).await.unwrap(), entries);
    assert_eq!(store.log_entries(1, 2).await.unwrap(), entries[1..3]);
    let hashes: Vec<_> = entries.iter().map(|entry| entry.hash).collect();
    assert_eq!(store.log_hashes(0, 1, 256).await.unwrap(), hashes[1..]);
    assert_eq!(store.log_hashes(0, 1, 2).await.unwrap(), hashes[1..3]);
    assert_eq!(store.log_hashes(1, 1, 9).await.unwrap(), [leaf_hash(&[7])]);
    assert_eq!(store.log_hashes(2, 0, 9).await.unwrap(), []);
    for (kind, id, index) in [
        (LogEntryKind::Event, 1, Some(0)),
        (LogEntryKind::Event, 5, Some(1)),
        (LogEntryKind::Event, 6, None),
        (LogEntryKind::Tokens, 4, Some(2)),
        (LogEntryKind::Tokens, 6, Some(2)),
        (LogEntryKind::Tokens, 7, Some(3)),
        (LogEntryKind::Tokens, 10, None),
    ] {
        let found = store.log_entry_from(kind, id).await.unwrap();
        assert_eq!(found.map(|entry| entry.index), index, "{kind:?} {id}");
    }
}
