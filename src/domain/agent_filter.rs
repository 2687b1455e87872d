//! Which agents a list has. Must not know how they are found, or who may see them.

use std::collections::BTreeSet;

use serde_json::json;

use super::Invalid;
use super::about::{Label, Owner};
use super::agent::AgentStatus;
use super::id::AgentId;
use super::org::OrgId;
use super::quota::PlanName;
use super::scope::Scope;
use super::time::Timestamp;

/// The most ids that one filter names.
pub(crate) const MAX_IDS: usize = 100;

/// The beginning of an agent's name: 1–200 characters without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePrefix(Box<str>);

impl NamePrefix {
    /// Accepts 1–200 characters without control characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text.chars().count() > 200 || text.chars().any(char::is_control) {
            return Err(Invalid(
                "the beginning of a name is 1 to 200 characters without control characters",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which agents a list has: those that meet every part that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentFilter {
    /// Agents in this state, expired ones included.
    pub status: Option<AgentStatus>,
    /// Agents that may ask for this scope.
    pub scope: Option<Scope>,
    /// Agents on this plan.
    pub plan: Option<PlanName>,
    /// Agents of exactly this owner.
    pub owner: Option<Owner>,
    /// Agents with all these labels.
    pub labels: Vec<Label>,
    /// Agents whose name begins so.
    pub name_prefix: Option<NamePrefix>,
    /// Agents of this organisation.
    pub org_id: Option<OrgId>,
    /// Agents with one of these ids, at most [`MAX_IDS`]. Empty means any id.
    pub ids: Vec<AgentId>,
    /// Agents that last got a token before this time.
    pub used_before: Option<Timestamp>,
    /// `true`: agents that never got a token, as far as usage is kept; together with `used_before`,
    /// these as well. `false`: agents that got one.
    pub never_used: Option<bool>,
    /// Agents that expire before this time.
    pub expires_before: Option<Timestamp>,
}

impl AgentFilter {
    /// The filter as a text. Filters that find other agents have other texts; filters that name the
    /// same labels and ids, in whatever order, have the same text.
    pub fn canonical(&self) -> String {
        let labels: BTreeSet<String> = self
            .labels
            .iter()
            .map(|(key, value)| format!("{}:{}", key.as_str(), value.as_str()))
            .collect();
        let ids: BTreeSet<&str> = self.ids.iter().map(AgentId::as_str).collect();
        let time = |time: Option<Timestamp>| time.map(|time| time.0);
        let parts = json!([
            self.status.map(AgentStatus::as_str),
            self.scope.as_ref().map(Scope::as_str),
            self.plan.as_ref().map(PlanName::as_str),
            self.owner.as_ref().map(Owner::as_str),
            labels,
            self.name_prefix.as_ref().map(NamePrefix::as_str),
            self.org_id.as_ref().map(OrgId::as_str),
            ids,
            time(self.used_before),
            self.never_used,
            time(self.expires_before),
        ]);
        parts.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::super::about::parse_label;
    use super::*;

    #[test]
    fn filters_have_the_same_text_only_if_they_find_the_same_agents() {
        let label = |text| parse_label(text).unwrap();
        let id = |text| AgentId::parse(text).unwrap();
        let none = AgentFilter::default;
        let different = [
            none(),
            AgentFilter {
                status: Some(AgentStatus::Active),
                ..none()
            },
            AgentFilter {
                scope: Scope::parse("free").ok(),
                ..none()
            },
            AgentFilter {
                plan: PlanName::parse("free").ok(),
                ..none()
            },
            AgentFilter {
                owner: Owner::parse("free").ok(),
                ..none()
            },
            AgentFilter {
                owner: Owner::parse("[\"free\"]").ok(),
                ..none()
            },
            AgentFilter {
                name_prefix: NamePrefix::parse("free").ok(),
                ..none()
            },
            AgentFilter {
                org_id: OrgId::parse("free").ok(),
                ..none()
            },
            AgentFilter {
                org_id: Some(OrgId::default()),
                ..none()
            },
            AgentFilter {
                ids: vec![id("free")],
                ..none()
            },
            AgentFilter {
                ids: vec![id("a"), id("b")],
                ..none()
            },
            AgentFilter {
                labels: vec![label("a=b")],
                ..none()
            },
            AgentFilter {
                labels: vec![label("b=a")],
                ..none()
            },
            AgentFilter {
                labels: vec![label("a=b"), label("b=a")],
                ..none()
            },
            AgentFilter {
                used_before: Some(Timestamp(1)),
                ..none()
            },
            AgentFilter {
                expires_before: Some(Timestamp(1)),
                ..none()
            },
            AgentFilter {
                never_used: Some(true),
                ..none()
            },
            AgentFilter {
                never_used: Some(false),
                ..none()
            },
        ];
        let texts: BTreeSet<String> = different.iter().map(AgentFilter::canonical).collect();
        assert_eq!(texts.len(), different.len(), "{texts:?}");
        let (mut one, mut other) = (none(), none());
        one.ids = vec![id("b"), id("a"), id("b")];
        one.labels = vec![label("b=a"), label("a=b")];
        other.ids = vec![id("a"), id("b")];
        other.labels = vec![label("a=b"), label("b=a"), label("a=b")];
        assert_eq!(one.canonical(), other.canonical());
    }

    #[test]
    fn a_prefix_is_a_part_of_a_name() {
        for good in [" ", "a", "\u{1f600}\u{1f600}", &"x".repeat(200)] {
            assert_eq!(NamePrefix::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a\n", &"x".repeat(201)] {
            assert!(NamePrefix::parse(bad).is_err(), "{bad:?}");
        }
    }
}
