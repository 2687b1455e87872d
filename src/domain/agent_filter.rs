//! Which agents a list has. Must not know how they are found, or who may see them.

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

#[cfg(test)]
mod tests {
    use super::*;

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
