//! The tamper-evident log, as commands print it.

use serde::Serialize;

use crate::domain::tree::verifier_key::VerifierKey;
use crate::service::journal::log::read::NewestCheckpoint;
use crate::service::journal::log::verify::{BrokenPart, Verification};

/// The key that verifies the log's checkpoints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogKeyJson {
    /// `name+id+key` (C2SP signed-note).
    pub key: String,
}

impl From<&VerifierKey> for LogKeyJson {
    fn from(key: &VerifierKey) -> Self {
        let key = key.to_string();
        Self { key }
    }
}

/// A checkpoint.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CheckpointJson {
    /// The name of the log.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The hash of its tree, in base64.
    pub root: String,
    /// The signed note.
    pub note: String,
}

impl From<&NewestCheckpoint> for CheckpointJson {
    fn from(newest: &NewestCheckpoint) -> Self {
        let head = newest.checkpoint.head();
        Self {
            origin: newest.checkpoint.origin().to_owned(),
            size: head.size,
            root: head.root.to_base64(),
            note: newest.note.to_string(),
        }
    }
}

/// What `audit verify` has found.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VerificationJson {
    /// How many entries of the log were checked.
    pub entries: u64,
    /// How many events were compared.
    pub events: u64,
    /// How many tokens the log has that are not kept any more.
    pub pruned: u64,
    /// How many events are in the log as a mark.
    pub unreadable: u64,
    /// How many events are not in the log yet.
    pub pending: u64,
    /// How many kept checkpoints were compared.
    pub checkpoints: usize,
    /// The first break, in words; `null` if the log is whole.
    pub broken: Option<String>,
    /// The first event of the break, or the block's first token, if it is known.
    pub first_id: Option<i64>,
    /// The last one.
    pub last_id: Option<i64>,
}

impl From<&Verification> for VerificationJson {
    fn from(found: &Verification) -> Self {
        let (first_id, last_id) = match found.first_break.as_ref().map(|broken| broken.part) {
            Some(BrokenPart::Event(id)) => (Some(id), Some(id)),
            Some(BrokenPart::Tokens(first, last) | BrokenPart::Between(first, last)) => {
                (Some(first), Some(last))
            }
            Some(BrokenPart::After(id)) => (id.checked_add(1), None),
            Some(BrokenPart::Tile(_, last)) => (None, Some(last)),
            Some(BrokenPart::Checkpoint | BrokenPart::Kept) | None => (None, None),
        };
        Self {
            entries: found.entries,
            events: found.events,
            pruned: found.pruned,
            unreadable: found.unreadable,
            pending: found.pending,
            checkpoints: found.checkpoints,
            broken: found.first_break.as_ref().map(ToString::to_string),
            first_id,
            last_id,
        }
    }
}
