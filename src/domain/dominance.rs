//! Dominance: whether one agent has everything that another agent has. Nobody gives what he does
//! not have, so a caller without an admin scope manages only the agents that its own dominates.
//!
//! Must not know who asks, or what is to be done with the agent.

use std::collections::HashSet;

use super::agent::{Audience, RedirectUri, Terms, UserId};
use super::id::AgentId;
use super::quota::{PlanName, Plans};
use super::scope::Scope;
use super::time::Timestamp;
use super::ttl::Ttl;

/// What dominance compares of an agent.
#[derive(Debug, Clone, Copy)]
pub struct Holdings<'a> {
    /// The agent.
    pub agent_id: &'a AgentId,
    /// Its organisation.
    pub org_id: &'a str,
    /// On which terms it gets tokens.
    pub terms: &'a Terms,
    /// From when on it is expired; `None` means never.
    pub expires_at: Option<Timestamp>,
}

/// What the server's configuration adds to an agent's own values.
#[derive(Debug, Clone, Copy)]
pub struct ServerDefaults<'a> {
    /// The lifetime of a token whose agent has none of its own.
    pub ttl: Ttl,
    /// The plans with their limits.
    pub plans: &'a Plans,
}

/// A member of an agent that dominance compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeldMember {
    /// The scopes: a set.
    Scopes,
    /// The users: a set.
    UserIds,
    /// The redirect URIs: a set.
    RedirectUris,
    /// The audiences: a set, and every audience if the list is empty.
    Audiences,
    /// The plan: its limit.
    Plan,
    /// The lifetime: the server's default if it is absent.
    Ttl,
    /// The end: never if it is absent.
    ExpiresAt,
    /// The organisation, which must be the same.
    OrgId,
}

impl HeldMember {
    /// The member as a JSON Pointer.
    pub fn pointer(self) -> &'static str {
        match self {
            Self::Scopes => "/scopes",
            Self::UserIds => "/userIds",
            Self::RedirectUris => "/redirectUris",
            Self::Audiences => "/audiences",
            Self::Plan => "/plan",
            Self::Ttl => "/ttl",
            Self::ExpiresAt => "/expiresAt",
            Self::OrgId => "/orgId",
        }
    }
}

/// One thing that an agent has and the other one lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess {
    /// The member in which it is.
    pub member: HeldMember,
    /// The place in the member's list, if it is one value of a list.
    pub index: Option<usize>,
}

impl Excess {
    /// The place as a JSON Pointer.
    pub fn pointer(self) -> String {
        match self.index {
            Some(index) => format!("{}/{index}", self.member.pointer()),
            None => self.member.pointer().to_owned(),
        }
    }
}

/// Everything that `agent` has and `other` lacks. Empty if `other` dominates `agent`.
pub fn excess(
    agent: &Holdings<'_>,
    other: &Holdings<'_>,
    defaults: &ServerDefaults<'_>,
) -> Vec<Excess> {
    let (theirs, ours) = (agent.terms, other.terms);
    let mut found = Vec::new();
    let mut list = |member, indexes: Vec<usize>| {
        found.extend(indexes.into_iter().map(|index| Excess {
            member,
            index: Some(index),
        }));
    };
    list(
        HeldMember::Scopes,
        missing(&theirs.scopes, &ours.scopes, Scope::as_str),
    );
    list(
        HeldMember::UserIds,
        missing(&theirs.user_ids, &ours.user_ids, UserId::as_str),
    );
    list(
        HeldMember::RedirectUris,
        missing(
            &theirs.redirect_uris,
            &ours.redirect_uris,
            RedirectUri::as_str,
        ),
    );
    // An empty list allows every audience, so it dominates every list, and only an empty list
    // dominates it.
    if !ours.audiences.is_empty() && !theirs.audiences.is_empty() {
        list(
            HeldMember::Audiences,
            missing(&theirs.audiences, &ours.audiences, Audience::as_str),
        );
    }
    let secs = |ttl: Option<Ttl>| ttl.unwrap_or(defaults.ttl);
    let end = |end: Option<Timestamp>| end.map_or(i64::MAX, |end| end.0);
    let whole = [
        (
            HeldMember::Audiences,
            theirs.audiences.is_empty() && !ours.audiences.is_empty(),
        ),
        (
            HeldMember::Plan,
            !plan_is_covered(&theirs.plan, &ours.plan, defaults.plans),
        ),
        (HeldMember::Ttl, secs(theirs.ttl) > secs(ours.ttl)),
        (
            HeldMember::ExpiresAt,
            end(agent.expires_at) > end(other.expires_at),
        ),
        (HeldMember::OrgId, agent.org_id != other.org_id),
    ];
    found.extend(
        whole
            .into_iter()
            .filter(|(_, exceeds)| *exceeds)
            .map(|(member, _)| Excess {
                member,
                index: None,
            }),
    );
    found
}

/// The places of those of `theirs` that are not in `ours`.
fn missing<T>(theirs: &[T], ours: &[T], text: fn(&T) -> &str) -> Vec<usize> {
    let ours: HashSet<&str> = ours.iter().map(text).collect();
    let lacks = |(_, item): &(usize, &T)| !ours.contains(text(item));
    let places = theirs.iter().enumerate().filter(lacks);
    places.map(|(place, _)| place).collect()
}

/// Whether the plan `theirs` allows no more than the plan `ours`. A plan that is not configured
/// allows nothing now, but whatever its configuration says later. So it covers nothing but itself,
/// and nothing but itself covers it.
fn plan_is_covered(theirs: &PlanName, ours: &PlanName, plans: &Plans) -> bool {
    if theirs == ours {
        return true;
    }
    match (plans.limit(theirs), plans.limit(ours)) {
        (Some(_), Some(None)) => true,
        (Some(Some(theirs)), Some(Some(ours))) => theirs <= ours,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::samples::kit::{Sample, defaults, dominates, plan, plans, samples};

    /// `agent` cut down to what `other` has too, so that it is dominated by both.
    fn cut(agent: &Sample, other: &Sample) -> Sample {
        let (mut cut, theirs) = (agent.clone(), &other.terms);
        let terms = Arc::make_mut(&mut cut.terms);
        terms.scopes.retain(|scope| theirs.scopes.contains(scope));
        terms.user_ids.retain(|user| theirs.user_ids.contains(user));
        terms
            .redirect_uris
            .retain(|uri| theirs.redirect_uris.contains(uri));
        cut
    }

    proptest! {
        #[test]
        fn an_agent_dominates_itself(one in samples(&["default", "other"])) {
            prop_assert!(dominates(&one, &one));
        }

        #[test]
        fn dominance_is_transitive(
            one in samples(&["default"]), two in samples(&["default"]), three in samples(&["default"]),
        ) {
            // Random agents rarely dominate each other in all sets.
            let two = cut(&two, &one);
            let three = cut(&three, &two);
            if dominates(&one, &two) && dominates(&two, &three) {
                prop_assert!(dominates(&one, &three));
            }
        }

        #[test]
        fn more_is_never_dominated_by_less(one in samples(&["default"]), two in samples(&["default"])) {
            let excess = excess(&one.holdings(), &two.holdings(), &defaults(&plans()));
            let named = |member| excess.iter().any(|found| found.member == member);
            let lacks = one.terms.scopes.iter().any(|scope| !two.terms.scopes.contains(scope));
            prop_assert_eq!(named(HeldMember::Scopes), lacks);
            let end = |sample: &Sample| sample.expires_at.map_or(i64::MAX, |end| end.0);
            prop_assert_eq!(named(HeldMember::ExpiresAt), end(&one) > end(&two));
            let secs = |sample: &Sample| sample.terms.ttl.map_or(600, Ttl::secs);
            prop_assert_eq!(named(HeldMember::Ttl), secs(&one) > secs(&two));
            let may = |sample: &Sample, audience: &&str| {
                let listed = &sample.terms.audiences;
                listed.is_empty() || listed.iter().any(|one| one.as_str() == *audience)
            };
            // `four` stands for the audiences that no list names.
            let audiences = ["one", "two", "three", "four"];
            let more = audiences.iter().any(|audience| may(&one, audience) && !may(&two, audience));
            prop_assert_eq!(named(HeldMember::Audiences), more);
        }
    }

    #[test]
    fn a_limit_is_covered_by_a_greater_one_and_an_unknown_plan_only_by_itself() {
        let plans = plans();
        let covered = |theirs, ours| plan_is_covered(&plan(theirs), &plan(ours), &plans);
        for (theirs, ours) in [
            ("small", "small"),
            ("small", "large"),
            ("large", "endless"),
            ("endless", "endless"),
            ("gone", "gone"),
        ] {
            assert!(covered(theirs, ours), "{theirs} {ours}");
        }
        for (theirs, ours) in [
            ("large", "small"),
            ("endless", "large"),
            ("gone", "endless"),
            ("small", "gone"),
            ("gone", "lost"),
        ] {
            assert!(!covered(theirs, ours), "{theirs} {ours}");
        }
    }

    #[test]
    fn an_excess_is_named_by_its_place() {
        let place = |member, index| Excess { member, index }.pointer();
        assert_eq!(place(HeldMember::Scopes, Some(1)), "/scopes/1");
        assert_eq!(place(HeldMember::Audiences, None), "/audiences");
    }
}
