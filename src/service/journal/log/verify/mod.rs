//! The verification of a whole log: events against entries, entries against tiles, and the tree
//! against checkpoints.
//!
//! Owns what a break is and which event it is named by. Must not know how a result is shown.
//! Everything is read once, in the order of the log, in memory that does not grow with it.
//!
//! Reading order: `report` (what is found), `kept` (checkpoints from outside), `leaves` (the events,
//! hashed), `heads` (the tree), `check` (one entry after the other), and here the whole.

mod check;
mod heads;
mod kept;
mod leaves;
mod report;

use std::sync::Arc;

use crate::domain::event::kind::EventKind;
use crate::domain::tree::note::SignedNote;
use crate::domain::tree::verifier_key::{KeyName, VerifierKey};
use crate::domain::tree::verify::TreeHead;
use crate::keys::log::verify_checkpoint;
use crate::service::error::Error;
use crate::service::journal::ledger::LEDGER;
use crate::store::{LogEntry, LogEntryKind, LogHead, Records};

use super::broken;
use super::open::LogOpener;

use check::LogCheck;
use heads::TreeCheck;
pub use kept::KeptNote;
pub use report::{BrokenPart, LogBreak, Verification};

/// How many entries are read at once.
const ENTRIES_CHUNK: i64 = 1_024;

/// How many events that wait for the log are read at once, to count them.
const PENDING_CHUNK: i64 = 16_384;

/// How far a verification has come: the id of the last event that it has checked, and of the last one
/// that it will check.
pub(crate) type VerifyProgress<'a> = &'a mut (dyn FnMut(i64, i64) + Send);

/// Verifies the log of a store.
pub struct LogVerifier {
    records: Arc<dyn Records>,
    opener: LogOpener,
}

impl LogVerifier {
    /// For the log of this store.
    pub(crate) fn new(records: Arc<dyn Records>, opener: LogOpener) -> Self {
        Self { records, opener }
    }

    /// Verifies everything up to the ledger's place, and compares the log with the kept checkpoints.
    pub async fn verify(
        &self,
        kept: &[KeptNote],
        progress: VerifyProgress<'_>,
    ) -> Result<Verification, Error> {
        let Some((head, place)) = self.consistent_head().await? else {
            return self.without_log(kept).await;
        };
        let (pending, announced) = self.pending(place).await?;
        let mut found = Verification {
            pending,
            ..Verification::default()
        };
        let key = self.opener.open().await?.key.verifier_key().clone();
        let origins = self.origins(&key).await?;
        let signed = match self.signed(&head, &key).await? {
            Ok(signed) => signed,
            Err(broken) => return Ok(found.with(broken)),
        };
        let mut heads = Vec::new();
        for note in kept {
            match note.head(&origins) {
                Ok(head) => heads.push(head),
                Err(broken) => return Ok(found.with(broken)),
            }
        }
        found.checkpoints = heads.len();
        let pruned = self.pruned_through(head.size).await?.max(announced);
        let tree = TreeCheck::new(heads);
        let mut check = LogCheck::new(tree, place, pruned);
        let done = self.check_entries(&mut check, head.size, place, progress);
        let mut broken = done.await?;
        if broken.is_none() {
            broken = check.finish(&*self.records, head.size, signed).await?;
        }
        check.tell(&mut found);
        found.first_break = broken;
        Ok(found)
    }

    async fn check_entries(
        &self,
        check: &mut LogCheck,
        size: u64,
        place: i64,
        progress: VerifyProgress<'_>,
    ) -> Result<Option<LogBreak>, Error> {
        let mut index = 0;
        while index < size {
            let entries = self.entries(index, size).await?;
            if entries.is_empty() {
                return Ok(Some(check.missing_entry()));
            }
            for entry in entries {
                if let Some(broken) = check.entry(&*self.records, &entry, index).await? {
                    return Ok(Some(broken));
                }
                index += 1;
            }
            progress(check.covered(), place);
        }
        Ok(None)
    }

    /// The entries from this index on, without those of passes that were made meanwhile.
    async fn entries(&self, from: u64, size: u64) -> Result<Vec<LogEntry>, Error> {
        let mut entries = self.records.log_entries(from, ENTRIES_CHUNK).await?;
        entries.retain(|entry| entry.index < size);
        Ok(entries)
    }

    /// The log that grows, and the place of its reader at the same commit; `None` without a log.
    async fn consistent_head(&self) -> Result<Option<(LogHead, i64)>, Error> {
        loop {
            let Some(head) = self.records.log_heads().await?.pop() else {
                return Ok(None);
            };
            let place = self.records.place(LEDGER).await?.unwrap_or(0);
            let after = self.records.log_heads().await?.pop();
            if after.is_some_and(|after| after == head) {
                return Ok(Some((head, place)));
            }
        }
    }

    /// A store whose log was never made. If a reader has read events for it all the same, or a
    /// checkpoint was kept, the log was removed.
    async fn without_log(&self, kept: &[KeptNote]) -> Result<Verification, Error> {
        let place = self.records.place(LEDGER).await?.unwrap_or(0);
        let found = Verification {
            pending: self.pending(place).await?.0,
            ..Verification::default()
        };
        if place == 0 && kept.is_empty() {
            return Ok(found);
        }
        let part = BrokenPart::After(0);
        Ok(found.with(LogBreak::new(part, "the whole log was removed")))
    }

    /// The state that the newest checkpoint signs. A generation that has just begun has none yet: then
    /// it is that of the generation before, from whose entries the tree goes on.
    async fn signed(
        &self,
        head: &LogHead,
        key: &VerifierKey,
    ) -> Result<Result<Option<TreeHead>, LogBreak>, Error> {
        if head.note.is_some() {
            return Ok(signed_by(head.note.as_deref(), key));
        }
        let heads = self.records.log_heads().await?;
        // This generation may have got its first checkpoint since `head` was read.
        let is_earlier = |other: &LogHead| other.generation < head.generation;
        let mut signed = heads.into_iter().rev().filter(is_earlier);
        let Some(signed) = signed.find(|earlier| earlier.note.is_some()) else {
            return Ok(Ok(None));
        };
        let name = KeyName::parse(&signed.origin).map_err(broken)?;
        let key = VerifierKey::new(name, *key.public());
        Ok(signed_by(signed.note.as_deref(), &key))
    }

    async fn origins(&self, key: &VerifierKey) -> Result<Vec<VerifierKey>, Error> {
        let heads = self.records.log_heads().await?;
        let of = |head: LogHead| {
            let name = KeyName::parse(&head.origin).map_err(broken)?;
            Ok(VerifierKey::new(name, *key.public()))
        };
        heads.into_iter().map(of).collect()
    }

    /// How many events are not in the log yet, and up to which id they tell that tokens were pruned.
    async fn pending(&self, place: i64) -> Result<(u64, i64), Error> {
        let (mut after, mut pending, mut pruned) = (place, 0u64, 0);
        loop {
            let events = self.records.events(after, i64::MAX, PENDING_CHUNK).await?;
            let Some(last) = events.last() else {
                return Ok((pending, pruned));
            };
            after = last.id;
            pending = pending.saturating_add(u64::try_from(events.len()).unwrap_or(0));
            let kind = EventKind::AuditPruned.as_str();
            for event in events.iter().filter(|event| event.kind == kind) {
                let bytes = event.logged().map(|event| event.bytes());
                let to_id = bytes.ok().and_then(|bytes| to_id(&bytes));
                pruned = pruned.max(to_id.unwrap_or(0));
            }
        }
    }

    /// The greatest id up to which tokens were pruned, as the log's own entries tell.
    async fn pruned_through(&self, size: u64) -> Result<i64, Error> {
        let (mut index, mut pruned) = (0, 0);
        loop {
            let entries = self.entries(index, size).await?;
            let Some(last) = entries.last() else {
                return Ok(pruned);
            };
            index = last.index.saturating_add(1);
            for entry in &entries {
                pruned = pruned.max(pruned_to(entry).unwrap_or(0));
            }
        }
    }
}

/// The id up to which this entry says that tokens were pruned.
fn pruned_to(entry: &LogEntry) -> Option<i64> {
    let kind = EventKind::AuditPruned.as_str();
    // Few entries tell it. A plain search costs less than to parse every entry.
    let tells = || {
        entry
            .bytes
            .windows(kind.len())
            .any(|w| w == kind.as_bytes())
    };
    if entry.kind != LogEntryKind::Event || !tells() {
        return None;
    }
    to_id(&entry.bytes)
}

/// The id in the bytes of an `audit.pruned` event.
fn to_id(event: &[u8]) -> Option<i64> {
    let event: serde_json::Value = serde_json::from_slice(event).ok()?;
    (event["kind"] == EventKind::AuditPruned.as_str()).then_some(())?;
    event["detail"]["toId"].as_i64()
}

/// The state that the newest checkpoint signs; `None` if the log is empty.
fn signed_by(note: Option<&str>, key: &VerifierKey) -> Result<Option<TreeHead>, LogBreak> {
    let Some(note) = note else {
        return Ok(None);
    };
    let refused = || LogBreak::new(BrokenPart::Checkpoint, "it is not signed by the log's key");
    let note = SignedNote::parse(note.as_bytes()).map_err(|_| refused())?;
    let checkpoint = verify_checkpoint(&note, key).map_err(|_| refused())?;
    Ok(Some(checkpoint.head()))
}
