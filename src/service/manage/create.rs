//! Making an agent with its first secret, and making or replacing one by its id. Owns the order of
//! steps. Must not know the rules by which a caller is judged.

use crate::clock::Clock as _;
use crate::domain::agent::{Agent, LiveTokens, Profile};
use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::permission::AgentOperation;
use crate::domain::rejection::{FieldError, Rejection, RejectionCode};
use crate::service;
use crate::store::{AgentChange, Change, CommitCondition, Freshness, Outcome};

use super::agents::{Agents, NewAgent};
use super::attempt::MAX_CONFLICTS;
use super::authority::{Authority, UNKNOWN_ORG, holdings, holdings_with};
use super::checks::{accepted, demand_none, fault, org_errors, scope_errors};
use super::credentials::CredentialTerms;
use super::error::ManageError;
use super::keeping::Keep;
use super::patch::ProfilePatch;
use super::request::ChangeRequest;
use super::scope_risk::open_warnings;
use super::view::{AgentView, CredentialView, NewSecret};

/// An agent that was just made.
#[derive(Debug)]
pub struct CreatedAgent {
    /// The agent.
    pub view: AgentView,
    /// Its secret, which is absent from it if its creation was only tried.
    pub secret: NewSecret,
}

/// What became of an agent that was to have this profile.
#[derive(Debug)]
pub enum PutAgent {
    /// It was made.
    Created(Box<CreatedAgent>),
    /// It existed, and has this profile now.
    Replaced(Box<AgentView>),
}

impl Agents {
    /// Makes an agent with its first secret.
    pub async fn create(
        &self,
        new: NewAgent,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<NewSecret, ManageError> {
        let created = self.create_and_show(new, request.into(), Keep::nothing());
        Ok(created.await?.secret)
    }

    /// Whether this agent may be made by whoever asks. To be asked before a kept reply is sent
    /// again.
    pub async fn may_create(
        &self,
        new: &NewAgent,
        request: &ChangeRequest<'_>,
    ) -> Result<(), ManageError> {
        let authority = self.authority(request).await?;
        let agent = self.sketch(new, &authority)?;
        let creation = creation(&agent, new.agent_id.is_some());
        self.judge(&authority, &creation, None).map(drop)
    }

    /// The same for [`Self::put`].
    pub async fn may_put(
        &self,
        agent_id: &AgentId,
        new: &NewAgent,
        request: &ChangeRequest<'_>,
    ) -> Result<(), ManageError> {
        let authority = self.authority(request).await?;
        let found = self.parts.store.agent(agent_id, Freshness::Fresh).await?;
        let Some(found) = found.filter(|found| authority.reaches(&found.agent)) else {
            return self.may_create(new, request).await;
        };
        let change = AgentOperation::Change {
            before: holdings(&found.agent),
            after: holdings_with(&found.agent, &new.profile),
            tokens: LiveTokens::Keep,
        };
        self.judge(&authority, &change, Some(&found.agent))
            .map(drop)
    }

    /// Makes the agent with this id, or replaces all that an operator decides about it. For a caller
    /// that does not reach the agent there is none.
    pub async fn put(
        &self,
        agent_id: &AgentId,
        new: NewAgent,
        request: ChangeRequest<'_>,
        keep: Keep<'_, CreatedAgent>,
    ) -> Result<PutAgent, ManageError> {
        let authority = self.authority(&request).await?;
        let found = self.parts.store.agent(agent_id, Freshness::Fresh).await?;
        if !found.is_some_and(|found| authority.reaches(&found.agent)) {
            match self.create_and_show(new.clone(), request, keep).await {
                // Somebody else was faster.
                Err(ManageError::Rejected(Rejection {
                    code: RejectionCode::AgentExists,
                    ..
                })) => {}
                created => return created.map(Box::new).map(PutAgent::Created),
            }
        }
        let patch = ProfilePatch {
            org_id: new.org_id,
            ..ProfilePatch::replacing(new.profile)
        };
        let view = self.update(agent_id, &patch, request).await?;
        Ok(PutAgent::Replaced(Box::new(view)))
    }

    /// Makes an agent with its first secret, and shows both. The agent is shown as its commit makes
    /// it, since the reply is kept in that commit.
    pub async fn create_and_show(
        &self,
        new: NewAgent,
        request: ChangeRequest<'_>,
        keep: Keep<'_, CreatedAgent>,
    ) -> Result<CreatedAgent, ManageError> {
        let is_chosen = new.agent_id.is_some();
        let authority = self.authority(&request).await?;
        let agent = self.sketch(&new, &authority)?;
        // Checked before the secret is hashed, and again by the commit.
        self.judge(&authority, &creation(&agent, is_chosen), None)?;
        request.demand(None)?;
        let warnings = self.check_new(&agent).await?;
        let agent_id = agent.agent_id;
        let (secret, credential) = self
            .make_or_sketch_credential(&agent_id, new.secret, &CredentialTerms::default(), &request)
            .await?;
        // The agent begins when its secret has been hashed.
        let agent = Box::new(self.new_agent(&agent_id, agent.org_id, agent.profile));
        let credential_view = CredentialView::of_new(&credential, None, request.act);
        let plans = self.parts.plans.load();
        let created = CreatedAgent {
            view: AgentView {
                credentials: Some(vec![credential_view.clone()]),
                warnings: warnings.clone(),
                ..AgentView::of(&agent, &plans, None, self.parts.clock.now())
            },
            secret: NewSecret {
                agent_id: agent_id.clone(),
                credential: credential_view,
                secret,
                old_expires_at: None,
                warnings,
            },
        };
        for _ in 0..MAX_CONFLICTS {
            let authority = self.authority(&request).await?;
            let mut conditions = self.judge(&authority, &creation(&agent, is_chosen), None)?;
            let (of_org, errors) = self.org_bounds(&agent.org_id, &agent.profile).await?;
            demand_none(errors)?;
            conditions.extend(of_org);
            let change = Change::Agent(AgentChange::Create {
                agent: agent.clone(),
                credential: Box::new(credential.clone()),
            });
            let write = self.write(change, request.act).only_if(conditions);
            let write = keep.keeping(write, &created)?;
            if let Some(attempt) = self.attempt(write, &agent_id, &request).await? {
                demand_made(attempt.outcome)?;
                return Ok(created);
            }
        }
        Err(RejectionCode::AgentKeptChanging.into())
    }

    /// The agent that is to be made, as it is judged. Draws its id if none is given.
    fn sketch(&self, new: &NewAgent, authority: &Authority) -> Result<Agent, service::Error> {
        let agent_id = match &new.agent_id {
            Some(id) => id.clone(),
            None => AgentId::parse(&self.draw_id()?.to_string()).map_err(|rule| fault(rule.0))?,
        };
        let org_id = new.org_id.clone().unwrap_or_else(|| authority.org_id());
        Ok(self.new_agent(&agent_id, org_id, new.profile.clone()))
    }

    /// Checks all of a new agent that can be checked before the commit. Returns what the operator
    /// should know about its scopes.
    async fn check_new(&self, agent: &Agent) -> Result<Vec<String>, ManageError> {
        let catalogue = self.parts.store.catalogue(Freshness::Fresh).await?;
        let terms = &agent.profile.terms;
        let mut errors = scope_errors(&terms.scopes, &catalogue);
        errors.extend(self.plan_errors(&terms.plan));
        errors.extend(self.org_bounds(&agent.org_id, &agent.profile).await?.1);
        demand_none(errors)?;
        let found = self
            .parts
            .store
            .agent(&agent.agent_id, Freshness::Fresh)
            .await?;
        if found.is_some() {
            return Err(RejectionCode::AgentExists.into());
        }
        Ok(open_warnings(&terms.scopes, &catalogue, &self.parts.rules))
    }
}

impl Agents {
    /// What an agent's organization says of this profile: the errors of its scopes, and what must
    /// still be so in the commit. The first organization always exists, and allows every scope.
    pub(super) async fn org_bounds(
        &self,
        org_id: &OrgId,
        profile: &Profile,
    ) -> Result<(Option<CommitCondition>, Vec<FieldError>), service::Error> {
        if org_id.is_default() {
            return Ok((None, vec![]));
        }
        let Some(org) = self.parts.records.org(org_id).await? else {
            return Ok((None, vec![FieldError::new("/orgId", UNKNOWN_ORG)]));
        };
        let condition = CommitCondition::Org {
            org_id: org_id.clone(),
            version: org.version,
        };
        Ok((Some(condition), org_errors(&profile.terms.scopes, &org)))
    }
}

/// `is_chosen`: whether whoever makes the agent chose its id.
fn creation(agent: &Agent, is_chosen: bool) -> AgentOperation<'_> {
    AgentOperation::Create {
        made: holdings(agent),
        chosen_id: is_chosen,
    }
}

fn demand_made(outcome: Outcome) -> Result<(), Rejection> {
    match outcome {
        Outcome::Conflict => Err(RejectionCode::AgentExists.into()),
        outcome => accepted(outcome),
    }
}
