//! The tamper-evident log as a store holds it, as values: its entries, the nodes of its tiles, and
//! its newest checkpoint.
//!
//! Must not know SQL, how an entry is made, or what a checkpoint says.

use crate::domain::time::Timestamp;
use crate::domain::tree::hash::NodeHash;

use super::row::Broken;

/// The log of one generation of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHead {
    /// The generation: 1 in a store that was never restored.
    pub generation: i64,
    /// The name of the log, and of its key.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// Its newest checkpoint, as a signed note; `None` while it has no entry of this generation.
    pub note: Option<String>,
    /// When the checkpoint was committed.
    pub at: Timestamp,
}

/// What an entry stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogEntryKind {
    /// One event that is no issued token.
    Event,
    /// The block of the tokens of one pass.
    Tokens,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its index in the log, from 0.
    pub index: u64,
    /// What it stands for.
    pub kind: LogEntryKind,
    /// The id of the event, or of the block's first token.
    pub first_id: i64,
    /// The id of the event, or of the block's last token.
    pub last_id: i64,
    /// The hash of the leaf.
    pub hash: NodeHash,
    /// The bytes that are hashed.
    pub bytes: Vec<u8>,
}

/// A hash of a tile above level 0, which is the hash of a full tile of the level below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogNode {
    /// The level of the tile: at least 1.
    pub level: u8,
    /// How many hashes of the same level are to its left.
    pub index: u64,
    /// The hash.
    pub hash: NodeHash,
}

/// The result of one pass over the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogAppend {
    /// The generation of the log.
    pub generation: i64,
    /// How many entries the log had.
    pub old_size: u64,
    /// The new entries, in the order of their indexes, which go on from `old_size`.
    pub entries: Vec<LogEntry>,
    /// The hashes of tiles that the new entries complete.
    pub nodes: Vec<LogNode>,
    /// The checkpoint with the new entries, as a signed note.
    pub note: String,
}

/// The columns of a [`LogHead`], in its order.
pub(in crate::store) type LogHeadColumns = (i64, String, i64, Option<String>, i64);

/// A log from its columns.
pub(in crate::store) fn log_head(columns: LogHeadColumns) -> Result<LogHead, Broken> {
    let (generation, origin, size, note, at) = columns;
    Ok(LogHead {
        generation,
        origin,
        size: u64::try_from(size)?,
        note,
        at: Timestamp(at),
    })
}

/// The columns of a [`LogEntry`], in its order.
pub(in crate::store) type LogEntryColumns = (i64, bool, i64, i64, Vec<u8>, Vec<u8>);

/// An entry from its columns.
pub(in crate::store) fn log_entry(columns: LogEntryColumns) -> Result<LogEntry, Broken> {
    let (position, tokens, first_id, last_id, hash, bytes) = columns;
    Ok(LogEntry {
        index: u64::try_from(position)?,
        kind: if tokens {
            LogEntryKind::Tokens
        } else {
            LogEntryKind::Event
        },
        first_id,
        last_id,
        hash: log_hash(&hash)?,
        bytes,
    })
}

/// A hash from its column.
pub(in crate::store) fn log_hash(bytes: &[u8]) -> Result<NodeHash, Broken> {
    Ok(NodeHash::from_slice(bytes)?)
}

/// An index of the log from its column.
pub(in crate::store) fn log_index(position: i64) -> Result<u64, Broken> {
    Ok(u64::try_from(position)?)
}

/// An index of the log, as a column holds it.
pub(in crate::store) fn log_position(index: u64) -> Result<i64, Broken> {
    Ok(i64::try_from(index)?)
}
