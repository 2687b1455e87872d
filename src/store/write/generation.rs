//! What can be changed about the generation of a store, and the event of a new one. Must not know
//! SQL.

use crate::domain::event::Event;

/// What can be changed about the generation of a store. Each variant lists the outcomes that it can
/// have besides `Applied`.
#[derive(Debug, Clone)]
pub enum GenerationChange {
    /// Marks the store as restored. `Unchanged` if it is marked already, or if its generation is
    /// another one.
    Mark {
        /// The generation that was wound back.
        generation: i64,
    },
    /// Begins a generation, and with it an empty log, and removes the mark. `Conflict` if the
    /// generation is no longer `from`.
    Begin {
        /// The generation that ends.
        from: i64,
        /// The generation that begins.
        to: i64,
        /// The name of its log.
        origin: String,
    },
    /// Notes where the tables are, if the store does not know it yet. `Unchanged` if it does, or if
    /// the store cannot tell.
    Settle,
}

impl GenerationChange {
    /// Whether this change raises the version of the revocation list.
    pub(super) fn kills(&self) -> bool {
        matches!(self, Self::Begin { .. })
    }

    /// The audit event of the change.
    pub(super) fn event(&self) -> Option<Event> {
        match self {
            Self::Begin { to, .. } => Some(Event::StoreRestored { generation: *to }),
            Self::Mark { .. } | Self::Settle => None,
        }
    }
}
