//! What can be changed about an agent's secrets, and the event of each change. Must not know SQL.

use crate::domain::credential::{Credential, SecretHash};
use crate::domain::event::Event;
use crate::domain::id::{AgentId, CredentialId};

/// What can be changed about an agent's secrets. Each variant says which outcomes it can have besides `Applied`.
#[derive(Debug, Clone)]
pub enum CredentialChange {
    /// A new credential; each old one ends after `overlap` or at its own earlier end. Raises the version.
    /// `NotFound`; `Conflict` when decommissioned; `TooMany` when more than `max_live` would be live.
    Rotate {
        /// The new one.
        credential: Box<Credential>,
        /// How many seconds the credentials before it live on at most, by the store's clock; 0 ends them at
        /// once.
        overlap: i64,
        /// How many may be live at once where the old ones live on.
        max_live: i64,
    },
    /// Replaces an imported hash. The version stays. `NotFound` when the hash is no longer `from`.
    Rehash {
        /// Whose.
        agent_id: AgentId,
        /// Which credential.
        credential_id: CredentialId,
        /// The hash that was verified.
        from: SecretHash,
        /// The same secret's argon2id hash.
        to: SecretHash,
    },
}

impl CredentialChange {
    /// What is recorded of it.
    pub(super) fn event(&self) -> Event {
        match self {
            Self::Rotate { credential, .. } => Event::CredentialRotated {
                agent_id: credential.agent_id.clone(),
                credential_id: credential.credential_id,
            },
            Self::Rehash {
                agent_id,
                credential_id,
                ..
            } => Event::CredentialRehashed {
                agent_id: agent_id.clone(),
                credential_id: *credential_id,
            },
        }
    }
}
