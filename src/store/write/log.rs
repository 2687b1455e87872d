//! What can be changed about the tamper-evident log, and the event of a prune. Growth has no event:
//! the log is made of events. Must not know SQL.

use crate::domain::event::Event;
use crate::store::log::LogAppend;

/// What can be changed about the log. Each variant lists the outcomes that it can have besides
/// `Applied`.
#[derive(Debug, Clone)]
pub enum LogChange {
    /// An empty log for a generation of the store. `Conflict` if this generation has a log.
    Begin {
        /// The generation.
        generation: i64,
        /// The name of the log, which never changes.
        origin: String,
    },
    /// The entries, the tiles and the checkpoint of one pass. If the log has another size than the
    /// pass began with, the whole commit fails with a fault: the place of the reader must not move
    /// without the entries.
    Append(Box<LogAppend>),
    /// Tells that issued tokens up to this id may be removed from now on. Nothing but its event is
    /// written.
    Prune {
        /// The id.
        to_id: i64,
    },
}

impl LogChange {
    /// The audit event of the change.
    pub(super) fn event(&self) -> Option<Event> {
        match self {
            Self::Begin { .. } | Self::Append(_) => None,
            Self::Prune { to_id } => Some(Event::AuditPruned { to_id: *to_id }),
        }
    }
}
