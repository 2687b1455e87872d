//! What can be changed about the scope catalogue, and the event of each change. Must not know SQL.

use crate::domain::catalogue::CatalogueEntry;
use crate::domain::event::Event;
use crate::domain::event::changes::Changes;
use crate::domain::scope::Scope;

/// What can be changed about the scope catalogue. Each variant lists the outcomes that it can have
/// besides `Applied`.
#[derive(Debug, Clone)]
pub enum ScopeChange {
    /// A new scope at the end of the catalogue; raises the catalogue's version. `Conflict` if it
    /// exists.
    Add(CatalogueEntry),
    /// A new description or mark for a scope; `None` keeps the old value. Raises the catalogue's
    /// version. `NotFound`, `Unchanged`.
    Update {
        /// The scope.
        scope: Scope,
        /// What the scope is for.
        description: Option<String>,
        /// The operator's mark.
        high_risk: Option<bool>,
    },
}

impl ScopeChange {
    /// The audit event of the change.
    pub(super) fn event(&self) -> Event {
        match self {
            Self::Add(entry) => Event::ScopeAdded {
                scope: entry.scope.clone(),
                high_risk: Some(entry.high_risk),
            },
            Self::Update {
                scope, high_risk, ..
            } => Event::ScopeChanged {
                scope: scope.clone(),
                high_risk: *high_risk,
                changed: Changes::default(),
            },
        }
    }
}
