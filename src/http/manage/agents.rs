//! `GET /api/v1/agents` and `/api/v1/agents/{id}` (contract §3).

use std::sync::Arc;

use crate::api::agents::AgentJson;
use crate::domain::id::AgentId;
use crate::http::error::Failure;
use crate::http::state::State;

use super::cursor::CursorScope;
use super::endpoint::Call;
use super::fields::{Fields, Input};
use super::page::{Page, PageQuery};

/// A page of agents; a position is the id of an agent.
pub(super) struct AgentsPage(PageQuery<AgentId>);

impl Input for AgentsPage {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let position = |bytes: &[u8]| AgentId::parse(std::str::from_utf8(bytes).ok()?).ok();
        let page = PageQuery::read(fields, "agents", String::new(), position);
        Some(Self(page))
    }
}

/// One page of agents, in the order of their ids.
pub(super) async fn list_agents(
    state: Arc<State>,
    call: Call<AgentsPage>,
) -> Result<Page<AgentJson>, Failure> {
    let query = &call.input.0;
    let agents = state
        .agents
        .list(query.after.as_ref(), query.rows())
        .await?;
    let agents = agents.into_iter().map(AgentJson::from).collect();
    let cursors = CursorScope::new(&state.cursors, call.caller.reach());
    Ok(Page::of(agents, query, cursors, |agent: &AgentJson| {
        agent.agent_id.as_bytes()
    }))
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
