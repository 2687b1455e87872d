//! The log as it is read: checkpoints, tiles, and the proof of one event. Must not know how any of
//! it is served.

use std::sync::Arc;

use crate::domain::event::row::EventRow;
use crate::domain::event::search::{EventCriteria, EventOrder};
use crate::domain::org::OrgId;
use crate::domain::rejection::RejectionCode;
use crate::domain::tree::block::{BlockProof, TokenBlock};
use crate::domain::tree::bundle::push_entry;
use crate::domain::tree::checkpoint::Checkpoint;
use crate::domain::tree::hash::leaf_hash;
use crate::domain::tree::note::SignedNote;
use crate::domain::tree::proof::ProofNodes;
use crate::domain::tree::tile::{Tile, TileLevel};
use crate::domain::tree::tlog_proof::TlogProof;
use crate::domain::tree::verifier_key::VerifierKey;
use crate::service::error::Error;
use crate::service::journal::ledger::{LEDGER, MAX_PASS_EVENTS};
use crate::service::manage::ManageError;
use crate::store::{EventTable, IdRange, LogEntry, LogEntryKind, LogHead, Records};

use super::broken;
use super::open::LogOpener;
use super::pass::{is_token, write_event};
use super::tree::read_nodes;

/// The log of one store, for its readers.
pub struct AuditLog {
    records: Arc<dyn Records>,
    opener: LogOpener,
}

/// The newest checkpoint of a log.
#[derive(Debug, Clone)]
pub(crate) struct NewestCheckpoint {
    /// The signed note.
    pub note: SignedNote,
    /// What it says.
    pub checkpoint: Checkpoint,
}

impl AuditLog {
    /// Reads the log of this store.
    pub(crate) fn new(records: Arc<dyn Records>, opener: LogOpener) -> Self {
        Self { records, opener }
    }

    /// The key that verifies the checkpoints of the log that grows.
    pub(crate) async fn verifier_key(&self) -> Result<VerifierKey, Error> {
        let log = self.opener.open().await?;
        Ok(log.key.verifier_key().clone())
    }

    /// The newest checkpoint of the log of this generation, or of the one that grows; `None` if there
    /// is none. Only what a commit has made visible is read.
    pub(crate) async fn checkpoint(
        &self,
        generation: Option<i64>,
    ) -> Result<Option<NewestCheckpoint>, Error> {
        let Some(note) = self.head(generation).await?.and_then(|head| head.note) else {
            return Ok(None);
        };
        let note = SignedNote::parse(note.as_bytes()).map_err(broken)?;
        let checkpoint = Checkpoint::parse(note.text()).map_err(broken)?;
        Ok(Some(NewestCheckpoint { note, checkpoint }))
    }

    /// The bytes of a tile (C2SP tlog-tiles); `None` if the log is not as large. Every width up to
    /// the current one is there.
    pub(crate) async fn tile(
        &self,
        generation: Option<i64>,
        tile: Tile,
    ) -> Result<Option<Vec<u8>>, Error> {
        let head = self.head(generation).await?;
        if !head.is_some_and(|head| tile.is_in(head.size)) {
            return Ok(None);
        }
        let (mut bytes, mut width) = (Vec::new(), 0);
        match tile.level() {
            TileLevel::Entries => {
                let entries = self.records.log_entries(tile.first(), tile.width().into());
                for entry in entries.await? {
                    push_entry(&mut bytes, &entry.bytes).map_err(broken)?;
                    width += 1;
                }
            }
            TileLevel::Hashes(level) => {
                let hashes = self.records.log_hashes(level, tile.first(), tile.width());
                for hash in hashes.await? {
                    bytes.extend_from_slice(hash.as_bytes());
                    width += 1;
                }
            }
        }
        if width == tile.width() {
            Ok(Some(bytes))
        } else {
            Err(broken(format!("the log lacks a part of {tile}")))
        }
    }

    /// The proof that the event with this id is in the log (C2SP tlog-proof). For an issued token it
    /// is that of its block, with the event and its path within the block as `extra`. `org_id` is
    /// the organisation that the reader is limited to.
    pub(crate) async fn proof(
        &self,
        id: i64,
        org_id: Option<&OrgId>,
    ) -> Result<TlogProof, ManageError> {
        let before = id.saturating_sub(1);
        let rows = self.records.events(before, id, 1).await?;
        let event = rows.first().ok_or(RejectionCode::EventNotFound)?;
        if let Some(org_id) = org_id
            && !self.belongs(id, org_id).await?
        {
            return Err(RejectionCode::EventNotFound.into());
        }
        let place = self.records.place(LEDGER).await?;
        if place.is_none_or(|place| place < id) {
            return Err(RejectionCode::NotLoggedYet.into());
        }
        let entry = self.entry_of(event).await?;
        let extra = match entry.kind {
            LogEntryKind::Event => Vec::new(),
            LogEntryKind::Tokens => self.in_block(event, &entry).await?.to_bytes(),
        };
        // Read after the entry, so that it covers it.
        let newest = self.checkpoint(None).await?;
        // A generation that has just begun has no checkpoint yet.
        let newest = newest.ok_or(RejectionCode::NotLoggedYet)?;
        let size = newest.checkpoint.head().size;
        let nodes = ProofNodes::inclusion(entry.index, size).map_err(broken)?;
        let hashes = read_nodes(&*self.records, nodes.nodes(), size).await?;
        let path = nodes.hashes(|node| {
            let hash = hashes.get(&node).copied();
            hash.ok_or_else(|| broken("a node of a proof was not read"))
        })?;
        Ok(TlogProof {
            extra,
            index: entry.index,
            path,
            checkpoint: newest.note,
        })
    }

    /// Whether the event with this id belongs to this organisation.
    async fn belongs(&self, id: i64, org_id: &OrgId) -> Result<bool, Error> {
        let sought = EventCriteria {
            org_id: Some(org_id.clone()),
            ..EventCriteria::default()
        };
        let (order, after) = (EventOrder::Ascending, id.saturating_sub(1));
        let range = IdRange { after, through: id };
        for table in [EventTable::Changes, EventTable::Tokens] {
            let found = self.records.search_events(table, &sought, order, range, 1);
            if !found.await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The entry that covers an event at or before the ledger's place.
    async fn entry_of(&self, event: &EventRow) -> Result<LogEntry, Error> {
        let kind = if is_token(event) {
            LogEntryKind::Tokens
        } else {
            LogEntryKind::Event
        };
        let found = self.records.log_entry_from(kind, event.id).await?;
        found
            .filter(|entry| entry.first_id <= event.id && event.id <= entry.last_id)
            .ok_or_else(|| {
                let id = event.id;
                broken(format!(
                    "event {id} is not in the log that covers its id: run `sealwright audit verify`"
                ))
            })
    }

    /// The proof that a token's event is in its block. Once other tokens of the block are pruned,
    /// there is none.
    async fn in_block(
        &self,
        event: &EventRow,
        entry: &LogEntry,
    ) -> Result<BlockProof, ManageError> {
        let block = TokenBlock::parse(&entry.bytes).map_err(broken)?;
        let (from, to) = (block.first().saturating_sub(1), block.last());
        // A block lies within one pass. An entry that was tampered with may name a longer range.
        let most = i64::try_from(MAX_PASS_EVENTS).unwrap_or(i64::MAX);
        let rows = self.records.events(from, to, most).await?;
        let (mut leaves, mut index, mut text) = (Vec::new(), None, String::new());
        for row in rows.iter().filter(|row| is_token(row)) {
            text.clear();
            // A token that cannot be decoded is in its block as a mark.
            let _ = write_event(row, &mut text);
            if row.id == event.id {
                index = u64::try_from(leaves.len()).ok();
            }
            leaves.push(leaf_hash(text.as_bytes()));
        }
        if i64::try_from(leaves.len()).is_ok_and(|count| count < block.count()) {
            return Err(RejectionCode::EventNotFound.into());
        }
        let index = index.ok_or(RejectionCode::EventNotFound)?;
        text.clear();
        let _ = write_event(event, &mut text);
        let proof = BlockProof::new(text.as_bytes(), &leaves, index).map_err(broken)?;
        let (first, last) = (block.first(), block.last());
        proof.verify(&block).map_err(|_| {
            broken(format!(
                "the tokens {first} to {last} are not those that were logged: run `sealwright audit verify`"
            ))
        })?;
        Ok(proof)
    }

    async fn head(&self, generation: Option<i64>) -> Result<Option<LogHead>, Error> {
        let mut heads = self.records.log_heads().await?;
        Ok(match generation {
            None => heads.pop(),
            Some(generation) => heads.into_iter().find(|head| head.generation == generation),
        })
    }
}
