//! What a verification finds. Must not know how it is found.

use std::fmt;

use crate::domain::tree::tile::Tile;

/// What a verification has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// How many entries of the log were checked.
    pub entries: u64,
    /// How many events were compared with the log.
    pub events: u64,
    /// How many tokens are in the log and not kept any more.
    pub pruned: u64,
    /// How many events have a mark in the log, since no release could read them.
    pub unreadable: u64,
    /// How many events are not in the log yet.
    pub pending: u64,
    /// How many kept checkpoints were compared.
    pub checkpoints: usize,
    /// Where the log first breaks.
    pub first_break: Option<LogBreak>,
}

impl Verification {
    /// The same, with this break.
    pub(super) fn with(self, broken: LogBreak) -> Self {
        let first_break = Some(broken);
        Self {
            first_break,
            ..self
        }
    }
}

/// The first place where events and log do not fit together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBreak {
    /// Which part.
    pub part: BrokenPart,
    /// What is wrong with it.
    pub why: &'static str,
}

impl LogBreak {
    /// A break of this part.
    pub(super) fn new(part: BrokenPart, why: &'static str) -> Self {
        Self { part, why }
    }
}

/// What a break is named by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokenPart {
    /// The event with this id.
    Event(i64),
    /// The block of tokens with these first and last ids.
    Tokens(i64, i64),
    /// An event between these ids, both included.
    Between(i64, i64),
    /// The events behind this id.
    After(i64),
    /// A tile of the log, and the last event below it.
    Tile(Tile, i64),
    /// The newest checkpoint.
    Checkpoint,
    /// A kept checkpoint.
    Kept,
}

impl fmt::Display for LogBreak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            BrokenPart::Event(id) => write!(f, "event {id}")?,
            BrokenPart::Tokens(first, last) => write!(f, "tokens {first} to {last}")?,
            BrokenPart::Between(first, last) => write!(f, "events {first} to {last}")?,
            BrokenPart::After(id) => write!(f, "events after {id}")?,
            BrokenPart::Tile(tile, id) => write!(f, "{tile}, which ends with event {id}")?,
            BrokenPart::Checkpoint => f.write_str("the newest checkpoint")?,
            BrokenPart::Kept => f.write_str("a kept checkpoint")?,
        }
        write!(f, ": {}", self.why)
    }
}
