//! What operators are shown, as plain values. Must not know how it is written: the types for JSON
//! are in `api`.

use std::sync::Arc;

use crate::domain::act::Act;
use crate::domain::agent::Agent;
use crate::domain::catalogue::CatalogueEntry;
use crate::domain::credential::{Credential, CredentialKind, CredentialLabel};
use crate::domain::id::{AgentId, CredentialId, Kid};
use crate::domain::partner::federation::Federation;
use crate::domain::quota::{Plans, Usage};
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;
use crate::service::clients::secret::Secret;
use crate::store::{CredentialRecord, KeyRecord};

/// An agent as operators and clients see it. It holds no part of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentView {
    /// The agent.
    pub agent: Agent,
    /// Whether it is expired.
    pub expired: bool,
    /// Tokens issued this month.
    pub usage: Usage,
    /// Its live credentials, newest first; only where one agent is shown.
    pub credentials: Option<Vec<CredentialView>>,
    /// Whether the change that was just made killed tokens.
    pub tokens_killed: bool,
    /// What an operator should know about the change that was just made.
    pub warnings: Vec<String>,
}

/// Some agents of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPage {
    /// The agents, in the byte order of their ids.
    pub agents: Vec<AgentView>,
    /// The next ones begin behind this id; `None` if there are no more. A page may have fewer agents
    /// than asked for, or none, although there are more.
    pub next: Option<AgentId>,
}

/// The part of a credential that may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialView {
    /// Its id.
    pub credential_id: CredentialId,
    /// What it is checked with.
    pub kind: CredentialKind,
    /// What is trusted of a partner, if a partner's tokens prove it.
    pub federation: Option<Arc<Federation>>,
    /// What the operator calls it.
    pub label: Option<CredentialLabel>,
    /// The first characters of its secret, if this store generated it; the thumbprints of its public
    /// keys; otherwise empty.
    pub hint: Box<str>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it; unknown for credentials of earlier releases.
    pub created_by: Option<Box<str>>,
    /// From when on it is refused; `None` means that it has no end.
    pub expires_at: Option<Timestamp>,
    /// When it ended; `None` while it is live.
    pub ended_at: Option<Timestamp>,
    /// Who ended it; `None` while it is live, and if it expired by itself.
    pub ended_by: Option<Box<str>>,
    /// When it last opened a token, as far as the ledger has come.
    pub last_used_at: Option<Timestamp>,
}

impl AgentView {
    /// The agent with the number of tokens that it used in the month of `now`. `used` is `None` if
    /// it used none.
    pub fn of(agent: &Agent, plans: &Plans, used: Option<i64>, now: Timestamp) -> Self {
        // A plan that was removed from the configuration allows nothing until it is back.
        let limit = plans.limit(&agent.profile.terms.plan).unwrap_or(Some(0));
        let usage = Usage {
            month: now.month(),
            issued: used.unwrap_or(0),
            limit,
        };
        Self {
            agent: agent.clone(),
            expired: agent.profile.is_expired(now),
            usage,
            credentials: None,
            tokens_killed: false,
            warnings: vec![],
        }
    }
}

impl CredentialView {
    /// A credential that `act` has just made.
    pub(super) fn of_new(
        credential: &Credential,
        label: Option<CredentialLabel>,
        act: &Act,
    ) -> Self {
        Self {
            credential_id: credential.credential_id,
            kind: credential.kind(),
            federation: credential.federation.clone(),
            label,
            hint: credential.prefix.clone(),
            created_at: credential.created_at,
            created_by: Some(act.who.to_string().into()),
            expires_at: credential.expires_at,
            ended_at: None,
            ended_by: None,
            last_used_at: None,
        }
    }
}

impl From<CredentialRecord> for CredentialView {
    fn from(record: CredentialRecord) -> Self {
        Self {
            credential_id: record.credential_id,
            kind: record.kind,
            federation: record.federation,
            label: record.label,
            hint: record.prefix,
            created_at: record.created_at,
            created_by: record.created_by,
            expires_at: record.expires_at,
            ended_at: record.ended_at,
            ended_by: record.ended_by,
            last_used_at: record.last_used_at,
        }
    }
}

/// A credential that was just made. Its secret, if it has one, is shown only once.
#[derive(Debug)]
pub struct NewSecret {
    /// The agent of the secret.
    pub agent_id: AgentId,
    /// The credential that the secret belongs to.
    pub credential: CredentialView,
    /// The secret in clear; `None` for public keys, and if it was only tried to make it.
    pub secret: Option<Secret>,
    /// When the last of the older credentials of its kind ends; `None` if there was none.
    pub old_expires_at: Option<Timestamp>,
    /// What the operator should know about the agent.
    pub warnings: Vec<String>,
}

/// What makes a scope high-risk. If several things do, it is the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HighRiskBy {
    /// Its name.
    Name,
    /// The configuration.
    Configuration,
    /// The catalogue's mark. An operator may remove the mark, and then the scope is not high-risk.
    Catalogue,
}

impl HighRiskBy {
    /// The word that programs compare.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Configuration => "configuration",
            Self::Catalogue => "catalogue",
        }
    }
}

/// A scope of the catalogue as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeView {
    /// The entry of the catalogue. Its mark is the operator's own.
    pub entry: CatalogueEntry,
    /// Why a token with this scope lives 15 minutes at most; `None` if it may live longer.
    pub high_risk_by: Option<HighRiskBy>,
    /// Whether the scope is a built-in scope of the server.
    pub built_in: bool,
    /// How many agents hold the scope. Decommissioned agents hold nothing.
    pub agents: i64,
    /// What an operator should know about the scope.
    pub warnings: Vec<String>,
}

/// An agent whose tokens live shorter because of the words in its scopes' names. The floor alone
/// would not shorten them (contract D2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortenedView {
    /// The agent.
    pub agent_id: AgentId,
    /// The lifetime of the agent's other tokens, in seconds.
    pub ttl: i64,
    /// The scopes that limit a token's lifetime.
    pub scopes: Vec<Scope>,
}

/// The part of a signing key that may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyView {
    /// The key's id in the JWKS.
    pub kid: Kid,
    /// The name of the key's state.
    pub state: &'static str,
    /// When the key was made and published.
    pub announced_at: Timestamp,
    /// From when the key signs.
    pub signs_from: Timestamp,
    /// Until when the key signed; `None` while no end is set.
    pub signs_until: Option<Timestamp>,
    /// Until when the key stays published; `None` while no end is set.
    pub published_until: Option<Timestamp>,
    /// Why servers refuse the key: it neither signs nor verifies, whatever its state says. `None`
    /// for a genuine key.
    pub refused: Option<String>,
}

impl From<&KeyRecord> for KeyView {
    fn from(key: &KeyRecord) -> Self {
        Self {
            kid: key.kid.clone(),
            state: key.state.as_str(),
            announced_at: key.announced_at,
            signs_from: key.signs_from,
            signs_until: key.signs_until,
            published_until: key.published_until,
            refused: None,
        }
    }
}
