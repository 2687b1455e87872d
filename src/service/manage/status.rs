//! Changes to the state of an agent. Owns what each of them is, and what an agent must be
//! allowed to ask for it.

use crate::domain::agent::{Agent, AgentStatus, SuspendedBy};
use crate::domain::id::AgentId;
use crate::domain::permission::AgentOperation;
use crate::domain::rejection::RejectionCode;
use crate::store::{AgentChange, Change, Outcome};

use super::agents::Agents;
use super::attempt::MAX_CONFLICTS;
use super::authority::holdings;
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
        self.change(suspend, kill, agent_id, request.into()).await
    }

    /// Lets a suspended agent work again. Its old tokens stay dead.
    pub async fn reactivate(
        &self,
        agent_id: &AgentId,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<AgentView, ManageError> {
        self.change(
            AgentChange::Reactivate,
            reactivation,
            agent_id,
            request.into(),
        )
        .await
    }

    /// Stops an agent for ever.
    pub async fn decommission(
        &self,
        agent_id: &AgentId,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<AgentView, ManageError> {
        self.change(
            AgentChange::Decommission,
            decommission,
            agent_id,
            request.into(),
        )
        .await
    }

    /// Kills an agent's live tokens and leaves it active.
    pub async fn revoke_tokens(
        &self,
        agent_id: &AgentId,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<AgentView, ManageError> {
        self.change(AgentChange::RevokeTokens, kill, agent_id, request.into())
            .await
    }

    /// Makes one change of state, and shows the agent after it. What the decision rests on is
    /// compared in the commit; if it changed meanwhile, the change is decided again.
    async fn change(
        &self,
        change: impl Fn(AgentId) -> AgentChange,
        operation: fn(&Agent) -> AgentOperation<'_>,
        agent_id: &AgentId,
        request: ChangeRequest<'_>,
    ) -> Result<AgentView, ManageError> {
        for _ in 0..MAX_CONFLICTS {
            let (authority, record) = self.reached(agent_id, &request).await?;
            let operation = operation(&record.agent);
            let conditions = self.allowed(&authority, &operation, &record, &request)?;
            let change = change(agent_id.clone());
            let kills = change.kills();
            let write = self.write(Change::Agent(change), request.act);
            let write = write.only_if(conditions);
            let Some(attempt) = self.attempt(write, agent_id, &request).await? else {
                continue;
            };
            accepted(attempt.outcome)?;
            if request.is_dry_run() {
                let record = attempt.tried.ok_or(RejectionCode::AgentNotFound)?;
                return self.view(&record).await;
            }
            return Ok(AgentView {
                tokens_killed: kills && attempt.outcome == Outcome::Applied,
                ..self.show(agent_id).await?
            });
        }
        Err(RejectionCode::AgentKeptChanging.into())
    }
}

fn kill(agent: &Agent) -> AgentOperation<'_> {
    AgentOperation::Kill(holdings(agent))
}

fn reactivation(agent: &Agent) -> AgentOperation<'_> {
    let by_agent = agent.suspended_by == Some(SuspendedBy::Agent);
    AgentOperation::Reactivate {
        target: holdings(agent),
        // To reactivate an active agent changes nothing.
        suspended_by_admin: agent.status == AgentStatus::Suspended && !by_agent,
    }
}

fn decommission(agent: &Agent) -> AgentOperation<'_> {
    AgentOperation::Decommission(holdings(agent))
}
