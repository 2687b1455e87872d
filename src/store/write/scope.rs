//! What can be changed about the scope catalogue, and the event of each change. Must not know SQL.

use crate::domain::catalogue::CatalogueEntry;
use crate::domain::event::Event;
use crate::domain::scope::Scope;

/// What can be changed about the scope catalogue. Each variant says which outcomes it can have besides `Applied`.
#[derive(Debug, Clone)]
pub enum ScopeChange {
    /// A new scope at the end of the catalogue; raises the catalogue's version. `Conflict` when it exists.
    Add(CatalogueEntry),
    /// Another description or mark for a scope, `None` leaves it; raises the catalogue's version.
    /// `NotFound`, `Unchanged`.
    Update {
        /// Which.
        scope: Scope,
        /// What it is for.
        description: Option<String>,
        /// The operator's mark.
        high_risk: Option<bool>,
    },
}

impl ScopeChange {
    /// What is recorded of it.
    pub(super) fn event(&self) -> Event {
        match self {
            Self::Add(entry) => Event::ScopeAdded(entry.scope.clone()),
            Self::Update { scope, .. } => Event::ScopeUpdated(scope.clone()),
        }
    }
}
