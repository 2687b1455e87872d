//! `GET /api/v1/agents` and `/api/v1/agents/{id}` (contract §3).

use std::sync::Arc;

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::domain::id::AgentId;
use crate::domain::refusal::Refusal;
use crate::service::manage::agents::{AgentError, Rejection};
use crate::service::manage::view::AgentView;
use crate::service::tokens::Caller;

use crate::http::authorization::bearer;
use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::http::reply;
use crate::http::state::State;

/// How many agents a page holds when nobody says, and at most.
const PAGE: i64 = 50;
const LARGEST_PAGE: i64 = 200;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    data: Vec<AgentView>,
    limit: i64,
    next_cursor: Option<String>,
}

/// One page of agents, in the order of their ids.
pub async fn list_agents(state: Arc<State>, incoming: Incoming) -> Result<Response, Failure> {
    let caller = caller(&state, &incoming).await?;
    caller.require("agents:read")?;
    let query = incoming.query_parameters(&["limit", "cursor"])?;
    let limit = match query.one("limit")?.map(str::parse::<i64>) {
        None => PAGE,
        Some(Ok(limit)) if (1..=LARGEST_PAGE).contains(&limit) => limit,
        Some(_) => return Err(invalid("The limit must be a number from 1 to 200.")),
    };
    let after = query.one("cursor")?.map(read_cursor).transpose()?;
    // One more than asked for tells whether there is a next page.
    let mut data = state.agents.list(after.as_ref(), limit + 1).await?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = data.len() > most;
    data.truncate(most);
    let next_cursor = data.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(&last.agent_id));
    reply::json_of(&Page { data, limit, next_cursor })
}

/// One agent. An agent reads itself with any token of its own.
pub async fn get_agent(state: Arc<State>, incoming: Incoming) -> Result<Response, Failure> {
    let caller = caller(&state, &incoming).await?;
    let asked = incoming.path_part.as_deref().and_then(|text| AgentId::parse(text).ok());
    if asked.as_ref() != Some(caller.agent_id()) {
        caller.require("agents:read")?;
    }
    // An id outside the alphabet is simply unknown (contract D10).
    let Some(agent_id) = asked else { return Err(not_found()) };
    match state.agents.show(&agent_id).await {
        Ok(view) => reply::json_of(&view),
        Err(AgentError::Rejected(Rejection::NotFound)) => Err(not_found()),
        Err(AgentError::Rejected(rejection)) => Err(Failure::fault(&rejection.to_string())),
        Err(AgentError::Failed(error)) => Err(error.into()),
    }
}

async fn caller(state: &State, incoming: &Incoming) -> Result<Caller, Failure> {
    Ok(state.tokens.caller(&bearer(&incoming.headers, Refusal::InvalidToken)?).await?)
}

/// A cursor is the last id of the page before: typed, so that a tampered one is refused or harmless.
fn read_cursor(text: &str) -> Result<AgentId, Failure> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|id| AgentId::parse(&id).ok())
        .ok_or_else(|| invalid("The cursor is not one of this server."))
}

fn invalid(why: &'static str) -> Failure {
    Refusal::InvalidRequest(why).into()
}

fn not_found() -> Failure {
    Refusal::AgentNotFound.into()
}
