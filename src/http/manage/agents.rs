//! `GET /api/v1/agents`, `/api/v1/agents/{id}` (contract §3) and `/api/v1/agents/{id}/usage`.

use std::sync::Arc;

use crate::api::agents::AgentJson;
use crate::api::usage::AgentUsageJson;
use crate::domain::agent_filter::AgentFilter;
use crate::domain::id::AgentId;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::usage::Day;
use crate::http::error::Failure;
use crate::http::state::State;
use crate::service::manage::usage::UsageQuery;
use crate::service::manage::view::AgentView;
use crate::service::tokens::Caller;

use super::agent_filter::read_agent_filter;
use super::answer::Reply;
use super::call::Call;
use super::cursor::CursorScope;
use super::fields::{Fields, Input};
use super::page::{Page, PageQuery};

/// A page of the agents that meet a filter; a position is the id of an agent.
pub(super) struct AgentsPage {
    filter: AgentFilter,
    page: PageQuery<AgentId>,
}

impl Input for AgentsPage {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let filter = read_agent_filter(fields);
        let bound = filter.canonical();
        let page = PageQuery::read(fields, "agents", bound, AgentId::from_position);
        Some(Self { filter, page })
    }
}

/// One page of agents, in the order of their ids.
pub(super) async fn list_agents(
    state: Arc<State>,
    call: Call<AgentsPage>,
) -> Result<Page<AgentJson>, Failure> {
    let (
        AgentsPage {
            filter,
            page: query,
        },
        caller,
    ) = (&call.input, &call.caller);
    let (own, after) = (caller.limited_to(), query.after.as_ref());
    let page = state.agents.list(filter, own, after, query.limit).await?;
    let cursors = CursorScope::new(&state.cursors, caller);
    let next = page
        .next
        .as_ref()
        .map(|id| query.cursor(cursors, id.as_str().as_bytes()));
    let agents = page.agents.into_iter().map(AgentJson::from).collect();
    Ok(Page::new(agents, query.limit, next))
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
) -> Result<Reply<AgentJson>, Failure> {
    let view = within_reach(&call.caller, state.agents.show(&call.input.0).await?)?;
    let version = view.agent.version;
    Ok(Reply::ok(view.into()).with_version(version))
}

/// The agent, if the caller reaches its organisation. An agent out of reach does not exist.
pub(super) fn within_reach(caller: &Caller, shown: AgentView) -> Result<AgentView, Rejection> {
    if caller.reaches(&shown.agent.org_id) {
        Ok(shown)
    } else {
        Err(RejectionCode::AgentNotFound.into())
    }
}

/// The usage of the agent that the path names.
pub(super) struct UsageOf(AgentId, UsageQuery);

impl Input for UsageOf {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let day = |text: &str| Day::parse(text).map_err(|rule| rule.0);
        let query = UsageQuery {
            from: fields.query("from", day),
            to: fields.query("to", day),
        };
        Some(Self(fields.agent_id()?, query))
    }
}

/// What one agent used.
pub(super) async fn get_usage(
    state: Arc<State>,
    call: Call<UsageOf>,
) -> Result<AgentUsageJson, Failure> {
    let UsageOf(agent_id, query) = &call.input;
    within_reach(&call.caller, state.agents.show(agent_id).await?)?;
    Ok(state.agents.usage(agent_id, *query).await?.into())
}
