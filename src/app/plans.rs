//! Plans that agents are on and the configuration lacks.
//!
//! Owns what is said of them. Must not know what a plan allows.

use crate::config::Config;
use crate::service;
use crate::store::Records;

/// Names the plans that agents are on and the configuration lacks, and `None` if it has all. Tokens
/// of these agents would be 503, which nobody would expect of a server that has started.
pub(super) async fn missing_plans(
    config: &Config,
    records: &dyn Records,
) -> Result<Option<String>, service::Error> {
    let counts = records.plan_counts(None).await?;
    let missing: Vec<String> = counts
        .into_iter()
        .filter(|(plan, _)| config.plans.limit(plan).is_none())
        .map(|(plan, agents)| format!("{plan} ({agents})"))
        .collect();
    Ok((!missing.is_empty()).then(|| {
        format!(
            "agents are on plans that the configuration lacks: {}. Add them below [plans], or give these \
             agents other plans (`sealwright agent list --plan NAME`, `sealwright agent update ID --plan NAME`)",
            missing.join(", ")
        )
    }))
}
