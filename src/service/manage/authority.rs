//! On whose authority a change is made, and upon what its commit depends.
//!
//! Owns who is judged by what. Must not know the rules (`domain::permission`), or how the caller
//! authenticated.

use std::sync::Arc;

use crate::domain::act::Actor;
use crate::domain::agent::{Agent, AgentStatus, Profile};
use crate::domain::dominance::{Holdings, ServerDefaults};
use crate::domain::org::{OrgId, OrgStatus};
use crate::domain::permission::{AgentOperation, CallerRights, Denial};
use crate::domain::refusal::Refusal;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::service;
use crate::service::tokens::Caller;
use crate::store::{AgentRecord, CommitCondition, Freshness, Store};

use super::agents::Agents;
use super::checks::fault;
use super::error::ManageError;
use super::request::ChangeRequest;

/// What is said of an organization that does not exist, or does not for the caller.
pub(super) const UNKNOWN_ORG: &str = "no organization has this id";

/// On whose authority a change is made.
pub(super) enum Authority {
    /// An operator's, at the command line, or the server's own: everything is allowed.
    Operator,
    /// That of an agent, which is judged by its token and its own record.
    Agent(JudgedCaller),
}

impl Authority {
    /// Whether the agent exists for this authority.
    pub(super) fn reaches(&self, agent: &Agent) -> bool {
        match self {
            Self::Operator => true,
            Self::Agent(caller) => caller.rights().reaches(agent.org_id.as_str()),
        }
    }

    /// The organization of what it makes if no other one is named.
    pub(super) fn org_id(&self) -> OrgId {
        match self {
            Self::Operator => OrgId::default(),
            Self::Agent(caller) => caller.record.agent.org_id.clone(),
        }
    }
}

/// An agent that asks, as it was read for this decision.
pub(super) struct JudgedCaller {
    record: Arc<AgentRecord>,
    is_admin: bool,
}

impl JudgedCaller {
    fn rights(&self) -> CallerRights<'_> {
        CallerRights {
            own: holdings(&self.record.agent),
            is_admin: self.is_admin,
        }
    }
}

/// What dominance compares of an agent.
pub(super) fn holdings(agent: &Agent) -> Holdings<'_> {
    Holdings {
        agent_id: &agent.agent_id,
        org_id: agent.org_id.as_str(),
        terms: &agent.profile.terms,
        expires_at: agent.profile.expires_at,
    }
}

/// The same, if the agent had this profile.
pub(super) fn holdings_with<'a>(agent: &'a Agent, profile: &'a Profile) -> Holdings<'a> {
    Holdings {
        terms: &profile.terms,
        expires_at: profile.expires_at,
        ..holdings(agent)
    }
}

impl Agents {
    /// The authority of this request. An agent's own record is read anew, so that it is judged by what
    /// it is now; a token that died meanwhile has no authority.
    pub(super) async fn authority(
        &self,
        request: &ChangeRequest<'_>,
    ) -> Result<Authority, ManageError> {
        let caller = match (&request.act.who, request.caller) {
            (Actor::Operator(_) | Actor::System, None) => return Ok(Authority::Operator),
            (Actor::Agent(agent_id), Some(caller)) if agent_id == caller.agent_id() => caller,
            _ => return Err(fault("an act has another actor than its caller").into()),
        };
        let record = living(&*self.parts.store, caller).await?;
        Ok(Authority::Agent(JudgedCaller {
            record,
            is_admin: caller.is_admin(),
        }))
    }
}

/// The record of the agent that asks, read anew. A token that died meanwhile has no authority.
async fn living(store: &dyn Store, caller: &Caller) -> Result<Arc<AgentRecord>, ManageError> {
    let found = store.agent(caller.agent_id(), Freshness::Fresh).await?;
    let lives = |record: &Arc<AgentRecord>| {
        let (agent, org) = (&record.agent, &record.org);
        (agent.status, agent.epoch) == (AgentStatus::Active, caller.epoch())
            && (org.status, org.epoch) == (OrgStatus::Active, caller.org_epoch())
    };
    let dead = || service::Error::Refused(Refusal::InvalidToken).into();
    found.filter(lives).ok_or_else(dead)
}

/// What must still be so when a change of something that is no agent is committed: an agent that asks
/// is as it is now.
pub(super) async fn caller_conditions(
    store: &dyn Store,
    request: &ChangeRequest<'_>,
) -> Result<Vec<CommitCondition>, ManageError> {
    let Some(caller) = request.caller else {
        return Ok(vec![]);
    };
    let record = living(store, caller).await?;
    Ok(unchanged(&record))
}

/// The conditions that the agent that asks, and its organization, are as they were read.
fn unchanged(record: &AgentRecord) -> Vec<CommitCondition> {
    let own = &record.agent;
    let mut conditions = vec![CommitCondition::Caller {
        agent_id: own.agent_id.clone(),
        version: own.version,
        epoch: own.epoch,
    }];
    if !own.org_id.is_default() {
        conditions.push(CommitCondition::CallerOrg {
            org_id: own.org_id.clone(),
            epoch: record.org.epoch,
        });
    }
    conditions
}

impl Agents {
    /// Rejects the operation unless the authority suffices for it. Returns what must still be so in
    /// the commit. `target`: the agent that is changed, as it was read; `None` if it is made.
    pub(super) fn judge(
        &self,
        authority: &Authority,
        operation: &AgentOperation<'_>,
        target: Option<&Agent>,
    ) -> Result<Vec<CommitCondition>, ManageError> {
        let Authority::Agent(caller) = authority else {
            return Ok(vec![]);
        };
        let plans = self.parts.plans.load();
        let defaults = ServerDefaults {
            ttl: self.parts.default_ttl,
            plans: &plans,
        };
        let rights = caller.rights();
        rights.may(operation, &defaults).map_err(rejection)?;
        // With an admin scope nothing of the target is compared but its organisation, which never
        // changes. So a kill in an incident does not depend on whoever else changes the agent.
        let mut conditions = unchanged(&caller.record);
        if !rights.is_admin {
            conditions.extend(target.map(version_of));
        }
        Ok(conditions)
    }
}

/// The condition that the agent has the version with which it was read.
pub(super) fn version_of(agent: &Agent) -> CommitCondition {
    CommitCondition::Target {
        agent_id: agent.agent_id.clone(),
        version: agent.version,
    }
}

/// What the caller is told.
fn rejection(denial: Denial) -> Rejection {
    match denial {
        Denial::OutOfReach => RejectionCode::AgentNotFound.into(),
        Denial::UnknownOrg => Rejection::of_field("/orgId", UNKNOWN_ORG),
        Denial::Forbidden(errors) => Rejection {
            errors,
            ..RejectionCode::Forbidden.into()
        },
    }
}
