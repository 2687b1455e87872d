//! Whether a token that this store issued still lives, and why not. Introspection, Bearer checks
//! and operators share this one rule (contract D7, D8).
//!
//! Must not know how a token is written, or where its state is stored.

use super::agent::{AgentStatus, Epoch};
use super::org::{OrgEpoch, OrgStanding, OrgStatus};
use super::time::Timestamp;

/// Whether a token is valid, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenVerdict {
    /// The token is valid.
    Active,
    /// The token has expired.
    Expired,
    /// The token itself was revoked.
    Revoked,
    /// The token's agent is suspended.
    AgentSuspended,
    /// The token's agent is decommissioned.
    AgentDecommissioned,
    /// The organization of the token's agent is suspended.
    OrgSuspended,
    /// The token was killed with all tokens that its agent had at that time.
    Killed,
    /// No key of this store signed the token for this issuer, or no agent has its id.
    NotOurs,
}

impl TokenVerdict {
    /// The word in JSON and for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::AgentSuspended => "agent_suspended",
            Self::AgentDecommissioned => "agent_decommissioned",
            Self::OrgSuspended => "org_suspended",
            Self::Killed => "killed",
            Self::NotOurs => "not_ours",
        }
    }
}

/// Whether a token with this `exp` has expired: it is dead from the second `exp` on, without leeway
/// (contract D7).
pub(crate) fn is_expired(exp: Timestamp, now: Timestamp) -> bool {
    now >= exp
}

/// The verdict on a genuine token with these `exp`, `epoch` and `org_epoch` claims. `is_revoked`:
/// whether the token was revoked by itself. `agent`: the current status and epoch of the token's
/// agent; `None` if there is no such agent. `org`: the current standing of the agent's organization.
pub(crate) fn judge_token(
    exp: Timestamp,
    (epoch, org_epoch): (Epoch, OrgEpoch),
    is_revoked: bool,
    agent: Option<(AgentStatus, Epoch)>,
    org: OrgStanding,
    now: Timestamp,
) -> TokenVerdict {
    let Some((status, current)) = agent else {
        return TokenVerdict::NotOurs;
    };
    if is_expired(exp, now) {
        return TokenVerdict::Expired;
    }
    if is_revoked {
        return TokenVerdict::Revoked;
    }
    match status {
        AgentStatus::Suspended => TokenVerdict::AgentSuspended,
        AgentStatus::Decommissioned => TokenVerdict::AgentDecommissioned,
        AgentStatus::Active if org.status == OrgStatus::Suspended => TokenVerdict::OrgSuspended,
        AgentStatus::Active if (current, org.epoch) == (epoch, org_epoch) => TokenVerdict::Active,
        AgentStatus::Active => TokenVerdict::Killed,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_reason_why_a_token_is_dead_is_told() {
        let judge = |is_revoked, agent, now| {
            let (epochs, org) = ((Epoch(1), OrgEpoch(0)), OrgStanding::default());
            judge_token(
                Timestamp(10),
                epochs,
                is_revoked,
                agent,
                org,
                Timestamp(now),
            )
        };
        let of = |status, epoch| Some((status, Epoch(epoch)));
        let active = of(AgentStatus::Active, 1);
        assert_eq!(judge(false, active, 9), TokenVerdict::Active);
        assert_eq!(judge(true, None, 10), TokenVerdict::NotOurs);
        assert_eq!(judge(true, active, 10), TokenVerdict::Expired);
        assert_eq!(
            judge(true, of(AgentStatus::Suspended, 1), 9),
            TokenVerdict::Revoked
        );
        assert_eq!(
            judge(false, of(AgentStatus::Suspended, 1), 9),
            TokenVerdict::AgentSuspended
        );
        assert_eq!(
            judge(false, of(AgentStatus::Decommissioned, 2), 9),
            TokenVerdict::AgentDecommissioned
        );
        assert_eq!(
            judge(false, of(AgentStatus::Active, 2), 9),
            TokenVerdict::Killed
        );
    }

    #[test]
    fn a_token_lives_under_the_epoch_of_its_organization_alone() {
        let judge = |org_epoch, status, current| {
            let (epochs, agent) = (
                (Epoch(1), OrgEpoch(org_epoch)),
                Some((AgentStatus::Active, Epoch(1))),
            );
            let org = OrgStanding {
                status,
                epoch: OrgEpoch(current),
            };
            judge_token(Timestamp(10), epochs, false, agent, org, Timestamp(9))
        };
        assert_eq!(judge(5, OrgStatus::Active, 5), TokenVerdict::Active);
        assert_eq!(judge(5, OrgStatus::Active, 6), TokenVerdict::Killed);
        assert_eq!(judge(0, OrgStatus::Active, 6), TokenVerdict::Killed);
        assert_eq!(
            judge(5, OrgStatus::Suspended, 5),
            TokenVerdict::OrgSuspended
        );
    }

    proptest! {
        /// A token lives only if nothing speaks against it.
        #[test]
        fn one_reason_is_enough_to_kill_a_token(
            exp in 0i64..4, now in 0i64..4, epoch in 0i64..2, current in 0i64..2,
            is_revoked: bool, status in 0usize..4, org_epoch in 0i64..2, org_current in 0i64..2, org_stopped: bool,
        ) {
            let statuses = [AgentStatus::Active, AgentStatus::Suspended, AgentStatus::Decommissioned];
            let agent = statuses.get(status).map(|status| (*status, Epoch(current)));
            let org_status = if org_stopped { OrgStatus::Suspended } else { OrgStatus::Active };
            let org = OrgStanding { status: org_status, epoch: OrgEpoch(org_current) };
            let epochs = (Epoch(epoch), OrgEpoch(org_epoch));
            let verdict = judge_token(Timestamp(exp), epochs, is_revoked, agent, org, Timestamp(now));
            let lives = now < exp && !is_revoked && status == 0 && epoch == current
                && !org_stopped && org_epoch == org_current;
            prop_assert_eq!(verdict == TokenVerdict::Active, lives);
        }
    }
}
