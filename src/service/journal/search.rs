//! Reads the events that meet some criteria, in the order of their ids, without a bound on how many
//! there are and with a bound on how much is read at once.
//!
//! Owns the order of the windows, and the steps over tokens of another time. Must not know who
//! searches, or what becomes of the events.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::domain::event::logged::LoggedEvent;
use crate::domain::event::row::EventRow;
use crate::domain::event::search::{EventCriteria, EventOrder};
use crate::service::error::{Cause, Error};
use crate::store::{EventTable, IdRange, Records, Settlement};

use super::ledger::LEDGER;
use super::settle::settle;
use super::span::TimeSpan;

/// How many windows one call reads at most.
const MAX_WINDOWS: u32 = 10;

/// How many steps over tokens of another time one call makes at most.
const MAX_STEPS: u32 = 200;

/// The least length of such a step, in ids.
const MIN_STRIDE: i64 = 10_000;

/// A search on its way through a range of ids.
pub(crate) struct EventSearch {
    sought: EventCriteria,
    order: EventOrder,
    sources: [SearchedTable; 2],
}

/// One table of a search.
struct SearchedTable {
    table: EventTable,
    /// What was not read yet.
    rest: IdRange,
    /// The beginning of `rest` that has few enough rows to be read at once. Empty if the next
    /// window is not known yet.
    window: IdRange,
    /// What was read and not handed out yet.
    found: VecDeque<EventRow>,
    /// Only events of this time can be found. `None` if the table is read whole.
    span: Option<TimeSpan>,
    /// The length of the next step over events of another time, in ids.
    stride: i64,
}

/// How much one call may still read.
struct Budget {
    windows: u32,
    steps: u32,
}

impl EventSearch {
    /// A search that has read nothing of the range yet.
    pub(crate) fn new(sought: EventCriteria, order: EventOrder, range: IdRange) -> Self {
        let changes = SearchedTable::new(EventTable::Changes, range, None);
        let span = TimeSpan::of_tokens(&sought);
        let tokens = match span {
            Some(_) => range,
            None => range.nothing(),
        };
        let tokens = SearchedTable::new(
            EventTable::Tokens,
            tokens,
            span.filter(TimeSpan::is_bounded),
        );
        Self {
            sought,
            order,
            sources: [changes, tokens],
        }
    }

    /// The next events, at most `limit`. Fewer, perhaps none, do not mean that there are no more:
    /// one call reads a bounded number of rows. [`Self::is_done`] tells whether there may be more.
    pub(crate) async fn next(
        &mut self,
        records: &dyn Records,
        limit: usize,
    ) -> Result<Vec<EventRow>, Error> {
        let mut budget = Budget {
            windows: MAX_WINDOWS,
            steps: MAX_STEPS,
        };
        let mut events = Vec::new();
        loop {
            // One more than is handed out tells whether there are more.
            let wanted = limit.saturating_sub(events.len()).saturating_add(1);
            let order = self.order;
            if let Some(source) = Self::hungriest(&mut self.sources, order) {
                let read = source.read(records, &self.sought, order, wanted, &mut budget);
                if read.await? {
                    continue;
                }
                break;
            }
            if events.len() >= limit {
                break;
            }
            let Some(event) = self.pop() else { break };
            events.push(event);
        }
        Ok(events)
    }

    /// Of the tables that must be read, the one that was read least far: whatever the budget is,
    /// each call comes further.
    fn hungriest(sources: &mut [SearchedTable], order: EventOrder) -> Option<&mut SearchedTable> {
        let hungry = sources.iter_mut().filter(|source| source.is_hungry());
        match order {
            EventOrder::Ascending => hungry.min_by_key(|source| source.rest.first(order)),
            EventOrder::Descending => hungry.max_by_key(|source| source.rest.first(order)),
        }
    }

    /// The first event of all tables.
    fn pop(&mut self) -> Option<EventRow> {
        let order = self.order;
        let heads = self.sources.iter_mut();
        let heads = heads.filter_map(|source| Some((source.found.front()?.id, source)));
        let first = match order {
            EventOrder::Ascending => heads.min_by_key(|(id, _)| *id),
            EventOrder::Descending => heads.max_by_key(|(id, _)| *id),
        };
        first.and_then(|(_, source)| source.found.pop_front())
    }

    /// Whether everything was read and handed out.
    pub(crate) fn is_done(&self) -> bool {
        self.sources.iter().all(SearchedTable::is_done)
    }

    /// The id behind which nothing was handed out yet, in the order of the search: a new search may
    /// go on behind it.
    pub(crate) fn position(&self) -> i64 {
        let open = self.sources.iter().filter(|source| !source.is_done());
        let firsts = open.map(|source| match source.found.front() {
            Some(event) => event.id,
            None => source.rest.first(self.order),
        });
        match self.order {
            EventOrder::Ascending => firsts.min().map_or(i64::MAX, |id| id.saturating_sub(1)),
            EventOrder::Descending => firsts.max().map_or(0, |id| id.saturating_add(1)),
        }
    }
}

impl SearchedTable {
    fn new(table: EventTable, range: IdRange, span: Option<TimeSpan>) -> Self {
        Self {
            table,
            rest: range,
            window: range.nothing(),
            found: VecDeque::new(),
            span,
            stride: MIN_STRIDE,
        }
    }

    fn is_done(&self) -> bool {
        self.rest.is_empty() && self.found.is_empty()
    }

    /// Whether it must be read before it is known which event is the next one.
    fn is_hungry(&self) -> bool {
        self.found.is_empty() && !self.rest.is_empty()
    }

    /// Reads up to `wanted` events, or steps over some. False if the budget does not allow it.
    async fn read(
        &mut self,
        records: &dyn Records,
        sought: &EventCriteria,
        order: EventOrder,
        wanted: usize,
        budget: &mut Budget,
    ) -> Result<bool, Error> {
        if self.window.is_empty() {
            if let Some(span) = self.span {
                if budget.steps == 0 {
                    return Ok(false);
                }
                budget.steps -= 1;
                if self.step(records, order, span).await? {
                    return Ok(true);
                }
            }
            if budget.windows == 0 {
                return Ok(false);
            }
            budget.windows -= 1;
            self.window = records.search_window(self.table, order, self.rest).await?;
        }
        let limit = i64::try_from(wanted).unwrap_or(i64::MAX);
        let rows = records
            .search_events(self.table, sought, order, self.window, limit)
            .await?;
        let read = match rows.last() {
            Some(last) if rows.len() >= wanted => self.window.until(order, last.id),
            _ => self.window,
        };
        self.window = self.window.without(order, read);
        self.rest = self.rest.without(order, read);
        self.found.extend(rows);
        Ok(true)
    }

    /// Steps over tokens of another time, or makes the next step shorter. False if the rest must be
    /// read. Ids rise with time, nearly: if two tokens are both older than the span, or both
    /// younger, then so are those between them. Steps double while they lead nowhere, so that they
    /// are few however many tokens there are.
    async fn step(
        &mut self,
        records: &dyn Records,
        order: EventOrder,
        span: TimeSpan,
    ) -> Result<bool, Error> {
        let Some((near, near_at)) = records.first_token(order, self.rest).await? else {
            self.rest = self.rest.nothing();
            return Ok(true);
        };
        self.rest = self.rest.starting_at(order, near);
        let ahead = match order {
            EventOrder::Ascending => near.saturating_add(self.stride),
            EventOrder::Descending => near.saturating_sub(self.stride),
        };
        let behind = self.rest.starting_at(order, ahead);
        let far = if behind.is_empty() {
            None
        } else {
            records.first_token(order, behind).await?
        };
        if span.is_apart(order, near_at, far.map(|(_, at)| at)) {
            self.rest = behind;
            self.stride = self.stride.saturating_mul(2);
            return Ok(true);
        }
        let shorter = self.stride > MIN_STRIDE;
        self.stride = (self.stride / 2).max(MIN_STRIDE);
        Ok(shorter)
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

/// The event of a row. A row that this release cannot read is a fault: a list without it would say
/// that the event did not happen.
pub(crate) fn logged(row: &EventRow) -> Result<LoggedEvent, Error> {
    row.logged().map_err(|rule| {
        let why = format!("the event {} cannot be read: {rule}", row.id);
        Error::Fault(Arc::new(Cause(why)))
    })
}
