//! The plans, and how many agents are on each. Must not know how tokens are counted.

use std::collections::BTreeMap;

use crate::domain::org::OrgId;
use crate::domain::quota::{Limit, PlanName};
use crate::service;

use super::agents::Agents;

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanView {
    /// Its name.
    pub plan: PlanName,
    /// How many tokens a month it allows each of its agents. A plan that was removed from the
    /// configuration allows none until it is back.
    pub limit: Limit,
    /// Whether the configuration has it.
    pub is_configured: bool,
    /// How many agents are on it. Decommissioned agents are on none.
    pub agents: i64,
}

impl Agents {
    /// The configured plans and those that agents are on, in the order of their names. `org_id` is
    /// the organisation that the reader is limited to.
    pub async fn plans(&self, org_id: Option<&OrgId>) -> Result<Vec<PlanView>, service::Error> {
        let counts = self.parts.records.plan_counts(org_id).await?;
        let plans = self.parts.plans.load();
        let mut agents: BTreeMap<PlanName, i64> =
            plans.0.keys().map(|plan| (plan.clone(), 0)).collect();
        agents.extend(counts);
        let view = |(plan, agents)| {
            let limit = plans.limit(&plan);
            PlanView {
                plan,
                limit: limit.unwrap_or(Some(0)),
                is_configured: limit.is_some(),
                agents,
            }
        };
        Ok(agents.into_iter().map(view).collect())
    }
}
