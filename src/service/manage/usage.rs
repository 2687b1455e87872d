//! What an agent used: its tokens and refusals by day, and what it uses of what it may.
//!
//! Must not know how usage is added up.

use std::collections::BTreeMap;

use crate::clock::Clock as _;
use crate::domain::id::AgentId;
use crate::domain::quota::{Limit, Usage};
use crate::domain::rejection::Rejection;
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;
use crate::domain::usage::Day;
use crate::store::USAGE_DAYS;

use super::agents::Agents;
use super::error::ManageError;

/// How many days are shown if the request does not say which.
const DEFAULT_DAYS: i64 = 31;

/// The days that a request asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageQuery {
    /// The first day; 30 days before `to` if it is absent.
    pub from: Option<Day>,
    /// The last day; today if it is absent.
    pub to: Option<Day>,
}

/// One day of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageOfDay {
    /// The day.
    pub day: Day,
    /// How many tokens it was issued.
    pub issued: i64,
    /// How many of its requests were refused, by reason.
    pub refused: Vec<(String, i64)>,
}

/// The usage of an agent as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageView {
    /// The tokens of this month. The counter itself tells them.
    pub month: Usage,
    /// The days on which something happened. They lag behind the counter by seconds.
    pub days: Vec<UsageOfDay>,
    /// The scopes of its tokens, and when it last got a token with each.
    pub scopes: Vec<(String, Timestamp)>,
    /// The scopes that it may ask for and never got a token with.
    pub unused_scopes: Vec<Scope>,
    /// When it last got a token.
    pub last_used_at: Option<Timestamp>,
}

impl UsageView {
    /// How many more tokens the plan allows this month; `None` without a limit.
    pub fn remaining(&self) -> Limit {
        let Usage { issued, limit, .. } = self.month;
        limit.map(|limit| limit.saturating_sub(issued).max(0))
    }
}

impl Agents {
    /// The usage of one agent on these days. Days before the kept ones are as if nothing had
    /// happened.
    pub async fn usage(
        &self,
        agent_id: &AgentId,
        query: UsageQuery,
    ) -> Result<UsageView, ManageError> {
        let today = Day::of(self.parts.clock.now());
        let to = query.to.unwrap_or(today).min(today.plus(1));
        let from = query.from.unwrap_or(to.plus(1 - DEFAULT_DAYS));
        let from = from.max(today.plus(-USAGE_DAYS));
        if query.from.zip(query.to).is_some_and(|(from, to)| to < from) {
            return Err(Rejection::of_field("to", "is before from").into());
        }
        let agent = self.show(agent_id).await?;
        let used = self.parts.records.agent_usage(agent_id, from, to).await?;
        let mut days: BTreeMap<Day, UsageOfDay> = BTreeMap::new();
        let empty = |day| UsageOfDay {
            day,
            issued: 0,
            refused: vec![],
        };
        for (day, issued) in used.issued {
            days.entry(day).or_insert_with(|| empty(day)).issued = issued;
        }
        for (day, reason, refused) in used.refused {
            let of_day = days.entry(day).or_insert_with(|| empty(day));
            of_day.refused.push((reason, refused));
        }
        let is_used = |scope: &Scope| used.scopes.iter().any(|(used, _)| used == scope.as_str());
        let scopes = &agent.agent.profile.terms.scopes;
        Ok(UsageView {
            month: agent.usage,
            days: days.into_values().collect(),
            unused_scopes: scopes.iter().filter(|s| !is_used(s)).cloned().collect(),
            last_used_at: used.scopes.iter().map(|(_, at)| *at).max(),
            scopes: used.scopes,
        })
    }
}
