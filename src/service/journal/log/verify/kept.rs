//! Checkpoints that were kept outside the database. Must not know the log's entries.

use serde::Deserialize;

use crate::domain::tree::note::SignedNote;
use crate::domain::tree::verifier_key::VerifierKey;
use crate::domain::tree::verify::TreeHead;
use crate::keys::log::verify_checkpoint;

use super::report::{BrokenPart, LogBreak};

/// The message of the log line that tells a checkpoint.
const MESSAGE: &str = "checkpoint";

/// A signed note that somebody kept. Nothing is known of it before its signature is verified.
#[derive(Debug, Clone)]
pub struct KeptNote(SignedNote);

/// The members of a line of the server's log that matter here.
#[derive(Deserialize)]
struct LineJson {
    message: String,
    note: Option<String>,
}

impl KeptNote {
    /// Reads a file that is one note.
    pub fn of_file(bytes: &[u8]) -> Option<Self> {
        SignedNote::parse(bytes).ok().map(Self)
    }

    /// Reads a line of the server's log; `None` if the line tells no checkpoint.
    pub fn of_line(line: &str) -> Option<Self> {
        if !line.contains(MESSAGE) {
            return None;
        }
        let line: LineJson = serde_json::from_str(line).ok()?;
        let note = line.note.filter(|_| line.message == MESSAGE)?;
        Self::of_file(note.as_bytes())
    }

    /// The state that it signs, if one of these keys made it: one for each generation of the store.
    pub(super) fn head(&self, keys: &[VerifierKey]) -> Result<TreeHead, LogBreak> {
        let verified = keys
            .iter()
            .find_map(|key| verify_checkpoint(&self.0, key).ok());
        let why = "it is not signed by this store's log key";
        verified
            .map(|checkpoint| checkpoint.head())
            .ok_or(LogBreak::new(BrokenPart::Kept, why))
    }
}
