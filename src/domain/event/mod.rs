//! Audit events: what happened, whom it concerns, and the bytes of an event.
//!
//! Owns the kinds of events, what each kind says, and the one text in which an event is listed,
//! exported, hashed and sent. Must not know where events are kept, or who reads them.

use serde_json::{Map, Value};

use super::agent::Epoch;
use super::grant::Grant;
use super::id::{AgentId, CredentialId, Jti, Kid};
use super::scope::Scope;
use super::time::{Month, Timestamp};

pub(crate) mod changes;
pub(crate) mod decoded_terms;
pub(crate) mod detail;
pub(crate) mod facts;
pub(crate) mod kind;
pub(crate) mod logged;
pub(crate) mod reason;
pub(crate) mod request;
pub(crate) mod row;
pub(crate) mod search;
pub(crate) mod source;
pub(crate) mod token_row;

use changes::Changes;
use facts::{CredentialFacts, OrgFacts, PartnerFacts, TokenTerms};
use kind::EventKind;
use reason::RefusalCount;

/// What happened, with everything that is recorded about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A token was issued. The counting statement records it.
    TokenIssued {
        /// The agent that got it.
        agent_id: AgentId,
        /// The token.
        jti: Jti,
        /// When it expires.
        expires_at: Timestamp,
        /// The agent's epoch, which the token carries; unknown only in rows that lack it.
        epoch: Option<Epoch>,
        /// What it was issued for.
        terms: TokenTerms,
    },
    /// One token was revoked.
    TokenRevoked {
        /// The token.
        jti: Jti,
        /// The agent that it was issued to, if known.
        agent_id: Option<AgentId>,
        /// When it expires.
        expires_at: Timestamp,
    },
    /// Requests were refused in this time.
    AuthRefused {
        /// The first second of the counts.
        from: Timestamp,
        /// The second after the last one.
        to: Timestamp,
        /// The counts.
        counts: Vec<RefusalCount>,
        /// The organisation of all agents in it. `None` for the first one, to which the counts
        /// without an agent belong too.
        org_id: Option<String>,
    },
    /// An agent was made.
    AgentCreated {
        /// The agent.
        agent_id: AgentId,
        /// Its first credential; unknown in the rows of earlier releases.
        credential_id: Option<CredentialId>,
        /// What it was made with.
        changed: Changes,
    },
    /// An agent's profile was changed.
    AgentUpdated {
        /// The agent.
        agent_id: AgentId,
        /// Whether the change also killed the agent's live tokens.
        tokens_revoked: bool,
        /// What changed.
        changed: Changes,
    },
    /// An agent was suspended.
    AgentSuspended(AgentId, RevocationVersion),
    /// An agent was reactivated.
    AgentReactivated(AgentId),
    /// An agent was decommissioned.
    AgentDecommissioned(AgentId, RevocationVersion),
    /// All live tokens of an agent were killed.
    AgentTokensRevoked(AgentId, RevocationVersion),
    /// An agent expires soon.
    AgentExpiring(AgentId, Timestamp),
    /// An agent is expired.
    AgentExpired(AgentId, Timestamp),
    /// An agent got one more credential.
    CredentialCreated(CredentialFacts),
    /// An agent got a new secret, and the older ones end.
    CredentialRotated(CredentialFacts),
    /// A credential was ended.
    CredentialEnded(CredentialFacts),
    /// An imported hash was replaced by argon2id.
    CredentialRehashed(CredentialFacts),
    /// A credential expires soon.
    CredentialExpiring(CredentialFacts),
    /// A scope was added to the catalogue.
    ScopeAdded {
        /// The scope.
        scope: Scope,
        /// The operator's mark; unknown in the rows of earlier releases.
        high_risk: Option<bool>,
    },
    /// A scope's description or mark was changed.
    ScopeChanged {
        /// The scope.
        scope: Scope,
        /// The operator's mark after the change, if it is known.
        high_risk: Option<bool>,
        /// What changed.
        changed: Changes,
    },
    /// A scope was deleted from the catalogue.
    ScopeDeleted {
        /// The scope.
        scope: Scope,
        /// The operator's mark that it had.
        high_risk: Option<bool>,
    },
    /// An agent has used a part of its month's tokens.
    QuotaThreshold {
        /// The agent.
        agent_id: AgentId,
        /// The month.
        month: Month,
        /// The part, in percent: 80 or 100.
        percent: u8,
        /// How many tokens were issued in the month.
        issued: i64,
        /// How many may be.
        limit: i64,
    },
    /// A signing key was announced.
    KeyAnnounced(Kid),
    /// Signing moved from one key to the next.
    KeyActivated(Kid),
    /// A retired key left the JWKS.
    KeyRemoved(Kid),
    /// A signing key was revoked.
    KeyRevoked(Kid),
    /// A key of the store itself was made.
    StoreKeyCreated {
        /// What the key is for: `tag`, `code`.
        purpose: String,
        /// Distinguishes the keys of one purpose; unknown in the rows of earlier releases.
        key_id: Option<String>,
    },
    /// All private keys were sealed anew.
    KeyResealed {
        /// How many.
        keys: i64,
    },
    /// An organisation was made.
    OrgCreated(OrgFacts),
    /// An organisation was changed.
    OrgUpdated(OrgFacts),
    /// An organisation was suspended.
    OrgSuspended(OrgFacts),
    /// An organisation was reactivated.
    OrgReactivated(OrgFacts),
    /// All live tokens of an organisation's agents were killed.
    OrgTokensRevoked(OrgFacts),
    /// A partner was made.
    PartnerCreated(PartnerFacts),
    /// A partner was changed.
    PartnerUpdated(PartnerFacts),
    /// A partner was suspended.
    PartnerSuspended(PartnerFacts),
    /// A partner was reactivated.
    PartnerReactivated(PartnerFacts),
    /// A partner was deleted.
    PartnerDeleted(PartnerFacts),
    /// Someone began to export events.
    AuditExported {
        /// Which events, as the members of the request.
        filter: Map<String, Value>,
    },
    /// Old events are removed.
    AuditPruned {
        /// The greatest id that is removed.
        to_id: i64,
    },
    /// A restore of the store was acknowledged.
    StoreRestored {
        /// The generation that begins with it.
        generation: i64,
    },
    /// A request was answered with the response to an earlier one.
    IdempotencyReplayed {
        /// The path of the request.
        path: String,
    },
    /// A verifier that enforced revocations was removed.
    VerifierRemoved {
        /// Its name.
        verifier: String,
    },
}

/// The version of the revocation list in which a kill stands; `None` until the store has chosen it,
/// and in the rows of earlier releases.
pub(crate) type RevocationVersion = Option<i64>;

impl Event {
    /// The event of a token that was counted.
    pub fn token_issued(grant: &Grant, epoch: Epoch, expires_at: Timestamp) -> Self {
        Self::TokenIssued {
            agent_id: grant.agent_id().clone(),
            jti: grant.jti(),
            expires_at,
            epoch: Some(epoch),
            terms: TokenTerms::from(grant),
        }
    }

    /// The same event, with the version of the revocation list in which its kill stands. Events
    /// that tell no version stay as they are.
    #[must_use]
    pub fn killed_in(self, version: i64) -> Self {
        match self {
            Self::AgentSuspended(id, _) => Self::AgentSuspended(id, Some(version)),
            Self::AgentDecommissioned(id, _) => Self::AgentDecommissioned(id, Some(version)),
            Self::AgentTokensRevoked(id, _) => Self::AgentTokensRevoked(id, Some(version)),
            other => other,
        }
    }

    /// Its kind.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::TokenIssued { .. } => EventKind::TokenIssued,
            Self::TokenRevoked { .. } => EventKind::TokenRevoked,
            Self::AuthRefused { .. } => EventKind::AuthRefused,
            Self::AgentCreated { .. } => EventKind::AgentCreated,
            Self::AgentUpdated { .. } => EventKind::AgentUpdated,
            Self::AgentSuspended(..) => EventKind::AgentSuspended,
            Self::AgentReactivated(_) => EventKind::AgentReactivated,
            Self::AgentDecommissioned(..) => EventKind::AgentDecommissioned,
            Self::AgentTokensRevoked(..) => EventKind::AgentTokensRevoked,
            Self::AgentExpiring(..) => EventKind::AgentExpiring,
            Self::AgentExpired(..) => EventKind::AgentExpired,
            Self::CredentialCreated(_) => EventKind::CredentialCreated,
            Self::CredentialRotated(_) => EventKind::CredentialRotated,
            Self::CredentialEnded(_) => EventKind::CredentialEnded,
            Self::CredentialRehashed(_) => EventKind::CredentialRehashed,
            Self::CredentialExpiring(_) => EventKind::CredentialExpiring,
            Self::ScopeAdded { .. } => EventKind::ScopeAdded,
            Self::ScopeChanged { .. } => EventKind::ScopeChanged,
            Self::ScopeDeleted { .. } => EventKind::ScopeDeleted,
            Self::QuotaThreshold { .. } => EventKind::QuotaThreshold,
            Self::KeyAnnounced(_) => EventKind::KeyAnnounced,
            Self::KeyActivated(_) => EventKind::KeyActivated,
            Self::KeyRemoved(_) => EventKind::KeyRemoved,
            Self::KeyRevoked(_) => EventKind::KeyRevoked,
            Self::StoreKeyCreated { .. } => EventKind::StoreKeyCreated,
            Self::KeyResealed { .. } => EventKind::KeyResealed,
            Self::OrgCreated(_) => EventKind::OrgCreated,
            Self::OrgUpdated(_) => EventKind::OrgUpdated,
            Self::OrgSuspended(_) => EventKind::OrgSuspended,
            Self::OrgReactivated(_) => EventKind::OrgReactivated,
            Self::OrgTokensRevoked(_) => EventKind::OrgTokensRevoked,
            Self::PartnerCreated(_) => EventKind::PartnerCreated,
            Self::PartnerUpdated(_) => EventKind::PartnerUpdated,
            Self::PartnerSuspended(_) => EventKind::PartnerSuspended,
            Self::PartnerReactivated(_) => EventKind::PartnerReactivated,
            Self::PartnerDeleted(_) => EventKind::PartnerDeleted,
            Self::AuditExported { .. } => EventKind::AuditExported,
            Self::AuditPruned { .. } => EventKind::AuditPruned,
            Self::StoreRestored { .. } => EventKind::StoreRestored,
            Self::IdempotencyReplayed { .. } => EventKind::IdempotencyReplayed,
            Self::VerifierRemoved { .. } => EventKind::VerifierRemoved,
        }
    }
}
