//! Counts of refused requests, as a write that changes nothing but the record of events. Must not
//! know SQL.

use crate::domain::event::Event;
use crate::domain::event::reason::RefusalCount;
use crate::domain::org::OrgId;
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
    /// The organisation of their agents, unless it is the first one.
    pub org_id: Option<OrgId>,
}

impl RefusedRequests {
    /// The audit event.
    pub(super) fn event(&self) -> Event {
        Event::AuthRefused {
            from: self.from,
            to: self.to,
            counts: self.counts.clone(),
            org_id: self.org_id.as_ref().map(OrgId::to_string),
        }
    }
}
