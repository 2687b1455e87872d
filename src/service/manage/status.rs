//! Changes to the state of an agent. Owns what each of them is. Must not know who may ask.

use crate::domain::act::Act;
use crate::domain::agent::SuspendedBy;
use crate::domain::id::AgentId;
use crate::store::{AgentChange, Change};

use super::agents::Agents;
use super::checks::accepted;
use super::error::ManageError;
use super::view::AgentView;

impl Agents {
    /// Stops an agent and kills its live tokens at once.
    pub async fn suspend(
        &self,
        agent_id: &AgentId,
        by: SuspendedBy,
        act: &Act,
    ) -> Result<AgentView, ManageError> {
        let suspend = |agent_id| AgentChange::Suspend(agent_id, by);
        self.change(suspend, agent_id, act).await
    }

    /// Lets a suspended agent work again. Its old tokens stay dead.
    pub async fn reactivate(
        &self,
        agent_id: &AgentId,
        act: &Act,
    ) -> Result<AgentView, ManageError> {
        self.change(AgentChange::Reactivate, agent_id, act).await
    }

    /// Stops an agent for ever.
    pub async fn decommission(
        &self,
        agent_id: &AgentId,
        act: &Act,
    ) -> Result<AgentView, ManageError> {
        self.change(AgentChange::Decommission, agent_id, act).await
    }

    /// Kills an agent's live tokens and leaves it active.
    pub async fn revoke_tokens(
        &self,
        agent_id: &AgentId,
        act: &Act,
    ) -> Result<AgentView, ManageError> {
        self.change(AgentChange::RevokeTokens, agent_id, act).await
    }

    /// Makes one change of state, and shows the agent after it.
    async fn change(
        &self,
        change: impl FnOnce(AgentId) -> AgentChange,
        agent_id: &AgentId,
        act: &Act,
    ) -> Result<AgentView, ManageError> {
        let change = Change::Agent(change(agent_id.clone()));
        accepted(self.commit(change, act).await?)?;
        self.show(agent_id).await
    }
}
