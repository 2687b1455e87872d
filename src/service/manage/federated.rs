//! Federated credentials: what is refused of a new one, and how a partner is stopped together with the
//! agents that hold them. Must not know how a token is verified.

use std::collections::BTreeSet;

use crate::domain::agent::Agent;
use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::partner::record::Partner;
use crate::domain::partner::terms::{PartnerId, PartnerStatus};
use crate::domain::rejection::{FieldError, RejectionCode};
use crate::service;
use crate::service::tokens::Caller;
use crate::store::{AgentChange, Change, CommitCondition, Outcome, PartnerChange, PartnerHolder};

use super::agents::Agents;
use super::attempt::MAX_CONFLICTS;
use super::authority::caller_conditions;
use super::checks::NO_PARTNER;
use super::credentials::CredentialTerms;
use super::error::ManageError;
use super::partners::Partners;
use super::request::ChangeRequest;

impl Agents {
    /// What is wrong with a federated credential for this agent: its partner serves the agent's
    /// organization, everything that the partner requires is pinned, and its scopes are the agent's.
    pub(super) async fn federation_errors(
        &self,
        agent: &Agent,
        terms: &CredentialTerms,
    ) -> Result<Vec<FieldError>, service::Error> {
        let Some(federation) = &terms.federation else {
            return Ok(vec![]);
        };
        let mut errors = vec![];
        let found = self.parts.records.partner(federation.partner_id).await?;
        let serves = |org: &OrgId| org == &agent.org_id || org.is_default();
        match found.filter(|partner| serves(&partner.org_id)) {
            None => errors.push(FieldError::new("/partnerId", NO_PARTNER)),
            Some(partner) => {
                let missing = federation.unpinned(&partner.terms.required_claims);
                errors.extend(missing.map(|claim| {
                    let why = format!("lacks {}, which the partner requires", claim.as_str());
                    FieldError::new("/claims", why)
                }));
            }
        }
        let scopes = federation.scopes.iter().flatten().enumerate();
        let foreign = scopes.filter(|(_, scope)| !agent.profile.terms.scopes.contains(scope));
        errors.extend(foreign.map(|(index, _)| {
            FieldError::new(format!("/scopes/{index}"), "is no scope of the agent")
        }));
        Ok(errors)
    }
}

/// How many holders are read at once.
const PAGE: i64 = 500;

/// The most agents of which one commit kills the tokens. Each costs some statements, whoever stops other
/// agents waits for them, and the commit has to end within the time of a call.
const MAX_COMMIT_HOLDERS: usize = 25;

/// A partner that was stopped together with its agents.
pub struct StoppedPartner {
    /// The partner.
    pub partner: Partner,
    /// Whether any agent's tokens were killed.
    pub tokens_killed: bool,
}

impl Agents {
    /// Suspends a partner, and kills the live tokens of all agents that hold live credentials of it. That
    /// is one commit for up to 25 agents. Of more, the first commit suspends the partner and kills the
    /// first ones, and others follow. The caller's own tokens die last: whoever has no live token may
    /// change nothing. If it breaks off, asking again begins with the agents that are left.
    pub async fn stop_partner(
        &self,
        partners: &Partners,
        partner_id: PartnerId,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<StoppedPartner, ManageError> {
        let mut request = request.into();
        let (mut stopped, mut conflicts) = (BTreeSet::new(), 0);
        while conflicts < MAX_CONFLICTS {
            let partner = partners.find_for(partner_id, &request).await?;
            let open = self.holders(partners, partner_id, &stopped, &request);
            let open = open.await?;
            let is_active = partner.status == PartnerStatus::Active;
            if request.is_dry_run() || (open.is_empty() && !is_active) {
                return Ok(StoppedPartner {
                    partner: Partner {
                        status: PartnerStatus::Suspended,
                        ..partner
                    },
                    tokens_killed: !stopped.is_empty(),
                });
            }
            let mut writes = vec![];
            if is_active {
                let change = PartnerChange::SetStatus {
                    before: Box::new(partner),
                    status: PartnerStatus::Suspended,
                };
                writes.push(partners.write(change, &request).await?);
            }
            let mut conditions = caller_conditions(&*self.parts.store, &request).await?;
            conditions.push(CommitCondition::SuspendedPartner(partner_id));
            let piece: Vec<AgentId> = open.into_iter().take(MAX_COMMIT_HOLDERS).collect();
            writes.extend(piece.iter().map(|agent_id| {
                let kill = Change::Agent(AgentChange::RevokeTokens(agent_id.clone()));
                self.write(kill, request.act).only_if(conditions.clone())
            }));
            let mut outcomes = self.parts.store.commit(writes).await?.into_iter();
            if is_active {
                match outcomes.next() {
                    Some(Outcome::Applied) => request.precondition = None,
                    Some(Outcome::TargetChanged) if request.names_versions() => {
                        return Err(RejectionCode::VersionMismatch.into());
                    }
                    _ => {}
                }
            }
            let before = stopped.len();
            let changed = [Outcome::TargetChanged, Outcome::CallerChanged];
            let settled = piece.into_iter().zip(outcomes);
            let settled = settled.filter(|(_, outcome)| !changed.contains(outcome));
            stopped.extend(settled.map(|(agent_id, _)| agent_id));
            if stopped.len() == before {
                conflicts += 1;
            }
        }
        Err(RejectionCode::PartnerKeptChanging.into())
    }

    /// The agents that hold live credentials of the partner and are not stopped yet: the caller last,
    /// and first those whose tokens were killed the longest time ago, which an earlier request left.
    /// None once the caller was stopped.
    async fn holders(
        &self,
        partners: &Partners,
        partner_id: PartnerId,
        stopped: &BTreeSet<AgentId>,
        request: &ChangeRequest<'_>,
    ) -> Result<Vec<AgentId>, ManageError> {
        let caller = request.caller.map(Caller::agent_id);
        if caller.is_some_and(|caller| stopped.contains(caller)) {
            return Ok(vec![]);
        }
        let (mut open, mut after): (Vec<PartnerHolder>, Option<AgentId>) = (vec![], None);
        loop {
            let page = partners.holders(partner_id, after.as_ref(), PAGE).await?;
            after = page.last().map(|last| last.agent_id.clone());
            if after.is_none() {
                break;
            }
            let is_open = |one: &PartnerHolder| !stopped.contains(&one.agent_id);
            open.extend(page.into_iter().filter(is_open));
        }
        open.sort_by_key(|one| (Some(&one.agent_id) == caller, one.epoch));
        Ok(open.into_iter().map(|one| one.agent_id).collect())
    }
}
