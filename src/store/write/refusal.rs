//! Counts of refused requests, as a write that changes nothing but the record of events. Must not
//! know SQL.

use crate::domain::event::Event;
use crate::domain::event::reason::RefusalCount;
use crate::domain::time::Timestamp;

/// What one `auth.refused` event tells.
#[derive(Debug, Clone)]
pub struct RefusedRequests {
    /// The first second of the counts.
    pub from: Timestamp,
    /// The second after the last one.
    pub to: Timestamp,
    /// The counts: as many as one event has room for.
    pub counts: Vec<RefusalCount>,
}

impl RefusedRequests {
    /// The audit event.
    pub(super) fn event(&self) -> Event {
        Event::AuthRefused {
            from: self.from,
            to: self.to,
            counts: self.counts.clone(),
        }
    }
}
