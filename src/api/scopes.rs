//! The scope catalogue as JSON.

use serde::Serialize;

use crate::domain::scope::Scope;
use crate::service::manage::view::{ScopeView, ShortenedView};

/// A scope of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ScopeJson {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Whether a token that carries it lives 15 minutes at most: by its name, the catalogue's mark or
    /// the configuration.
    pub high_risk: bool,
    /// Whether the server ships with it.
    pub built_in: bool,
    /// What the operator should know about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// An agent whose tokens the words of its scopes' names shorten, which the floor alone would not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShortenedJson {
    /// The agent.
    pub agent_id: String,
    /// How many seconds its other tokens live.
    pub ttl: i64,
    /// The scopes that cap a token's life.
    pub scopes: Vec<String>,
}

impl From<ScopeView> for ScopeJson {
    fn from(view: ScopeView) -> Self {
        let ScopeView {
            entry,
            high_risk,
            built_in,
            warnings,
        } = view;
        let (name, description) = (entry.scope.to_string(), entry.description);
        Self {
            name,
            description,
            high_risk,
            built_in,
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
