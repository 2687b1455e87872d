//! Making an agent with its first secret, and making or replacing one by its id. Owns the order of
//! steps. Must not know the rules by which a caller is judged.

use std::sync::Arc;

use crate::domain::agent::{Agent, Profile};
use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::permission::AgentOperation;
use crate::domain::rejection::{FieldError, Rejection, RejectionCode};
use crate::store::{AgentChange, AgentRecord, Change, Freshness, Outcome};

use super::agents::{Agents, NewAgent};
use super::attempt::MAX_CONFLICTS;
use super::authority::{UNKNOWN_ORG, holdings};
use super::checks::{demand_none, fault, scope_errors};
use super::error::ManageError;
use super::patch::ProfilePatch;
use super::request::ChangeRequest;
use super::scope_risk::open_warnings;
use super::view::{AgentView, CredentialView, NewSecret};

/// An agent that was just made.
#[derive(Debug)]
pub struct CreatedAgent {
    /// The agent.
    pub view: AgentView,
    /// Its secret; `None` if its creation was only tried.
    pub secret: Option<NewSecret>,
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
        Ok(self.make(new, request.into()).await?.0)
    }

    /// The same as [`Self::create`], and shows the agent.
    pub async fn create_and_show(
        &self,
        new: NewAgent,
        request: ChangeRequest<'_>,
    ) -> Result<CreatedAgent, ManageError> {
        let (mut made, tried) = self.make(new, request).await?;
        let warnings = std::mem::take(&mut made.warnings);
        let (view, secret) = if request.is_dry_run() {
            let record = tried.ok_or(RejectionCode::AgentNotFound)?;
            (self.view(&record).await?, None)
        } else {
            (self.show(&made.agent_id).await?, Some(made))
        };
        let view = AgentView { warnings, ..view };
        Ok(CreatedAgent { view, secret })
    }

    /// Makes the agent with this id, or replaces all that an operator decides about it. For a caller
    /// that does not reach the agent there is none.
    pub async fn put(
        &self,
        agent_id: &AgentId,
        org_id: Option<&OrgId>,
        profile: &Profile,
        request: ChangeRequest<'_>,
    ) -> Result<PutAgent, ManageError> {
        let authority = self.authority(&request).await?;
        let found = self.parts.store.agent(agent_id, Freshness::Fresh).await?;
        if !found.is_some_and(|found| authority.reaches(&found.agent)) {
            let new = NewAgent {
                agent_id: Some(agent_id.clone()),
                org_id: org_id.cloned(),
                secret: None,
                profile: profile.clone(),
            };
            match self.create_and_show(new, request).await {
                // Somebody else was faster.
                Err(ManageError::Rejected(Rejection {
                    code: RejectionCode::AgentExists,
                    ..
                })) => {}
                created => return created.map(Box::new).map(PutAgent::Created),
            }
        }
        let patch = ProfilePatch {
            org_id: org_id.cloned(),
            ..ProfilePatch::replacing(profile.clone())
        };
        let view = self.update(agent_id, &patch, request).await?;
        Ok(PutAgent::Replaced(Box::new(view)))
    }

    /// Makes an agent with its first secret. If that is only tried, returns the agent as it would be.
    async fn make(
        &self,
        new: NewAgent,
        request: ChangeRequest<'_>,
    ) -> Result<(NewSecret, Option<Arc<AgentRecord>>), ManageError> {
        let is_chosen = new.agent_id.is_some();
        let agent_id = match new.agent_id {
            Some(id) => id,
            None => AgentId::parse(&self.draw_id()?.to_string()).map_err(|rule| fault(rule.0))?,
        };
        let authority = self.authority(&request).await?;
        let org_id = new.org_id.unwrap_or_else(|| authority.org_id());
        let agent = self.new_agent(&agent_id, org_id, new.profile);
        // Checked before the secret is hashed, and again by the commit.
        self.judge(&authority, &creation(&agent, is_chosen), None)?;
        request.demand(None)?;
        let warnings = self.check_new(&agent).await?;
        let (secret, credential) = self
            .make_or_sketch_credential(&agent_id, new.secret, &request)
            .await?;
        let made = NewSecret {
            agent_id: agent_id.clone(),
            credential: CredentialView::of_new(&credential, None, request.act),
            secret,
            old_expires_at: None,
            warnings,
        };
        // The agent begins when its secret has been hashed.
        let agent = Box::new(self.new_agent(&agent_id, agent.org_id, agent.profile));
        for _ in 0..MAX_CONFLICTS {
            let authority = self.authority(&request).await?;
            let conditions = self.judge(&authority, &creation(&agent, is_chosen), None)?;
            let change = Change::Agent(AgentChange::Create {
                agent: agent.clone(),
                credential: Box::new(credential.clone()),
            });
            let write = self.write(change, request.act).only_if(conditions);
            if let Some(attempt) = self.attempt(write, &agent_id, &request).await? {
                demand_made(attempt.outcome)?;
                return Ok((made, attempt.tried));
            }
        }
        Err(RejectionCode::AgentKeptChanging.into())
    }

    /// Checks all of a new agent that can be checked before the commit. Returns what the operator
    /// should know about its scopes.
    async fn check_new(&self, agent: &Agent) -> Result<Vec<String>, ManageError> {
        let catalogue = self.parts.store.catalogue(Freshness::Fresh).await?;
        let terms = &agent.profile.terms;
        let mut errors = scope_errors(&terms.scopes, &catalogue);
        errors.extend(self.plan_errors(&terms.plan));
        if !self.parts.records.org_exists(&agent.org_id).await? {
            errors.push(FieldError::new("/orgId", UNKNOWN_ORG));
        }
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
        Outcome::Clash => Err(RejectionCode::IdOfUser.into()),
        _ => Ok(()),
    }
}
