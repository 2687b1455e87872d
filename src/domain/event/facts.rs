//! What events of several kinds say: about a token's terms, a credential, an organisation or a
//! partner. Must not know which event says it.

use crate::domain::agent::Audience;
use crate::domain::credential::CredentialKind;
use crate::domain::grant::Grant;
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::org::OrgId;
use crate::domain::partner::federation::Federation;
use crate::domain::time::Timestamp;

use super::changes::Changes;

/// What a token was issued for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenTerms {
    /// The granted scopes, joined by spaces.
    pub scope: String,
    /// The audiences; `None` in the rows of earlier releases, which do not hold them.
    pub audience: Option<Vec<Audience>>,
    /// Seconds from `iat` to `exp`.
    pub ttl: i64,
    /// The user whom the token is about, if it is not about the agent itself.
    pub user: Option<String>,
}

impl From<&Grant> for TokenTerms {
    fn from(grant: &Grant) -> Self {
        Self {
            scope: grant.scope().to_owned(),
            audience: Some(grant.audience().to_vec()),
            ttl: grant.ttl(),
            user: grant.user().map(str::to_owned),
        }
    }
}

/// A credential in an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialFacts {
    /// The agent.
    pub agent_id: AgentId,
    /// The credential.
    pub credential_id: CredentialId,
    /// Its kind.
    pub kind: CredentialKind,
    /// When it expires, if it does and if that is known.
    pub expires_at: Option<Timestamp>,
    /// The other credentials of the agent that end, and when.
    pub ends: Vec<(CredentialId, Timestamp)>,
    /// Whose tokens prove it, if a partner's do.
    pub trusts: Option<TrustFacts>,
}

/// Whose tokens prove a federated credential, in an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustFacts {
    /// The partner.
    pub partner_id: String,
    /// Their `sub`, or how it begins.
    pub subject: String,
}

impl From<&Federation> for TrustFacts {
    fn from(federation: &Federation) -> Self {
        Self {
            partner_id: federation.partner_id.to_string(),
            subject: federation.subject.as_str().to_owned(),
        }
    }
}

impl CredentialFacts {
    /// A secret without an end, which ends no other credential.
    pub fn of_secret(agent_id: AgentId, credential_id: CredentialId) -> Self {
        Self {
            agent_id,
            credential_id,
            kind: CredentialKind::Secret,
            expires_at: None,
            ends: vec![],
            trusts: None,
        }
    }
}

/// An organisation in an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgFacts {
    /// Its id.
    pub org_id: String,
    /// What changed.
    pub changed: Changes,
}

/// A partner in an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerFacts {
    /// Its id.
    pub partner_id: String,
    /// The organisation that it belongs to.
    pub org_id: OrgId,
    /// What changed.
    pub changed: Changes,
}
