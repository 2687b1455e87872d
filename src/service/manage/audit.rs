//! An operator's reading of events: in pages, or all of a range at once.
//!
//! Must not know how a page is numbered for a client, or who receives an export.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::act::Act;
use crate::domain::event::kind::EventKind;
use crate::domain::event::logged::LoggedEvent;
use crate::domain::event::row::EventRow;
use crate::domain::event::search::{EventCriteria, EventFilter, EventOrder};
use crate::domain::org::OrgId;
use crate::domain::time::Moment;
use crate::service::error::{Cause, Error};
use crate::service::journal::search::{EventSearch, logged, settled_id};
use crate::store::{Change, IdRange, LogEntryKind, Records, Store, Write};

use super::audit_export::Export;

/// How many exports of one process run at once.
const MAX_EXPORTS: usize = 4;

/// Which page of the events an operator asks for.
#[derive(Debug, Clone)]
pub struct AuditQuery {
    /// The events of the page meet this filter.
    pub filter: EventFilter,
    /// The order of the page.
    pub order: EventOrder,
    /// The organisation that the reader is limited to. `None` if it sees the events of all.
    pub org_id: Option<OrgId>,
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
    store: Arc<dyn Store>,
    records: Arc<dyn Records>,
    clock: Arc<StoreClock>,
    exports: Arc<Semaphore>,
}

impl Audit {
    /// Reads the events of this store.
    pub fn new(store: Arc<dyn Store>, records: Arc<dyn Records>, clock: Arc<StoreClock>) -> Self {
        Self {
            store,
            records,
            clock,
            exports: Arc::new(Semaphore::new(MAX_EXPORTS)),
        }
    }

    /// One page. In descending order, the newest events may be such that an event with a smaller
    /// id is still to be committed. In ascending order a page ends before them.
    pub async fn page(&self, query: &AuditQuery) -> Result<AuditPage, Error> {
        let through = match query.order {
            EventOrder::Descending => i64::MAX,
            EventOrder::Ascending => settled_id(&*self.records).await?,
        };
        let mut search = search(query, through);
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

    /// Begins an export of all events that meet this filter, up to the settled id, and records that
    /// it begins. `org_id` is the organisation that the reader is limited to; `by` tells who exports,
    /// at the time of the record.
    pub async fn export(
        &self,
        filter: EventFilter,
        order: EventOrder,
        org_id: Option<OrgId>,
        by: impl FnOnce(Moment) -> Act,
    ) -> Result<Export, Error> {
        let place = Arc::clone(&self.exports).try_acquire_owned();
        let place = place.map_err(|_| {
            let why = format!("{MAX_EXPORTS} exports of events are running");
            Error::Unavailable(Arc::new(Cause(why)))
        })?;
        let through = settled_id(&*self.records).await?;
        let write = Write::new(by(self.clock.moment()), Change::Exported(filter.members()));
        self.store.commit(vec![write]).await?;
        let query = AuditQuery {
            filter,
            order,
            org_id,
            after: None,
            limit: 0,
        };
        Ok(Export::new(search(&query, through), through, place))
    }

    /// The next piece of an export; `None` after the last one.
    pub async fn next_piece(&self, export: &mut Export) -> Result<Option<Vec<u8>>, Error> {
        export.next(&*self.records).await
    }
}

/// The search for the events of a query up to this id.
fn search(query: &AuditQuery, through: i64) -> EventSearch {
    let everything = IdRange { after: 0, through };
    let range = match query.after {
        Some(after) => everything.behind(query.order, after),
        None => everything,
    };
    let (sought, range) = match query.filter.criteria() {
        Some(sought) => {
            let org_id = query.org_id.clone();
            (EventCriteria { org_id, ..sought }, range)
        }
        // No event meets the filter, so nothing need be read.
        None => (EventCriteria::default(), range.nothing()),
    };
    EventSearch::new(sought, query.order, range)
}
