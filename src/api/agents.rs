//! Agents as JSON.

use serde::Serialize;

use crate::domain::agent::{Audience, RedirectUri, UserId};
use crate::domain::quota::Usage;
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;
use crate::domain::ttl::Ttl;
use crate::service::manage::view::{AgentView, CredentialView};

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentJson {
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
    pub usage: UsageJson,
    /// When it was made.
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
    /// Its live credentials, newest first; only where one agent is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Vec<CredentialJson>>,
    /// What an operator should know about the change that was just made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A month's tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageJson {
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
pub struct CredentialJson {
    /// Its id.
    pub credential_id: String,
    /// The first characters of its secret; empty unless this store generated it.
    pub prefix: String,
    /// When it was made.
    pub created_at: String,
    /// When it ends; `null` is without end.
    pub expires_at: Option<String>,
}

impl From<AgentView> for AgentJson {
    fn from(view: AgentView) -> Self {
        let AgentView {
            agent,
            usage,
            credentials,
            warnings,
        } = view;
        let terms = &agent.profile.terms;
        Self {
            agent_id: agent.agent_id.to_string(),
            name: agent.profile.name.as_str().to_owned(),
            status: agent.status.as_str(),
            scopes: texts(&terms.scopes, Scope::as_str),
            ttl: terms.ttl.map(Ttl::secs),
            plan: terms.plan.to_string(),
            audiences: texts(&terms.audiences, Audience::as_str),
            redirect_uris: texts(&terms.redirect_uris, RedirectUri::as_str),
            user_ids: texts(&terms.user_ids, UserId::as_str),
            usage: usage.into(),
            created_at: agent.created_at.to_rfc3339(),
            updated_at: agent.updated_at.to_rfc3339(),
            credentials: credentials.map(|all| all.into_iter().map(CredentialJson::from).collect()),
            warnings,
        }
    }
}

impl From<Usage> for UsageJson {
    fn from(usage: Usage) -> Self {
        Self {
            month: usage.month.to_string(),
            issued: usage.issued,
            limit: usage.limit,
            resets_at: usage.month.resets_at().to_rfc3339(),
        }
    }
}

impl From<CredentialView> for CredentialJson {
    fn from(credential: CredentialView) -> Self {
        Self {
            credential_id: credential.credential_id.to_string(),
            prefix: credential.prefix.into(),
            created_at: credential.created_at.to_rfc3339(),
            expires_at: credential.expires_at.map(Timestamp::to_rfc3339),
        }
    }
}

fn texts<T>(values: &[T], text: impl Fn(&T) -> &str) -> Vec<String> {
    values.iter().map(|v| text(v).to_owned()).collect()
}
