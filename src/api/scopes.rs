//! The scope catalogue as JSON.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::scope::Scope;
use crate::service::manage::view::{HighRiskBy, ScopeView, ShortenedView};

/// A scope of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Scope)]
pub(crate) struct ScopeJson {
    /// The scope.
    pub scope: String,
    /// What the scope is for.
    pub description: String,
    /// Whether a token with this scope lives 15 minutes at most: by the scope's name, the
    /// catalogue's mark or the configuration.
    pub high_risk: bool,
    /// What makes the scope high-risk: `name`, `configuration`, or `catalogue` if it is only the
    /// mark, which an operator may remove. `null` if it is not high-risk.
    pub high_risk_by: Option<&'static str>,
    /// Whether the scope is a built-in scope of the server.
    pub built_in: bool,
    /// How many of the agents that the caller sees hold the scope. Decommissioned agents hold nothing.
    pub agents: i64,
    /// What an operator should know about the scope.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// An agent whose tokens live shorter because of the words in its scopes' names. The floor alone
/// would not shorten them (contract D2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShortenedJson {
    /// The agent.
    pub agent_id: String,
    /// The lifetime of the agent's other tokens, in seconds.
    pub ttl: i64,
    /// The scopes that limit a token's lifetime.
    pub scopes: Vec<String>,
}

impl From<ScopeView> for ScopeJson {
    fn from(view: ScopeView) -> Self {
        let ScopeView {
            entry,
            high_risk_by,
            built_in,
            agents,
            warnings,
        } = view;
        Self {
            scope: entry.scope.to_string(),
            description: entry.description,
            high_risk: high_risk_by.is_some(),
            high_risk_by: high_risk_by.map(HighRiskBy::as_str),
            built_in,
            agents,
            warnings,
        }
    }
}

impl From<ShortenedView> for ShortenedJson {
    fn from(view: ShortenedView) -> Self {
        let scopes = view.scopes.iter().map(Scope::to_string).collect();
        Self {
            agent_id: view.agent_id.to_string(),
            ttl: view.ttl,
            scopes,
        }
    }
}
