//! How many credentials of a kind an agent may have at once, and what is said if there would be more. Must not
//! know how a credential is made.

use crate::clock::Clock as _;
use crate::domain::credential::{Credential, CredentialKind};
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::store::AgentRecord;

use super::agents::Agents;

/// When there would be too many credentials, and what else is possible.
pub(super) const IN_ALL: (&str, &str) = ("with one more", "");
/// The same for a rotation.
pub(super) const WITH_OVERLAP: (&str, &str) =
    ("with an overlap", "; without an overlap all end at once");

impl Agents {
    /// Whether an agent has as many live credentials of a kind as it may have.
    pub(super) fn is_full(&self, record: &AgentRecord, kind: CredentialKind) -> bool {
        let now = self.parts.clock.now();
        let live = record.credentials.iter();
        let live = live.filter(|c| c.kind() == kind && c.is_live(now)).count();
        i64::try_from(live).is_ok_and(|live| live >= self.parts.credentials_per_agent)
    }

    /// The rejection that names the credentials that would have to end before there may be one more.
    pub(super) fn too_many(
        &self,
        record: &AgentRecord,
        kind: CredentialKind,
        (when, remedy): (&str, &str),
    ) -> Rejection {
        let (now, limit) = (self.parts.clock.now(), self.parts.credentials_per_agent);
        // Sorted by their end, and from the oldest on if the end is the same. One without an end
        // is last.
        let mut live: Vec<&Credential> = record
            .credentials
            .iter()
            .rev()
            .filter(|c| c.kind() == kind && c.is_live(now))
            .collect();
        live.sort_by_key(|credential| credential.expires_at.map_or(i64::MAX, |end| end.0));
        let allowed = usize::try_from(limit.saturating_sub(1)).unwrap_or_default();
        live.truncate(live.len().saturating_sub(allowed).max(1));
        let shown = |credential: &&Credential| {
            let ends = credential.expires_at.map_or_else(
                || "has no end".to_owned(),
                |end| format!("ends {}", end.to_rfc3339()),
            );
            format!(
                "{} (created {}, {ends})",
                credential.credential_id,
                credential.created_at.to_rfc3339()
            )
        };
        let first_to_end = live.iter().map(shown).collect::<Vec<_>>().join(", ");
        let what = match kind {
            CredentialKind::Secret => "secrets",
            CredentialKind::PublicKey => "public keys",
            CredentialKind::Federated => "federated credentials",
        };
        let message = format!(
            "an agent has {limit} live {what} at most (limits.credentials_per_agent), and {when} there would be \
             more: {first_to_end} would have to end first{remedy}"
        );
        let ids = live.iter().map(|credential| credential.credential_id);
        let ids: serde_json::Value = ids.map(|id| id.to_string()).collect();
        Rejection::with(RejectionCode::TooManyCredentials, message).and(vec![("credentials", ids)])
    }
}
