//! What can be changed about the scope catalogue, and the event of each change. Must not know SQL.

use crate::domain::catalogue::CatalogueEntry;
use crate::domain::event::Event;
use crate::domain::event::changes::Changes;
use crate::domain::scope::Scope;

use super::previous::Previous;

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
    /// Deletes a scope; raises the catalogue's version. `NotFound`; `Conflict` if an agent holds it.
    Delete(Scope),
}

impl ScopeChange {
    /// The audit event of the change.
    pub(super) fn event(&self, previous: Previous) -> Event {
        match self {
            Self::Add(entry) => Event::ScopeAdded {
                scope: entry.scope.clone(),
                high_risk: Some(entry.high_risk),
            },
            Self::Update {
                scope,
                description,
                high_risk,
            } => {
                let (marked, changed) = match previous {
                    Previous::Before(before) => after(&before, description.as_deref(), *high_risk),
                    _ => (*high_risk, Changes::default()),
                };
                Event::ScopeChanged {
                    scope: scope.clone(),
                    high_risk: marked,
                    changed,
                }
            }
            Self::Delete(scope) => Event::ScopeDeleted {
                scope: scope.clone(),
                high_risk: match previous {
                    Previous::Before(before) => Some(before.high_risk),
                    _ => None,
                },
            },
        }
    }
}

/// The mark after an update, and what the update changed.
fn after(
    before: &CatalogueEntry,
    description: Option<&str>,
    high_risk: Option<bool>,
) -> (Option<bool>, Changes) {
    let description = description.unwrap_or(&before.description);
    let high_risk = high_risk.unwrap_or(before.high_risk);
    let changed = Changes::default()
        .with("description", before.description.as_str(), description)
        .with("highRisk", before.high_risk, high_risk);
    (Some(high_risk), changed)
}
