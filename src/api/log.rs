//! The tamper-evident log, as commands print it.

use serde::Serialize;

use crate::domain::tree::verifier_key::VerifierKey;
use crate::service::journal::log::read::NewestCheckpoint;

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
