//! The filters of `sealwright agent list`. Must not know how agents are found.

use clap::Args;

use crate::domain::about::{self, Label, Owner, parse_label};
use crate::domain::agent::AgentStatus;
use crate::domain::agent_filter::{AgentFilter, NamePrefix};
use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::quota::PlanName;
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;

#[derive(Args)]
pub(super) struct FilterArgs {
    /// active, suspended or decommissioned
    #[arg(long, value_parser = AgentStatus::parse)]
    status: Option<AgentStatus>,
    /// A scope that it may ask for
    #[arg(long, value_parser = Scope::parse)]
    scope: Option<Scope>,
    /// Its plan
    #[arg(long, value_parser = PlanName::parse)]
    plan: Option<PlanName>,
    /// Its whole owner
    #[arg(long, value_name = "WHO", value_parser = Owner::parse)]
    owner: Option<Owner>,
    /// A label that it has; repeatable, then it has all of them
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_label)]
    label: Vec<Label>,
    /// The beginning of its name
    #[arg(long, value_name = "TEXT", value_parser = NamePrefix::parse)]
    name_prefix: Option<NamePrefix>,
    /// Its organization
    #[arg(long, value_name = "ID", value_parser = OrgId::parse)]
    org: Option<OrgId>,
    /// Its id; repeatable up to 100 times, then it is one of them
    #[arg(long, value_parser = AgentId::parse)]
    id: Vec<AgentId>,
    /// A time before which it last got a token, such as 2026-03-31T13:12:17Z
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    used_before: Option<Timestamp>,
    /// It never got a token in the last 400 days; beside --used-before, one of both
    #[arg(long)]
    never_used: bool,
    /// A time before which it expires
    #[arg(long, value_name = "TIME", value_parser = about::parse_expiry)]
    expires_before: Option<Timestamp>,
}

impl FilterArgs {
    /// The filter.
    pub(super) fn filter(self) -> AgentFilter {
        AgentFilter {
            status: self.status,
            scope: self.scope,
            plan: self.plan,
            owner: self.owner,
            labels: self.label,
            name_prefix: self.name_prefix,
            org_id: self.org,
            ids: self.id,
            used_before: self.used_before,
            never_used: self.never_used.then_some(true),
            expires_before: self.expires_before,
        }
    }
}
