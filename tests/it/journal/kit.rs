//! Ledgers for the tests, and a check of a whole log.

use sealwright::testing::domain::event::row::EventRow;
use sealwright::testing::domain::tree::checkpoint::Checkpoint;
use sealwright::testing::domain::tree::frontier::Frontier;
use sealwright::testing::domain::tree::hash::leaf_hash;
use sealwright::testing::domain::tree::note::SignedNote;
use sealwright::testing::domain::tree::verifier_key::KeyName;
use sealwright::testing::keys::log::{LogKey, verify_checkpoint};
use sealwright::testing::service::journal::ledger::Ledger;
use sealwright::testing::store::{LogEntry, LogEntryKind, LogHead};
use serde_json::Value;

use sealwright::testing::entropy::{Entropy, SystemEntropy};

use crate::harness::app::TestApp;

/// A random number below `end`.
pub fn random_below(end: u64) -> u64 {
    let mut bytes = [0; 8];
    SystemEntropy::default().fill(&mut bytes).unwrap();
    u64::from_be_bytes(bytes) % end
}

/// The ledger of one more process.
pub fn ledger(app: &TestApp<'_>) -> Ledger {
    app.opened
        .ledger(&app.config, app.state.mint.plans())
        .unwrap()
}

/// Runs steps of a ledger for eleven seconds, so that it logs everything.
pub async fn log_all(app: &TestApp<'_>, ledger: &mut Ledger) {
    ledger.step().await.unwrap();
    app.clock.advance(11);
    ledger.step().await.unwrap();
}

/// The log that grows.
pub async fn head(app: &TestApp<'_>) -> LogHead {
    let heads = app.opened.records.log_heads().await.unwrap();
    heads.into_iter().next_back().expect("there is a log")
}

/// The store's log key.
pub async fn log_key(app: &TestApp<'_>) -> LogKey {
    let keys = app.opened.records.store_keys().await.unwrap();
    let stored = keys.iter().find(|key| key.purpose == "log").unwrap();
    let origin = KeyName::parse(&head(app).await.origin).unwrap();
    LogKey::open(stored, app.opened.keyring.master_key(), origin).unwrap()
}

/// The newest checkpoint, with its signature verified.
pub async fn checkpoint(app: &TestApp<'_>) -> Checkpoint {
    let note = head(app).await.note.expect("there is a checkpoint");
    let note = SignedNote::parse(note.as_bytes()).unwrap();
    verify_checkpoint(&note, log_key(app).await.verifier_key()).unwrap()
}

/// Every event of the store.
pub async fn events(app: &TestApp<'_>) -> Vec<EventRow> {
    let events = app.opened.records.events(0, i64::MAX, i64::MAX).await;
    events.unwrap()
}

/// Every entry of the log.
pub async fn entries(app: &TestApp<'_>) -> Vec<LogEntry> {
    let entries = app.opened.records.log_entries(0, i64::MAX).await;
    entries.unwrap()
}

pub fn is_token(event: &EventRow) -> bool {
    event.kind == "token.issued"
}

/// The bytes of an event that can be decoded.
pub fn bytes(event: &EventRow) -> Vec<u8> {
    event.logged().unwrap().bytes()
}

/// Checks that the log has every event up to the ledger's place exactly once, in the order that the
/// format fixes, with dense indexes, under a signed checkpoint. Returns the number of its events.
pub async fn check(app: &TestApp<'_>) -> usize {
    let place = app.opened.records.place("ledger").await.unwrap();
    let place = place.expect("the ledger has a place");
    let mut events = events(app).await;
    events.retain(|event| event.id <= place);
    let entries = entries(app).await;
    let mut tree = Frontier::new();
    let mut logged: Vec<i64> = Vec::new();
    let mut passes = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(entry.index, index as u64);
        assert_eq!(entry.hash, leaf_hash(&entry.bytes));
        tree.append(entry.hash);
        match entry.kind {
            LogEntryKind::Event => {
                let event = events.iter().find(|event| event.id == entry.first_id);
                assert_eq!(bytes(event.expect("the event is there")), entry.bytes);
                assert_eq!(entry.last_id, entry.first_id);
                logged.push(entry.first_id);
            }
            LogEntryKind::Tokens => {
                let block: Value = serde_json::from_slice(&entry.bytes).unwrap();
                let number = |name: &str| block[name].as_i64().unwrap();
                let (from, to) = (number("from"), number("to"));
                let of_block =
                    |event: &&EventRow| is_token(event) && from < event.id && event.id <= to;
                let mut block_tree = Frontier::new();
                let tokens: Vec<&EventRow> = events.iter().filter(of_block).collect();
                for token in &tokens {
                    block_tree.append(leaf_hash(&bytes(token)));
                    logged.push(token.id);
                }
                assert_eq!(number("count"), i64::try_from(tokens.len()).unwrap());
                assert_eq!(number("first"), tokens.first().unwrap().id);
                assert_eq!(number("last"), tokens.last().unwrap().id);
                assert_eq!(block["root"], block_tree.root().to_base64());
                assert_eq!(
                    (entry.first_id, entry.last_id),
                    (number("first"), number("last"))
                );
                passes.push((from, to));
            }
        }
    }
    // Passes do not overlap, and the events of a pass come before its block.
    assert!(
        passes.windows(2).all(|two| two[0].1 <= two[1].0),
        "{passes:?}"
    );
    logged.sort_unstable();
    let ids: Vec<i64> = events.iter().map(|event| event.id).collect();
    assert_eq!(logged, ids);
    let signed = checkpoint(app).await.head();
    assert_eq!((signed.size, signed.root), (tree.size(), tree.root()));
    ids.len()
}
