//! Making an agent with its first secret, and making or replacing one by its id. Owns the order of
//! steps. Must not know who may ask.

use crate::domain::act::Act;
use crate::domain::agent::Profile;
use crate::domain::id::AgentId;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::store::{AgentChange, Change, Freshness, Outcome};

use super::agents::{Agents, NewAgent};
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

/// An agent that is ready to be made.
struct PreparedAgent {
    change: Change,
    made: NewSecret,
}

impl Agents {
    /// Makes an agent with its first secret.
    pub async fn create(&self, new: NewAgent, act: &Act) -> Result<NewSecret, ManageError> {
        let prepared = self.prepare(new, act).await?;
        demand_made(self.commit(prepared.change, act).await?)?;
        Ok(prepared.made)
    }

    /// The same as [`Self::create`], and shows the agent.
    pub async fn create_and_show(
        &self,
        new: NewAgent,
        request: ChangeRequest<'_>,
    ) -> Result<CreatedAgent, ManageError> {
        request.demand(None)?;
        let PreparedAgent { change, mut made } = self.prepare(new, request.act).await?;
        let warnings = std::mem::take(&mut made.warnings);
        let (view, secret) = if request.is_dry_run() {
            let write = self.write(change, request.act);
            let tried = self.parts.records.rehearse(&write, &made.agent_id).await?;
            demand_made(tried.outcome)?;
            let record = tried.agent.ok_or(RejectionCode::AgentNotFound)?;
            (self.view(&record).await?, None)
        } else {
            demand_made(self.commit(change, request.act).await?)?;
            (self.show(&made.agent_id).await?, Some(made))
        };
        let view = AgentView { warnings, ..view };
        Ok(CreatedAgent { view, secret })
    }

    /// Makes the agent with this id, or replaces all that an operator decides about it.
    pub async fn put(
        &self,
        agent_id: &AgentId,
        profile: &Profile,
        request: ChangeRequest<'_>,
    ) -> Result<PutAgent, ManageError> {
        let found = self.parts.store.agent(agent_id, Freshness::Fresh).await?;
        if found.is_none() {
            let new = NewAgent {
                agent_id: Some(agent_id.clone()),
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
        let patch = ProfilePatch::replacing(profile.clone());
        let view = self.update(agent_id, &patch, request).await?;
        Ok(PutAgent::Replaced(Box::new(view)))
    }

    /// Checks all that can be checked before the commit, and draws what is not given.
    async fn prepare(&self, new: NewAgent, act: &Act) -> Result<PreparedAgent, ManageError> {
        let agent_id = match new.agent_id {
            Some(id) => id,
            None => AgentId::parse(&self.draw_id()?.to_string()).map_err(|rule| fault(rule.0))?,
        };
        let catalogue = self.parts.store.catalogue(Freshness::Fresh).await?;
        let terms = &new.profile.terms;
        demand_none(
            [
                scope_errors(&terms.scopes, &catalogue),
                self.plan_errors(&terms.plan),
            ]
            .concat(),
        )?;
        let warnings = open_warnings(&terms.scopes, &catalogue, &self.parts.rules);
        // Checked before the secret is hashed, and again by the commit.
        let found = self.parts.store.agent(&agent_id, Freshness::Fresh).await?;
        if found.is_some() {
            return Err(RejectionCode::AgentExists.into());
        }
        let (secret, credential) = self.make_credential(&agent_id, new.secret).await?;
        let made = NewSecret {
            agent_id: agent_id.clone(),
            credential: CredentialView::of_new(&credential, None, act),
            secret: Some(secret),
            old_expires_at: None,
            warnings,
        };
        let change = Change::Agent(AgentChange::Create {
            agent: Box::new(self.new_agent(&agent_id, new.profile)),
            credential: Box::new(credential),
        });
        Ok(PreparedAgent { change, made })
    }
}

fn demand_made(outcome: Outcome) -> Result<(), Rejection> {
    match outcome {
        Outcome::Conflict => Err(RejectionCode::AgentExists.into()),
        Outcome::Clash => Err(RejectionCode::IdOfUser.into()),
        _ => Ok(()),
    }
}
