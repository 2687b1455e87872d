//! What is shown of an agent, the same through every door: camelCase, times in RFC 3339 UTC.

use serde::Serialize;

use crate::domain::agent::{Agent, Audience, RedirectUri, UserId};
use crate::domain::credential::Credential;
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::quota::{Plans, Usage};
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;
use crate::domain::ttl::Ttl;
use crate::service::clients::secret::Secret;

/// An agent as operators and clients see it. Holds nothing of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentView {
    /// Its id, which is its `client_id`.
    pub agent_id: String,
    /// Its label.
    pub name: String,
    /// `active`, `suspended` or `decommissioned`.
    pub status: &'static str,
    /// The scopes that it may ask for.
    pub scopes: Vec<String>,
    /// Its own token lifetime in seconds; `null` takes the server's default.
    pub ttl: Option<i64>,
    /// Its plan.
    pub plan: String,
    /// The audiences that it may ask for; empty allows any.
    pub audiences: Vec<String>,
    /// Where authorization codes may be sent.
    pub redirect_uris: Vec<String>,
    /// The users on whose behalf it may act.
    pub user_ids: Vec<String>,
    /// Tokens issued this month.
    pub usage: UsageView,
    /// When it was made.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
    /// Its live credentials, newest first; only where one agent is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Vec<CredentialView>>,
    /// What an operator should know about the change that was just made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A month's tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageView {
    /// The UTC calendar month, `2026-11`.
    pub month: String,
    /// Tokens issued in it.
    pub issued: i64,
    /// The plan's limit; `null` is without limit.
    pub limit: Option<i64>,
    /// When the count starts anew.
    pub resets_at: String,
}

/// What may be shown of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialView {
    /// Its id.
    pub credential_id: String,
    /// The first characters of its secret; empty unless this store generated it.
    pub prefix: String,
    /// When it was made.
    pub created_at: String,
    /// When it ends; `null` is without end.
    pub expires_at: Option<String>,
}

impl AgentView {
    /// The agent with what it used in the month of `now`; `used` is `None` when it used nothing.
    pub fn of(agent: &Agent, plans: &Plans, used: Option<i64>, now: Timestamp) -> Self {
        let (name, terms) = (&agent.profile.name, &agent.profile.terms);
        let (month, issued) = (now.month(), used.unwrap_or(0));
        // A plan that was taken out of the configuration allows nothing until it is back.
        let limit = plans.limit(&terms.plan).unwrap_or(Some(0));
        Self {
            agent_id: agent.agent_id.to_string(),
            name: name.as_str().to_owned(),
            status: agent.status.as_str(),
            scopes: texts(&terms.scopes, Scope::as_str),
            ttl: terms.ttl.map(Ttl::secs),
            plan: terms.plan.to_string(),
            audiences: texts(&terms.audiences, Audience::as_str),
            redirect_uris: texts(&terms.redirect_uris, RedirectUri::as_str),
            user_ids: texts(&terms.user_ids, UserId::as_str),
            usage: Usage { month, issued, limit }.into(),
            created_at: agent.created_at.to_rfc3339(),
            updated_at: agent.updated_at.to_rfc3339(),
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

impl From<Usage> for UsageView {
    fn from(usage: Usage) -> Self {
        Self {
            month: usage.month.to_string(),
            issued: usage.issued,
            limit: usage.limit,
            resets_at: usage.month.resets_at().to_rfc3339(),
        }
    }
}

impl CredentialView {
    fn of(credential: &Credential) -> Self {
        Self {
            credential_id: credential.credential_id.to_string(),
            prefix: credential.prefix.to_string(),
            created_at: credential.created_at.to_rfc3339(),
            expires_at: credential.expires_at.map(Timestamp::to_rfc3339),
        }
    }
}

fn texts<T>(values: &[T], text: impl Fn(&T) -> &str) -> Vec<String> {
    values.iter().map(|v| text(v).to_owned()).collect()
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
