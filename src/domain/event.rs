//! Audit events: what changed, who did it, to whom. Must not know where they are kept.

use std::fmt;

use super::id::{AgentId, Jti};
use super::time::Timestamp;

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A token was counted and recorded; the only kind that time prunes.
    TokenIssued,
    /// One token was revoked.
    TokenRevoked,
    /// An agent was made.
    AgentCreated,
    /// An agent's profile was changed.
    AgentUpdated,
    /// An agent was suspended.
    AgentSuspended,
    /// An agent was reactivated.
    AgentReactivated,
    /// An agent was decommissioned.
    AgentDecommissioned,
    /// All live tokens of an agent were killed.
    AgentTokensRevoked,
    /// An agent got a new secret.
    CredentialRotated,
    /// An imported hash was replaced by argon2id.
    CredentialRehashed,
    /// A scope was added to the catalogue.
    ScopeAdded,
    /// A scope's description or mark was changed.
    ScopeUpdated,
    /// A signing key was announced.
    KeyAnnounced,
    /// Signing moved from one key to the next.
    KeyActivated,
    /// A retired key left the JWKS.
    KeyRemoved,
    /// A key of the store itself (tags, codes) was made.
    StoreKeyCreated,
}

impl EventKind {
    /// The name under which it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TokenIssued => "token.issued",
            Self::TokenRevoked => "token.revoked",
            Self::AgentCreated => "agent.created",
            Self::AgentUpdated => "agent.updated",
            Self::AgentSuspended => "agent.suspended",
            Self::AgentReactivated => "agent.reactivated",
            Self::AgentDecommissioned => "agent.decommissioned",
            Self::AgentTokensRevoked => "agent.tokens_revoked",
            Self::CredentialRotated => "credential.rotated",
            Self::CredentialRehashed => "credential.rehashed",
            Self::ScopeAdded => "scope.added",
            Self::ScopeUpdated => "scope.updated",
            Self::KeyAnnounced => "key.announced",
            Self::KeyActivated => "key.activated",
            Self::KeyRemoved => "key.removed",
            Self::StoreKeyCreated => "store_key.created",
        }
    }
}

/// Who caused an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// An operator at the command line.
    Operator,
    /// An agent, with its own credentials or token.
    Agent(AgentId),
    /// The server itself.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::Agent(id) => write!(f, "agent:{id}"),
            Self::System => f.write_str("system"),
        }
    }
}

/// One audit event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// Who did it.
    pub actor: Actor,
    /// The agent that it concerns.
    pub agent_id: Option<AgentId>,
    /// The token that it concerns.
    pub jti: Option<Jti>,
    /// When that token expires.
    pub expires_at: Option<Timestamp>,
    /// A few words more: a scope's name, a key's id. Never a secret.
    pub detail: String,
}
