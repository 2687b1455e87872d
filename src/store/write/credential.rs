//! What can be changed about an agent's secrets, and the event of each change. Must not know SQL.

use crate::domain::credential::{Credential, SecretHash};
use crate::domain::event::Event;
use crate::domain::event::facts::CredentialFacts;
use crate::domain::id::{AgentId, CredentialId};

use super::previous::Previous;

/// What can be changed about an agent's secrets. Each variant lists the outcomes that it can have
/// besides `Applied`.
#[derive(Debug, Clone)]
pub enum CredentialChange {
    /// A new credential. Each old credential ends after `overlap`, or at its own earlier end.
    /// Raises the version. `NotFound`; `Conflict` if decommissioned; `TooMany` if more than
    /// `max_live` would be live.
    Rotate {
        /// The new credential.
        credential: Box<Credential>,
        /// How many seconds the older credentials stay valid at most, by the store's clock; 0 ends
        /// them at once.
        overlap: i64,
        /// How many credentials may be live at once, if the old ones stay valid.
        max_live: i64,
    },
    /// Replaces an imported hash. The version stays the same. `NotFound` if the hash is no longer
    /// `from`.
    Rehash {
        /// The agent.
        agent_id: AgentId,
        /// The credential.
        credential_id: CredentialId,
        /// The hash that was verified.
        from: SecretHash,
        /// The argon2id hash of the same secret.
        to: SecretHash,
    },
}

impl CredentialChange {
    /// The agent.
    pub(super) fn agent_id(&self) -> &AgentId {
        match self {
            Self::Rotate { credential, .. } => &credential.agent_id,
            Self::Rehash { agent_id, .. } => agent_id,
        }
    }

    /// The audit event of the change.
    pub(super) fn event(&self, previous: Previous) -> Event {
        match self {
            Self::Rotate { credential, .. } => Event::CredentialRotated(CredentialFacts {
                expires_at: credential.expires_at,
                ends: match previous {
                    Previous::Ends(ends) => ends,
                    _ => vec![],
                },
                ..CredentialFacts::of_secret(credential.agent_id.clone(), credential.credential_id)
            }),
            Self::Rehash {
                agent_id,
                credential_id,
                ..
            } => Event::CredentialRehashed(CredentialFacts {
                expires_at: match previous {
                    Previous::Expiry(expires_at) => expires_at,
                    _ => None,
                },
                ..CredentialFacts::of_secret(agent_id.clone(), *credential_id)
            }),
        }
    }
}
