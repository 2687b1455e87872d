//! Changes to the state of an agent. Owns what each of them is. Must not know who may ask.

use crate::domain::agent::SuspendedBy;
use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::rejection::RejectionCode;
use crate::domain::scope;
use crate::service;
use crate::store::{AgentChange, Change, Freshness, Outcome};

use super::agents::Agents;
use super::checks::accepted;
use super::error::ManageError;
use super::request::ChangeRequest;
use super::view::AgentView;

impl Agents {
    /// Stops an agent and kills its live tokens at once.
    pub async fn suspend(
        &self,
        agent_id: &AgentId,
        by: SuspendedBy,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<AgentView, ManageError> {
        let suspend = |agent_id| AgentChange::Suspend(agent_id, by);
        self.change(suspend, agent_id, request.into()).await
    }

    /// Lets a suspended agent work again. Its old tokens stay dead.
    pub async fn reactivate(
        &self,
        agent_id: &AgentId,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<AgentView, ManageError> {
        self.change(AgentChange::Reactivate, agent_id, request.into())
            .await
    }

    /// Stops an agent for ever.
    pub async fn decommission(
        &self,
        agent_id: &AgentId,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<AgentView, ManageError> {
        self.change(AgentChange::Decommission, agent_id, request.into())
            .await
    }

    /// Kills an agent's live tokens and leaves it active.
    pub async fn revoke_tokens(
        &self,
        agent_id: &AgentId,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<AgentView, ManageError> {
        self.change(AgentChange::RevokeTokens, agent_id, request.into())
            .await
    }

    /// The organization of an agent, and whether the agent is allowed an admin scope. `None` for an
    /// unknown agent.
    pub(crate) async fn org_and_power(
        &self,
        agent_id: &AgentId,
    ) -> Result<Option<(OrgId, bool)>, service::Error> {
        let found = self.parts.store.agent(agent_id, Freshness::Fresh).await?;
        Ok(found.map(|record| {
            let scopes = &record.agent.profile.terms.scopes;
            let is_admin = scopes.iter().any(|held| scope::is_admin(held.as_str()));
            (record.agent.org_id.clone(), is_admin)
        }))
    }

    /// Makes one change of state, and shows the agent after it.
    async fn change(
        &self,
        change: impl FnOnce(AgentId) -> AgentChange,
        agent_id: &AgentId,
        request: ChangeRequest<'_>,
    ) -> Result<AgentView, ManageError> {
        if let Some(precondition) = request.precondition {
            let found = self.parts.store.agent(agent_id, Freshness::Fresh).await?;
            precondition.demand(found.map(|record| record.agent.version))?;
        }
        let change = change(agent_id.clone());
        let kills = change.kills();
        if request.is_dry_run() {
            let write = self.write(Change::Agent(change), request.act);
            let tried = self.parts.records.rehearse(&write, agent_id).await?;
            accepted(tried.outcome)?;
            let record = tried.agent.ok_or(RejectionCode::AgentNotFound)?;
            return self.view(&record).await;
        }
        let outcome = self.commit(Change::Agent(change), request.act).await?;
        accepted(outcome)?;
        Ok(AgentView {
            tokens_killed: kills && outcome == Outcome::Applied,
            ..self.show(agent_id).await?
        })
    }
}
