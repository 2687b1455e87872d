//! The usage of an agent as JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::time::Timestamp;
use crate::service::manage::usage::{UsageOfDay, UsageView};

/// The usage of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AgentUsage)]
pub(crate) struct AgentUsageJson {
    /// The UTC calendar month, `2026-11`.
    pub month: String,
    /// Tokens issued in this month.
    pub issued: i64,
    /// The plan's limit; `null` means no limit.
    #[schema(required)]
    pub limit: Option<i64>,
    /// How many more tokens the plan allows this month; `null` means no limit.
    #[schema(required)]
    pub remaining: Option<i64>,
    /// When the count starts again from 0.
    #[schema(format = DateTime)]
    pub resets_at: String,
    /// The days on which something happened, in order.
    pub days: Vec<UsageDayJson>,
    /// The scopes of its tokens.
    pub scopes: Vec<ScopeUseJson>,
    /// The scopes that it may ask for and never got a token with.
    pub unused_scopes: Vec<String>,
    /// When it last got a token, to the minute; `null` if never.
    #[schema(format = DateTime, required)]
    pub last_used_at: Option<String>,
}

/// One UTC day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = UsageDay)]
pub(crate) struct UsageDayJson {
    /// The day, `2026-11-26`.
    #[schema(format = Date)]
    pub day: String,
    /// Tokens issued.
    pub issued: i64,
    /// Refused requests by reason.
    pub refused: BTreeMap<String, i64>,
}

/// A scope, and when the agent last got a token with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ScopeUse)]
pub(crate) struct ScopeUseJson {
    /// The scope.
    pub scope: String,
    /// When the agent last got a token with it, to the minute.
    #[schema(format = DateTime)]
    pub last_used_at: String,
}

impl From<UsageView> for AgentUsageJson {
    fn from(view: UsageView) -> Self {
        Self {
            month: view.month.month.to_string(),
            issued: view.month.issued,
            limit: view.month.limit,
            remaining: view.remaining(),
            resets_at: view.month.month.resets_at().to_rfc3339(),
            days: view.days.into_iter().map(UsageDayJson::from).collect(),
            scopes: view
                .scopes
                .into_iter()
                .map(|(scope, at)| ScopeUseJson {
                    scope,
                    last_used_at: at.to_rfc3339(),
                })
                .collect(),
            unused_scopes: view.unused_scopes.iter().map(ToString::to_string).collect(),
            last_used_at: view.last_used_at.map(Timestamp::to_rfc3339),
        }
    }
}

impl From<UsageOfDay> for UsageDayJson {
    fn from(day: UsageOfDay) -> Self {
        Self {
            day: day.day.to_string(),
            issued: day.issued,
            refused: day.refused.into_iter().collect(),
        }
    }
}
