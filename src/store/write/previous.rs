//! What stood in the rows that a change replaces: for the event of the change, which tells
//! it in the same commit. Must not know SQL.

use crate::domain::catalogue::CatalogueEntry;
use crate::domain::credential::CredentialKind;
use crate::domain::id::CredentialId;
use crate::domain::time::Timestamp;

use super::outcome::Outcome;

/// What stood there, as far as the event tells more than the change says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::store) enum Previous {
    /// Nothing that the event tells.
    #[default]
    Nothing,
    /// The credentials that were live before a rotation, oldest first, and when each one ends.
    Ends(Vec<(CredentialId, Timestamp)>),
    /// The kind of a credential that was ended, or whose hash was replaced, and when it was to
    /// expire; `None` if it was not to expire.
    Credential(CredentialKind, Option<Timestamp>),
    /// A scope as it was before it was updated or deleted.
    Before(CatalogueEntry),
}

/// The result of a write, and what it replaced.
pub(in crate::store) type Effect = (Outcome, Previous);

/// The result of a write whose event tells no more than the change says.
pub(in crate::store) fn effect(outcome: Outcome) -> Effect {
    (outcome, Previous::Nothing)
}
