//! The filters of `GET /api/v1/agents`. Must not know how agents are found, or who may see them.

use crate::domain::about::{Label, LabelText, Owner};
use crate::domain::agent::AgentStatus;
use crate::domain::agent_filter::{AgentFilter, MAX_IDS, NamePrefix};
use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::quota::PlanName;
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;

use super::fields::{Fields, rule};

/// Reads which agents the list has. A value that no agent can have is a fault.
pub(super) fn read_agent_filter(fields: &mut Fields<'_>) -> AgentFilter {
    let time = |text: &str| Timestamp::parse_rfc3339(text).map_err(rule);
    let filter = AgentFilter {
        status: fields.query("status", |text| AgentStatus::parse(text).map_err(rule)),
        scope: fields.query("scope", |text| Scope::parse(text).map_err(rule)),
        plan: fields.query("plan", |text| PlanName::parse(text).map_err(rule)),
        owner: fields.query("owner", |text| Owner::parse(text).map_err(rule)),
        labels: each_once(fields.queries("label", read_label)),
        name_prefix: fields.query("namePrefix", |text| NamePrefix::parse(text).map_err(rule)),
        org_id: fields.query("orgId", |text| OrgId::parse(text).map_err(rule)),
        ids: each_once(fields.queries("id", |text| AgentId::parse(text).map_err(rule))),
        used_before: fields.query("usedBefore", time),
        never_used: fields.truth("neverUsed"),
        expires_before: fields.query("expiresBefore", time),
    };
    if filter.ids.len() > MAX_IDS {
        fields.note("id", "has more than 100 values");
    }
    filter
}

fn read_label(text: &str) -> Result<Label, &'static str> {
    let (key, value) = text.split_once(':').ok_or("is written as key:value")?;
    let part = |text| LabelText::parse(text).map_err(rule);
    Ok((part(key)?, part(value)?))
}

/// The values in order, each once: equal filters are equal values.
fn each_once<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort();
    values.dedup();
    values
}
