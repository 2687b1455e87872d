//! Plans as JSON.

use serde::Serialize;
use utoipa::ToSchema;

use crate::service::manage::plans::PlanView;

/// A plan: how many tokens a month each of its agents may get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Plan)]
pub(crate) struct PlanJson {
    /// The plan.
    pub plan: String,
    /// How many tokens a month it allows each of its agents; `null` means that there is no limit.
    #[schema(required)]
    pub limit: Option<i64>,
    /// How many of the agents that the caller sees are on it. Decommissioned agents are on none.
    pub agents: i64,
    /// What an operator should know about the plan.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl From<PlanView> for PlanJson {
    fn from(view: PlanView) -> Self {
        let mut warnings = Vec::new();
        if !view.is_configured {
            warnings.push(format!(
                "the plan {} is not in the configuration: until it is, token requests of its agents are 503",
                view.plan
            ));
        }
        Self {
            plan: view.plan.to_string(),
            limit: view.limit,
            agents: view.agents,
            warnings,
        }
    }
}
