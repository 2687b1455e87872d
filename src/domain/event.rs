//! Audit events: what changed, and which agent it concerns. Must not know where events are kept.

use super::id::{AgentId, CredentialId, Jti, Kid};
use super::scope::Scope;
use super::time::Timestamp;

/// What happened, with what is recorded about it. A counted token has its own event,
/// `token.issued`, which the counting statement writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// One token was revoked.
    TokenRevoked {
        /// The token.
        jti: Jti,
        /// The agent that it was issued to, if known.
        agent_id: Option<AgentId>,
        /// When it expires.
        expires_at: Timestamp,
    },
    /// An agent was made.
    AgentCreated(AgentId),
    /// An agent's profile was changed.
    AgentUpdated {
        /// The agent.
        agent_id: AgentId,
        /// Whether the change also killed the agent's live tokens.
        tokens_revoked: bool,
    },
    /// An agent was suspended.
    AgentSuspended(AgentId),
    /// An agent was reactivated.
    AgentReactivated(AgentId),
    /// An agent was decommissioned.
    AgentDecommissioned(AgentId),
    /// All live tokens of an agent were killed.
    AgentTokensRevoked(AgentId),
    /// An agent got a new secret.
    CredentialRotated {
        /// The agent.
        agent_id: AgentId,
        /// The new credential.
        credential_id: CredentialId,
    },
    /// An imported hash was replaced by argon2id.
    CredentialRehashed {
        /// The agent.
        agent_id: AgentId,
        /// The credential.
        credential_id: CredentialId,
    },
    /// A scope was added to the catalogue.
    ScopeAdded(Scope),
    /// A scope's description or mark was changed.
    ScopeUpdated(Scope),
    /// A signing key was announced.
    KeyAnnounced(Kid),
    /// Signing moved from one key to the next.
    KeyActivated(Kid),
    /// A retired key left the JWKS.
    KeyRemoved(Kid),
    /// A key of the store itself was made.
    StoreKeyCreated {
        /// What the key is for: `tag`, `code`.
        purpose: String,
    },
}

impl Event {
    /// The name under which it is stored and shown.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TokenRevoked { .. } => "token.revoked",
            Self::AgentCreated(_) => "agent.created",
            Self::AgentUpdated { .. } => "agent.updated",
            Self::AgentSuspended(_) => "agent.suspended",
            Self::AgentReactivated(_) => "agent.reactivated",
            Self::AgentDecommissioned(_) => "agent.decommissioned",
            Self::AgentTokensRevoked(_) => "agent.tokens_revoked",
            Self::CredentialRotated { .. } => "credential.rotated",
            Self::CredentialRehashed { .. } => "credential.rehashed",
            Self::ScopeAdded(_) => "scope.added",
            Self::ScopeUpdated(_) => "scope.updated",
            Self::KeyAnnounced(_) => "key.announced",
            Self::KeyActivated(_) => "key.activated",
            Self::KeyRemoved(_) => "key.removed",
            Self::StoreKeyCreated { .. } => "store_key.created",
        }
    }

    /// The agent that it concerns.
    pub fn agent_id(&self) -> Option<&AgentId> {
        match self {
            Self::TokenRevoked { agent_id, .. } => agent_id.as_ref(),
            Self::AgentCreated(agent_id)
            | Self::AgentUpdated { agent_id, .. }
            | Self::AgentSuspended(agent_id)
            | Self::AgentReactivated(agent_id)
            | Self::AgentDecommissioned(agent_id)
            | Self::AgentTokensRevoked(agent_id)
            | Self::CredentialRotated { agent_id, .. }
            | Self::CredentialRehashed { agent_id, .. } => Some(agent_id),
            Self::ScopeAdded(_)
            | Self::ScopeUpdated(_)
            | Self::KeyAnnounced(_)
            | Self::KeyActivated(_)
            | Self::KeyRemoved(_)
            | Self::StoreKeyCreated { .. } => None,
        }
    }

    /// The token that it concerns, and when that token expires.
    pub fn token(&self) -> Option<(Jti, Timestamp)> {
        match self {
            Self::TokenRevoked {
                jti, expires_at, ..
            } => Some((*jti, *expires_at)),
            _ => None,
        }
    }

    /// A short detail: a scope's name, a key's id. Never a secret.
    pub fn detail(&self) -> String {
        match self {
            Self::AgentUpdated {
                tokens_revoked: true,
                ..
            } => "tokens revoked".to_owned(),
            Self::CredentialRotated { credential_id, .. }
            | Self::CredentialRehashed { credential_id, .. } => credential_id.to_string(),
            Self::ScopeAdded(scope) | Self::ScopeUpdated(scope) => scope.to_string(),
            Self::KeyAnnounced(kid) | Self::KeyActivated(kid) | Self::KeyRemoved(kid) => {
                kid.0.clone()
            }
            Self::StoreKeyCreated { purpose } => purpose.clone(),
            _ => String::new(),
        }
    }
}
