//! How the events are read in an order that can be trusted, as values: what is settled, and the
//! place and lease of each reader.
//!
//! Ids are drawn in one order and committed in another: event 41 may appear after event 42 was
//! read. So no reader goes past the settled id. Must not know SQL, or what a reader makes of the
//! events.

use std::time::Duration;

use crate::domain::id::HolderId;
use crate::domain::time::Moment;

use super::write::{Outcome, Write};

/// The answer to the question up to which id the events are settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// No event with this id or a smaller one can still appear. Rows that are read after this
    /// answer are complete up to this id.
    Settled(i64),
    /// Transactions that may hold smaller ids are still open. Ask again with this value.
    Unsettled(Unsettled),
}

/// The newest event at the time of a question, and the transactions that may still commit an event
/// with a smaller id. Once all of them have ended, everything up to that event is settled. Later
/// transactions do not matter, since they draw greater ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    /// The id of the newest event.
    pub(in crate::store) newest: i64,
    /// The transactions that are still open, each by the name that the database gives to it.
    pub(in crate::store) writers: Vec<String>,
    /// Names the run of the database server in which these names are valid.
    pub(in crate::store) run: i64,
}

/// The right of one holder to work for one reader, from the place that the store knew at that time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The reader.
    pub reader: &'static str,
    /// Who works for the reader.
    pub holder: HolderId,
    /// The id up to which the reader has read; 0 at first.
    pub place: i64,
    /// Names the run of the database server that granted the lease; 0 on SQLite. Another run, for
    /// example after a failover, may lack events that were read.
    pub(in crate::store) run: i64,
}

/// One commit of a reader: what it writes, together with how far it has read.
#[derive(Debug, Clone)]
pub struct Pass {
    /// The lease under which the events were read, from its place on.
    pub lease: Lease,
    /// The new place: the id of the last event that was read.
    pub to: i64,
    /// What the reader writes.
    pub writes: Vec<Write>,
    /// How long the lease goes on after this commit.
    pub ttl: Duration,
    /// The store's time, as the process knows it. A store with a clock of its own uses that clock
    /// instead.
    pub at: Moment,
}

/// The result of a [`Pass`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassOutcome {
    /// The place was moved. There is one outcome for each write, in order.
    Committed(Vec<Outcome>),
    /// Another holder took the lease, the place was moved, or another run of the database server
    /// answers. Nothing was written.
    LeaseLost,
}

/// The length of a lease in milliseconds, at most 49 days, so that no sum with a time overflows.
pub(in crate::store) fn millis(ttl: Duration) -> i64 {
    i64::from(u32::try_from(ttl.as_millis()).unwrap_or(u32::MAX))
}
