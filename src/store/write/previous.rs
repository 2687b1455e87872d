//! What stood in the rows that a change replaces: for the event of the change, which tells
//! it in the same commit. Must not know SQL.

use uuid::Uuid;

use crate::domain::catalogue::CatalogueEntry;
use crate::domain::credential::CredentialKind;
use crate::domain::event::facts::TrustFacts;
use crate::domain::id::CredentialId;
use crate::domain::time::Timestamp;

use crate::store::credential::{federation_of_row, kind_of_row};
use crate::store::row::Broken;

use super::outcome::Outcome;

/// What stood there, as far as the event tells more than the change says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::store) enum Previous {
    /// Nothing that the event tells.
    #[default]
    Nothing,
    /// The credentials that were live before a rotation, oldest first, and when each one ends.
    Ends(Vec<(CredentialId, Timestamp)>),
    /// The kind of a credential that was ended, or whose hash was replaced, when it was to expire
    /// (`None` if it was not to), and whose tokens proved it, if a partner's did.
    Credential(CredentialKind, Option<Timestamp>, Option<TrustFacts>),
    /// A scope as it was before it was updated or deleted.
    Before(CatalogueEntry),
}

/// The columns of a credential that is ended: when it expires, its kind, its partner, and what is
/// trusted of it.
pub(in crate::store) type EndedColumns =
    (Option<i64>, Option<String>, Option<Uuid>, Option<String>);

impl Previous {
    /// A credential that is ended, from its columns.
    pub(in crate::store) fn of_ended(
        (expires_at, kind, partner_id, federation): EndedColumns,
    ) -> Result<Self, Broken> {
        // A credential whose terms cannot be read is ended all the same.
        let federation = federation_of_row(partner_id, federation).ok().flatten();
        Ok(Self::Credential(
            kind_of_row(kind.as_deref())?,
            expires_at.map(Timestamp),
            federation.as_deref().map(TrustFacts::from),
        ))
    }
}

/// The result of a write, and what it replaced.
pub(in crate::store) type Effect = (Outcome, Previous);

/// The result of a write whose event tells no more than the change says.
pub(in crate::store) fn effect(outcome: Outcome) -> Effect {
    (outcome, Previous::Nothing)
}
