//! `GET /api/v1/agents` and `/api/v1/agents/{id}` (contract §3).

use std::sync::Arc;

use crate::api::agents::AgentJson;
use crate::domain::id::AgentId;
use crate::http::error::Failure;
use crate::http::state::State;

use super::endpoint::Call;
use super::fields::{Fields, Input};
use super::page::{Page, PageQuery};

impl Input for PageQuery {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self::read(fields))
    }
}

/// One page of agents, in the order of their ids.
pub(super) async fn list_agents(
    state: Arc<State>,
    call: Call<PageQuery>,
) -> Result<Page<AgentJson>, Failure> {
    let query = &call.input;
    let agents = state
        .agents
        .list(query.after.as_ref(), query.rows())
        .await?;
    let agents = agents.into_iter().map(AgentJson::from).collect();
    Ok(Page::of(agents, query, |agent| &agent.agent_id))
}

/// The agent that the path names.
pub(super) struct OneAgent(AgentId);

impl Input for OneAgent {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.agent_id().map(Self)
    }
}

/// One agent.
pub(super) async fn get_agent(
    state: Arc<State>,
    call: Call<OneAgent>,
) -> Result<AgentJson, Failure> {
    Ok(state.agents.show(&call.input.0).await?.into())
}
