//! An export of events: all of a range, piece by piece, in a bounded amount of memory.
//!
//! Owns the bytes of an export and its last line, without which it is incomplete. Must not know who
//! receives it.

use tokio::sync::OwnedSemaphorePermit;

use crate::service::error::Error;
use crate::service::journal::search::{EventSearch, logged};
use crate::store::Records;

/// How many events a piece has at most. An event has less than 20 KiB, and most have 500 bytes.
const PIECE_EVENTS: usize = 256;

/// An export on its way.
pub struct Export {
    search: EventSearch,
    through: i64,
    events: u64,
    is_complete: bool,
    /// Why the export breaks off behind what was handed out.
    broken: Option<Error>,
    /// The export's place among those that run at once.
    _place: OwnedSemaphorePermit,
}

impl Export {
    /// An export of what this search finds up to the settled id `through`.
    pub(super) fn new(search: EventSearch, through: i64, place: OwnedSemaphorePermit) -> Self {
        Self {
            search,
            through,
            events: 0,
            is_complete: false,
            broken: None,
            _place: place,
        }
    }

    /// How many events were handed out.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The next lines: each is an event's own bytes, and the very last one tells that the export is
    /// complete. `None` after the last line.
    pub(super) async fn next(&mut self, records: &dyn Records) -> Result<Option<Vec<u8>>, Error> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let mut lines = String::new();
        while lines.is_empty() && !self.is_complete {
            let rows = self.search.next(records, PIECE_EVENTS).await?;
            for row in &rows {
                match logged(row) {
                    Ok(event) => event.write_to(&mut lines),
                    Err(error) if lines.is_empty() => return Err(error),
                    Err(error) => {
                        self.broken = Some(error);
                        return Ok(Some(lines.into_bytes()));
                    }
                }
                lines.push('\n');
                self.events = self.events.saturating_add(1);
            }
            if self.search.is_done() {
                let (events, through) = (self.events, self.through);
                let last =
                    format!("{{\"complete\":true,\"events\":{events},\"through\":{through}}}\n");
                lines.push_str(&last);
                self.is_complete = true;
            }
        }
        Ok((!lines.is_empty()).then(|| lines.into_bytes()))
    }
}
