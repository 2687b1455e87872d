//! What operators are shown, as plain values. Must not know how a door writes them: the wire types are `api`'s.

use crate::domain::agent::Agent;
use crate::domain::catalogue::CatalogueEntry;
use crate::domain::credential::Credential;
use crate::domain::id::{AgentId, CredentialId, Kid};
use crate::domain::quota::{Plans, Usage};
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;
use crate::service::clients::secret::Secret;
use crate::store::KeyRecord;

/// An agent as operators and clients see it. Holds nothing of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentView {
    /// The agent.
    pub agent: Agent,
    /// Tokens issued this month.
    pub usage: Usage,
    /// Its live credentials, newest first; only where one agent is shown.
    pub credentials: Option<Vec<CredentialView>>,
    /// What an operator should know about the change that was just made.
    pub warnings: Vec<String>,
}

/// What may be shown of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialView {
    /// Its id.
    pub credential_id: CredentialId,
    /// The first characters of its secret; empty unless this store generated it.
    pub prefix: Box<str>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; `None` is without end.
    pub expires_at: Option<Timestamp>,
}

impl AgentView {
    /// The agent with what it used in the month of `now`; `used` is `None` when it used nothing.
    pub fn of(agent: &Agent, plans: &Plans, used: Option<i64>, now: Timestamp) -> Self {
        // A plan that was taken out of the configuration allows nothing until it is back.
        let limit = plans.limit(&agent.profile.terms.plan).unwrap_or(Some(0));
        let usage = Usage {
            month: now.month(),
            issued: used.unwrap_or(0),
            limit,
        };
        Self {
            agent: agent.clone(),
            usage,
            credentials: None,
            warnings: vec![],
        }
    }

    /// The same with those of `credentials` that still open something at `now`.
    #[must_use]
    pub fn with_credentials(mut self, credentials: &[Credential], now: Timestamp) -> Self {
        let live = credentials.iter().filter(|c| c.is_live(now));
        self.credentials = Some(live.map(CredentialView::of).collect());
        self
    }
}

impl CredentialView {
    fn of(credential: &Credential) -> Self {
        Self {
            credential_id: credential.credential_id,
            prefix: credential.prefix.clone(),
            created_at: credential.created_at,
            expires_at: credential.expires_at,
        }
    }
}

/// A secret that was just made, to be shown this once.
#[derive(Debug)]
pub struct NewSecret {
    /// Whose.
    pub agent_id: AgentId,
    /// The credential that it opens.
    pub credential_id: CredentialId,
    /// The secret in clear.
    pub secret: Secret,
    /// When the last of the secrets before it ends; `None` when there was none.
    pub old_expires_at: Option<Timestamp>,
    /// What the operator should know about the agent.
    pub warnings: Vec<String>,
}

/// A scope of the catalogue as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeView {
    /// As it stands in the catalogue; its mark is the operator's alone.
    pub entry: CatalogueEntry,
    /// Whether a token that carries it lives 15 minutes at most: by its name, the catalogue's mark or
    /// the configuration.
    pub high_risk: bool,
    /// Whether the server ships with it.
    pub built_in: bool,
    /// What the operator should know about it.
    pub warnings: Vec<String>,
}

/// An agent whose tokens the words of its scopes' names shorten, which the floor alone would not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortenedView {
    /// The agent.
    pub agent_id: AgentId,
    /// How many seconds its other tokens live.
    pub ttl: i64,
    /// The scopes that cap a token's life.
    pub scopes: Vec<Scope>,
}

/// What may be shown of a signing key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyView {
    /// Its id in the JWKS.
    pub kid: Kid,
    /// The word for where it is in its life.
    pub state: &'static str,
    /// When it was made and published.
    pub announced_at: Timestamp,
    /// From when on it signs.
    pub signs_from: Timestamp,
    /// Until when it signed; `None` while no end is set.
    pub signs_until: Option<Timestamp>,
    /// Until when it stays published; `None` while no end is set.
    pub published_until: Option<Timestamp>,
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
        }
    }
}
