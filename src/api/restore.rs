//! Backups and restores of a store, as commands print them.

use std::path::Path;

use serde::Serialize;

use crate::service::restore::Acknowledged;

/// A backup that was made.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BackupJson {
    /// The file.
    pub file: String,
    /// How many bytes it has.
    pub bytes: u64,
}

/// A restore that was acknowledged.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AcknowledgedJson {
    /// The generation of the store that began.
    pub generation: i64,
    /// How many agents' tokens were killed.
    pub agents: u64,
    /// Where the file lies that was the store before, if it was replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

impl AcknowledgedJson {
    /// This acknowledgement, with the place of the file that was replaced.
    pub(crate) fn new(done: Acknowledged, kept: Option<&Path>) -> Self {
        Self {
            generation: done.generation,
            agents: done.agents,
            kept: kept.map(|kept| kept.display().to_string()),
        }
    }
}
