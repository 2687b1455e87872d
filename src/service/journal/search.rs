//! Reads the events that meet some criteria, in the order of their ids, without a bound on how many
//! there are and with a bound on how much is read at once.
//!
//! Owns the order of the windows. Must not know who searches, or what becomes of the events.

use std::collections::VecDeque;

use crate::domain::event::row::EventRow;
use crate::domain::event::search::{EventCriteria, EventOrder};
use crate::service::error::Error;
use crate::store::{IdRange, Records, Settlement};

use super::ledger::LEDGER;
use super::settle::settle;

/// How many windows one call reads at most.
const MAX_WINDOWS: u32 = 10;

/// A search on its way through a range of ids.
pub(crate) struct EventSearch {
    sought: EventCriteria,
    order: EventOrder,
    /// What was not read yet.
    rest: IdRange,
    /// The beginning of `rest` that has few enough rows to be read at once. Empty if the next
    /// window is not known yet.
    window: IdRange,
    /// What was read and not handed out yet.
    found: VecDeque<EventRow>,
}

impl EventSearch {
    /// A search that has read nothing of the range yet.
    pub(crate) fn new(sought: EventCriteria, order: EventOrder, range: IdRange) -> Self {
        let window = IdRange {
            after: range.after,
            through: range.after,
        };
        Self {
            sought,
            order,
            rest: range,
            window,
            found: VecDeque::new(),
        }
    }

    /// The next events, at most `limit`. Fewer, perhaps none, do not mean that there are no more:
    /// one call reads a bounded number of rows. [`Self::is_done`] tells whether there may be more.
    pub(crate) async fn next(
        &mut self,
        records: &dyn Records,
        limit: usize,
    ) -> Result<Vec<EventRow>, Error> {
        let mut windows = 0;
        // One more than is handed out tells whether there are more.
        while self.found.len() <= limit && !self.rest.is_empty() {
            if self.window.is_empty() {
                if windows == MAX_WINDOWS {
                    break;
                }
                windows += 1;
                self.window = records.change_window(self.order, self.rest).await?;
            }
            self.read(records, (limit - self.found.len()).saturating_add(1))
                .await?;
        }
        let count = limit.min(self.found.len());
        Ok(self.found.drain(..count).collect())
    }

    /// Reads up to `wanted` events of the window.
    async fn read(&mut self, records: &dyn Records, wanted: usize) -> Result<(), Error> {
        let limit = i64::try_from(wanted).unwrap_or(i64::MAX);
        let rows = records
            .search_changes(&self.sought, self.order, self.window, limit)
            .await?;
        let read = match rows.last() {
            Some(last) if rows.len() >= wanted => self.window.until(self.order, last.id),
            _ => self.window,
        };
        self.window = self.window.without(self.order, read);
        self.rest = self.rest.without(self.order, read);
        self.found.extend(rows);
        Ok(())
    }

    /// Whether everything was read and handed out.
    pub(crate) fn is_done(&self) -> bool {
        self.rest.is_empty() && self.found.is_empty()
    }

    /// The id behind which nothing was handed out yet, in the order of the search: a new search may
    /// go on behind it.
    pub(crate) fn position(&self) -> i64 {
        match (self.order, self.found.front()) {
            (EventOrder::Ascending, Some(next)) => next.id.saturating_sub(1),
            (EventOrder::Ascending, None) => self.rest.after,
            (EventOrder::Descending, Some(next)) => next.id.saturating_add(1),
            (EventOrder::Descending, None) => self.rest.through.saturating_add(1),
        }
    }
}

/// An id up to which the events are settled, for those who read once and have no place: the newest
/// one, or while a transaction stays open, the place of the ledger.
pub(crate) async fn settled_id(records: &dyn Records) -> Result<i64, Error> {
    match settle(records, None).await? {
        Settlement::Settled(id) => Ok(id),
        Settlement::Unsettled(_) => Ok(records.place(LEDGER).await?.unwrap_or(0)),
    }
}
