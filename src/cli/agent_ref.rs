//! How a command names the agent that it is about.

use clap::Args;

use crate::domain::agent::AgentName;
use crate::domain::id::AgentId;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::service::manage::agents::Agents;

use super::failure::CommandFailure;

/// One agent, by its id or by its name.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct AgentRef {
    /// The agent's id
    id: Option<String>,
    /// The agent's name, if no other agent has it
    #[arg(long, value_parser = AgentName::parse)]
    name: Option<AgentName>,
}

impl AgentRef {
    /// The agent's id. A name is looked up in the store.
    pub(super) async fn find(&self, agents: &Agents) -> Result<AgentId, CommandFailure> {
        match (&self.id, &self.name) {
            (Some(id), _) => parse_id(id),
            (None, Some(name)) => Ok(agents.find_named(name).await?),
            (None, None) => Err(Rejection::from(RejectionCode::AgentNotFound).into()),
        }
    }
}

/// Parses an agent's id. A text that cannot be an id belongs to no agent, so the error is
/// `AgentNotFound`, not bad usage.
pub(super) fn parse_id(id: &str) -> Result<AgentId, CommandFailure> {
    AgentId::parse(id).map_err(|_| Rejection::from(RejectionCode::AgentNotFound).into())
}
