//! What a write was decided upon. Must not know SQL.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::agent::Epoch;
use crate::domain::id::AgentId;
use crate::domain::org::{OrgEpoch, OrgId};
use crate::domain::partner::terms::PartnerId;

use super::outcome::Outcome;

/// What must still be so when a write is applied, because the write was decided upon it. The commit
/// compares it, so nothing can change between the decision and the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitCondition {
    /// The agent that is changed has this version. Otherwise the outcome is `TargetChanged`.
    Target {
        /// The agent.
        agent_id: AgentId,
        /// Its version.
        version: i64,
    },
    /// The agent that asks has this version, and its tokens have this epoch. Every suspension and
    /// every change of what it may do raises the version. Otherwise the outcome is `CallerChanged`.
    Caller {
        /// The agent.
        agent_id: AgentId,
        /// Its version.
        version: i64,
        /// The epoch of its token.
        epoch: Epoch,
    },
    /// The organization of the agent that asks is active, and has this epoch. Otherwise the outcome is
    /// `CallerChanged`.
    CallerOrg {
        /// The organization.
        org_id: OrgId,
        /// Its epoch.
        epoch: OrgEpoch,
    },
    /// The organization of the agent that is changed, or made, has this version. Otherwise the
    /// outcome is `TargetChanged`.
    Org {
        /// The organization.
        org_id: OrgId,
        /// Its version.
        version: i64,
    },
    /// This partner is suspended, maybe by an earlier write of the same commit. Otherwise the outcome is
    /// `TargetChanged`.
    SuspendedPartner(PartnerId),
}

impl CommitCondition {
    /// The agent that is compared, if it is one.
    fn agent_id(&self) -> Option<&AgentId> {
        match self {
            Self::Target { agent_id, .. } | Self::Caller { agent_id, .. } => Some(agent_id),
            Self::Org { .. } | Self::CallerOrg { .. } | Self::SuspendedPartner(_) => None,
        }
    }

    /// The outcome of the write if the agent has this version and this epoch now; `None` if the
    /// write may go on.
    fn failure(&self, version: i64, epoch: i64) -> Option<Outcome> {
        match self {
            Self::Target { version: seen, .. } => {
                (*seen != version).then_some(Outcome::TargetChanged)
            }
            Self::Caller {
                version: seen,
                epoch: of_token,
                ..
            } => ((*seen, of_token.0) != (version, epoch)).then_some(Outcome::CallerChanged),
            Self::Org { .. } | Self::CallerOrg { .. } | Self::SuspendedPartner(_) => None,
        }
    }
}

/// How a row is locked until the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) enum RowLock {
    /// Others may read it, also with this lock.
    Share,
    /// It will be changed.
    Update,
}

/// The agents to compare, each with the lock that its row needs.
///
/// A commit locks rows in this order: the version of the revocation list if tokens die, all partners
/// that its writes change or rely on, and then for each write its agents and after them its
/// organizations; each kind in the order of ids. A row that is changed too is locked for that at once,
/// so two commits of one write each that need the same rows never wait for each other, and neither do
/// two that need the same partner. Several writes in one commit lock agents in their own order, and the
/// database ends one of two that wait for each other.
pub(in crate::store) fn row_locks<'a>(
    conditions: &'a [CommitCondition],
    changed: Option<&'a AgentId>,
) -> BTreeMap<&'a AgentId, RowLock> {
    let mut locks = BTreeMap::new();
    if conditions.is_empty() {
        return locks;
    }
    let needed = conditions.iter().filter_map(|condition| {
        let lock = match condition {
            CommitCondition::Target { .. } => RowLock::Update,
            _ => RowLock::Share,
        };
        Some((condition.agent_id()?, lock))
    });
    for (agent_id, lock) in needed.chain(changed.map(|agent_id| (agent_id, RowLock::Update))) {
        let held = locks.entry(agent_id).or_insert(lock);
        *held = lock.max(*held);
    }
    locks
}

/// The outcome of a write if one of its conditions fails. `rows`: the version and the epoch of
/// each agent that exists. An agent that does not exist is a change too. A caller that changed is
/// told before a target that changed: such a caller may not know the target any more.
pub(in crate::store) fn failed(
    conditions: &[CommitCondition],
    rows: &BTreeMap<&AgentId, (i64, i64)>,
) -> Option<Outcome> {
    let missing = |condition: &CommitCondition| match condition {
        CommitCondition::Target { .. }
        | CommitCondition::Org { .. }
        | CommitCondition::SuspendedPartner(_) => Outcome::TargetChanged,
        CommitCondition::Caller { .. } | CommitCondition::CallerOrg { .. } => {
            Outcome::CallerChanged
        }
    };
    let failure = |condition: &CommitCondition| match rows.get(condition.agent_id()?) {
        Some((version, epoch)) => condition.failure(*version, *epoch),
        None => Some(missing(condition)),
    };
    let mut failures: Vec<Outcome> = conditions.iter().filter_map(failure).collect();
    failures.sort_by_key(|outcome| *outcome != Outcome::CallerChanged);
    failures.first().copied()
}

/// The organizations to compare, in the order of their ids. They are locked after all agents.
pub(in crate::store) fn org_conditions(conditions: &[CommitCondition]) -> BTreeSet<&OrgId> {
    conditions
        .iter()
        .filter_map(|condition| match condition {
            CommitCondition::Org { org_id, .. } | CommitCondition::CallerOrg { org_id, .. } => {
                Some(org_id)
            }
            _ => None,
        })
        .collect()
}

/// The partners that must be suspended.
pub(in crate::store) fn suspended_partners(
    conditions: &[CommitCondition],
) -> impl Iterator<Item = PartnerId> {
    conditions.iter().filter_map(|condition| match condition {
        CommitCondition::SuspendedPartner(partner_id) => Some(*partner_id),
        _ => None,
    })
}

/// What a store says of an organization: its version, its epoch, and whether it is active.
pub(in crate::store) type OrgSeen = (i64, i64, bool);

/// The outcome of a write if an organization is not as in its conditions. `rows`: the organizations
/// that exist. A caller that changed is told before a target that changed.
pub(in crate::store) fn failed_orgs(
    conditions: &[CommitCondition],
    rows: &BTreeMap<&OrgId, OrgSeen>,
) -> Option<Outcome> {
    let of_caller = |condition: &CommitCondition| match condition {
        CommitCondition::CallerOrg { org_id, epoch } => {
            !matches!(rows.get(org_id), Some((_, seen, true)) if *seen == epoch.0)
        }
        _ => false,
    };
    let of_target = |condition: &CommitCondition| match condition {
        CommitCondition::Org { org_id, version } => {
            !matches!(rows.get(org_id), Some((seen, _, _)) if seen == version)
        }
        _ => false,
    };
    if conditions.iter().any(of_caller) {
        return Some(Outcome::CallerChanged);
    }
    let changed = conditions.iter().any(of_target);
    changed.then_some(Outcome::TargetChanged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> AgentId {
        AgentId::parse(text).unwrap()
    }

    fn target(agent_id: &str) -> CommitCondition {
        CommitCondition::Target {
            agent_id: id(agent_id),
            version: 1,
        }
    }

    fn caller(agent_id: &str) -> CommitCondition {
        CommitCondition::Caller {
            agent_id: id(agent_id),
            version: 1,
            epoch: Epoch(7),
        }
    }

    #[test]
    fn a_caller_that_changed_is_told_first() {
        let (a, b) = (id("a"), id("b"));
        let both = [target("a"), caller("b")];
        let of = |target, caller| failed(&both, &BTreeMap::from([(&a, target), (&b, caller)]));
        assert_eq!(of((1, 0), (1, 7)), None);
        assert_eq!(of((2, 0), (1, 7)), Some(Outcome::TargetChanged));
        assert_eq!(of((1, 0), (2, 7)), Some(Outcome::CallerChanged));
        assert_eq!(of((1, 0), (1, 8)), Some(Outcome::CallerChanged));
        assert_eq!(of((2, 0), (2, 7)), Some(Outcome::CallerChanged));
        assert_eq!(
            failed(&both, &BTreeMap::new()),
            Some(Outcome::CallerChanged)
        );
        let known = BTreeMap::from([(&b, (1, 7))]);
        assert_eq!(failed(&both, &known), Some(Outcome::TargetChanged));
        assert_eq!(failed(&[], &BTreeMap::new()), None);
    }

    #[test]
    fn an_organization_with_another_version_has_changed() {
        let org = OrgId::parse("o").unwrap();
        let both = [
            caller("b"),
            CommitCondition::Org {
                org_id: org.clone(),
                version: 3,
            },
            CommitCondition::CallerOrg {
                org_id: org.clone(),
                epoch: OrgEpoch(2),
            },
        ];
        assert_eq!(org_conditions(&both), BTreeSet::from([&org]));
        assert_eq!(row_locks(&both, None).len(), 1);
        let outcome = |row| failed_orgs(&both, &BTreeMap::from([(&org, row)]));
        assert_eq!(outcome((3, 2, true)), None);
        assert_eq!(outcome((4, 2, true)), Some(Outcome::TargetChanged));
        for row in [(3, 2, false), (3, 4, true), (4, 4, false)] {
            assert_eq!(outcome(row), Some(Outcome::CallerChanged), "{row:?}");
        }
        let gone = failed_orgs(&both, &BTreeMap::new());
        assert_eq!(gone, Some(Outcome::CallerChanged));
        assert_eq!(failed(&both, &BTreeMap::from([(&id("b"), (1, 7))])), None);
    }

    #[test]
    fn rows_are_locked_in_the_order_of_ids_and_a_changed_one_for_a_change() {
        let (own, changed) = ([caller("b"), target("b")], id("a"));
        let locks: Vec<(&str, RowLock)> = row_locks(&own, Some(&changed))
            .into_iter()
            .map(|(agent_id, lock)| (agent_id.as_str(), lock))
            .collect();
        assert_eq!(locks, [("a", RowLock::Update), ("b", RowLock::Update)]);
        let share = [caller("b")];
        assert_eq!(row_locks(&share, None)[&id("b")], RowLock::Share);
        assert!(row_locks(&[], Some(&changed)).is_empty());
    }
}
