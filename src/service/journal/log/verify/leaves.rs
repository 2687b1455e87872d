//! The events of a store as leaves of the log, in the order of their ids. Must not know the log.
//!
//! While one thread hashes a chunk, the next one is read.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::domain::event::row::EventRow;
use crate::domain::tree::hash::{NodeHash, leaf_hash};
use crate::service::error::Error;
use crate::store::Records;

use super::super::pass::{is_token, write_event};

/// How many events are read at once.
const CHUNK: usize = 8_192;

/// An event, hashed.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventLeaf {
    /// Its id.
    pub id: i64,
    /// Whether it belongs into a block.
    pub is_token: bool,
    /// The hash of its bytes.
    pub hash: NodeHash,
}

/// Reads the events up to an id.
pub(super) struct EventLeaves {
    /// The id up to which they are read, and the one at which they end.
    read: i64,
    through: i64,
    hashing: Option<JoinHandle<VecDeque<EventLeaf>>>,
    ready: VecDeque<EventLeaf>,
}

impl EventLeaves {
    /// All events up to this id.
    pub(super) fn new(through: i64) -> Self {
        Self {
            read: 0,
            through,
            hashing: None,
            ready: VecDeque::new(),
        }
    }

    /// The next event, if there is one; it stays the next one.
    pub(super) async fn peek(&mut self, records: &dyn Records) -> Result<Option<EventLeaf>, Error> {
        if self.ready.is_empty() {
            self.fill(records).await?;
        }
        Ok(self.ready.front().copied())
    }

    /// Goes on behind the next event.
    pub(super) fn skip(&mut self) {
        self.ready.pop_front();
    }

    async fn fill(&mut self, records: &dyn Records) -> Result<(), Error> {
        loop {
            let rows = self.read_chunk(records).await?;
            let hashed = self.hashing.take();
            self.hashing = rows.map(|rows| tokio::task::spawn_blocking(move || hash_all(&rows)));
            match hashed {
                Some(hashed) => {
                    self.ready = hashed.await.map_err(|died| Error::Fault(Arc::new(died)))?;
                    return Ok(());
                }
                None if self.hashing.is_none() => return Ok(()),
                None => {}
            }
        }
    }

    /// The next events; `None` at the end.
    async fn read_chunk(&mut self, records: &dyn Records) -> Result<Option<Vec<EventRow>>, Error> {
        if self.read >= self.through {
            return Ok(None);
        }
        let limit = i64::try_from(CHUNK).unwrap_or(i64::MAX);
        let rows = records.events(self.read, self.through, limit).await?;
        self.read = match rows.last() {
            Some(last) if rows.len() >= CHUNK => last.id,
            _ => self.through,
        };
        Ok((!rows.is_empty()).then_some(rows))
    }
}

fn hash_all(rows: &[EventRow]) -> VecDeque<EventLeaf> {
    let mut text = String::new();
    let hash = |row: &EventRow| {
        text.clear();
        // An event that cannot be decoded is in the log as a mark, which is written then.
        let _ = write_event(row, &mut text);
        EventLeaf {
            id: row.id,
            is_token: is_token(row),
            hash: leaf_hash(text.as_bytes()),
        }
    };
    rows.iter().map(hash).collect()
}
