//! An operator's reading of events: in pages, or all of a range at once.
//!
//! Must not know how a page is numbered for a client, or who receives an export.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::event::kind::EventKind;
use crate::domain::event::logged::LoggedEvent;
use crate::domain::event::row::EventRow;
use crate::domain::event::search::{EventFilter, EventOrder};
use crate::service::error::{Cause, Error};
use crate::service::journal::search::{EventSearch, settled_id};
use crate::store::{IdRange, LogEntryKind, Records};

/// Which page of the events an operator asks for.
#[derive(Debug, Clone)]
pub struct AuditQuery {
    /// The events of the page meet this filter.
    pub filter: EventFilter,
    /// The order of the page.
    pub order: EventOrder,
    /// The page begins behind this id, in its order.
    pub after: Option<i64>,
    /// The most events that the page may hold.
    pub limit: usize,
}

/// An event of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedEvent {
    /// The event.
    pub event: LoggedEvent,
    /// The index of its entry in the log; of an issued token, that of its block. `None` while the
    /// log does not have it.
    pub entry: Option<u64>,
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The events, perhaps fewer than there are.
    pub events: Vec<ListedEvent>,
    /// The next page begins behind this id; `None` if there is none.
    pub next: Option<i64>,
}

/// Reads events for operators.
pub struct Audit {
    records: Arc<dyn Records>,
}

impl Audit {
    /// Reads the events of this store.
    pub fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    /// One page. In descending order, the newest events may be such that an event with a smaller
    /// id is still to be committed. In ascending order a page ends before them.
    pub async fn page(&self, query: &AuditQuery) -> Result<AuditPage, Error> {
        let mut search = self.search(query).await?;
        let rows = search.next(&*self.records, query.limit).await?;
        let events = self.listed(&rows).await?;
        let next = (!search.is_done()).then(|| search.position());
        Ok(AuditPage { events, next })
    }

    async fn listed(&self, rows: &[EventRow]) -> Result<Vec<ListedEvent>, Error> {
        let events: Vec<LoggedEvent> = rows.iter().map(logged).collect::<Result<_, _>>()?;
        let kind = |event: &LoggedEvent| match event.kind {
            EventKind::TokenIssued => LogEntryKind::Tokens,
            _ => LogEntryKind::Event,
        };
        let sought: Vec<_> = events
            .iter()
            .map(|event| (event.id.get(), kind(event)))
            .collect();
        let found = self.records.log_indexes(&sought).await?;
        let entries: HashMap<i64, u64> = found.into_iter().collect();
        let listed = events.into_iter().map(|event| ListedEvent {
            entry: entries.get(&event.id.get()).copied(),
            event,
        });
        Ok(listed.collect())
    }

    async fn search(&self, query: &AuditQuery) -> Result<EventSearch, Error> {
        let everything = IdRange {
            after: 0,
            through: i64::MAX,
        };
        let range = match query.after {
            Some(after) => everything.behind(query.order, after),
            None => everything,
        };
        let range = match query.order {
            EventOrder::Descending => range,
            EventOrder::Ascending => IdRange {
                through: settled_id(&*self.records).await?,
                ..range
            },
        };
        let sought = query.filter.criteria();
        let range = match sought {
            Some(_) => range,
            // No event meets the filter, so nothing need be read.
            None => IdRange {
                through: range.after,
                ..range
            },
        };
        let sought = sought.unwrap_or_default();
        Ok(EventSearch::new(sought, query.order, range))
    }
}

/// The event of a row. A row that this release cannot read is a fault: a list without it would say
/// that the event did not happen.
fn logged(row: &EventRow) -> Result<LoggedEvent, Error> {
    row.logged().map_err(|rule| {
        let why = format!("the event {} cannot be read: {rule}", row.id);
        Error::Fault(Arc::new(Cause(why)))
    })
}
