//! Agents as JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::domain::about::{Description, Owner};
use crate::domain::agent::{AgentStatus, Audience, RedirectUri, UserId};
use crate::domain::quota::Usage;
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;
use crate::domain::ttl::Ttl;
use crate::service::manage::view::AgentView;

use super::credentials::CredentialJson;

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Agent)]
pub struct AgentJson {
    /// The agent's id, which is its `client_id`.
    pub agent_id: String,
    /// The organization that it belongs to.
    pub org_id: String,
    /// Its name.
    pub name: String,
    /// What it is for; `null` without a description.
    #[schema(required)]
    pub description: Option<String>,
    /// Who answers for it; `null` without an owner.
    #[schema(required)]
    pub owner: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// `active`, `suspended` or `decommissioned`.
    #[schema(schema_with = agent_status)]
    pub status: &'static str,
    /// Whether its `expiresAt` has passed.
    pub expired: bool,
    /// The scopes that the agent may ask for.
    pub scopes: Vec<String>,
    /// The agent's own token lifetime in seconds; `null` means the server's default.
    #[schema(required)]
    pub ttl: Option<i64>,
    /// Its plan.
    pub plan: String,
    /// The audiences that the agent may ask for; an empty list allows any.
    pub audiences: Vec<String>,
    /// Where the agent's authorization codes may be sent.
    pub redirect_uris: Vec<String>,
    /// The users on whose behalf the agent may act.
    pub user_ids: Vec<String>,
    /// From when on the agent is expired; `null` means never.
    #[schema(format = DateTime, required)]
    pub expires_at: Option<String>,
    /// Tokens issued this month.
    pub usage: UsageJson,
    /// Rises with each change of the agent or its credentials.
    pub version: i64,
    /// When the agent was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When the agent was last changed.
    #[schema(format = DateTime)]
    pub updated_at: String,
    /// The agent's live credentials, newest first; only where one agent is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Vec<CredentialJson>>,
    /// The version of the revocation list that has the kill, where the change that was just made
    /// killed tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_version: Option<i64>,
    /// What an operator should know about the change that was just made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

fn agent_status() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(AgentStatus::ALL.map(AgentStatus::as_str)))
        .description(Some("The agent's state."))
        .build()
}

/// The tokens issued in a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MonthUsage)]
pub struct UsageJson {
    /// The UTC calendar month, `2026-11`.
    pub month: String,
    /// Tokens issued in this month.
    pub issued: i64,
    /// The plan's limit; `null` means no limit.
    #[schema(required)]
    pub limit: Option<i64>,
    /// When the count starts again from 0.
    #[schema(format = DateTime)]
    pub resets_at: String,
}

impl From<AgentView> for AgentJson {
    fn from(view: AgentView) -> Self {
        let AgentView {
            agent,
            expired,
            usage,
            credentials,
            tokens_killed: _,
            warnings,
        } = view;
        let (about, terms) = (&agent.profile.about, &agent.profile.terms);
        let labels = about.labels.iter();
        Self {
            agent_id: agent.agent_id.to_string(),
            org_id: agent.org_id.to_string(),
            name: agent.profile.name.as_str().to_owned(),
            description: owned(about.description.as_ref().map(Description::as_str)),
            owner: owned(about.owner.as_ref().map(Owner::as_str)),
            labels: labels
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
            status: agent.status.as_str(),
            expired,
            scopes: texts(&terms.scopes, Scope::as_str),
            ttl: terms.ttl.map(Ttl::secs),
            plan: terms.plan.to_string(),
            audiences: texts(&terms.audiences, Audience::as_str),
            redirect_uris: texts(&terms.redirect_uris, RedirectUri::as_str),
            user_ids: texts(&terms.user_ids, UserId::as_str),
            expires_at: agent.profile.expires_at.map(Timestamp::to_rfc3339),
            usage: usage.into(),
            version: agent.version,
            created_at: agent.created_at.to_rfc3339(),
            updated_at: agent.updated_at.to_rfc3339(),
            credentials: credentials.map(|all| all.into_iter().map(CredentialJson::from).collect()),
            revocation_version: None,
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

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

fn texts<T>(values: &[T], text: impl Fn(&T) -> &str) -> Vec<String> {
    values.iter().map(|v| text(v).to_owned()).collect()
}
