//! `POST /api/v1/agents/{id}/suspend`, `/reactivate`, `/decommission` and `/revoke-tokens`, and
//! `DELETE /api/v1/agents/{id}`, which is decommission.

use std::sync::Arc;

use crate::api::agents::AgentJson;
use crate::domain::act::ChangeReason;
use crate::domain::agent::SuspendedBy;
use crate::domain::id::AgentId;
use crate::http::error::Failure;
use crate::http::state::State;
use crate::service;
use crate::service::manage::view::AgentView;

use super::answer::Reply;
use super::body::body;
use super::call::WriteCall;
use super::fields::{Fields, Input};

body! {
    /// The body of an action.
    pub(super) struct ActionBody {
        /// Why it is done: 1 to 200 characters, which stand in the event.
        optional reason("reason"): ChangeReason,
    }
}

/// An action on the agent that the path names.
pub(super) struct AgentAction {
    agent_id: AgentId,
    reason: Option<ChangeReason>,
}

impl Input for AgentAction {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (agent_id, body) = (fields.agent_id(), fields.action_body::<ActionBody>());
        Some(Self {
            agent_id: agent_id?,
            reason: body?.reason,
        })
    }
}

/// Stops an agent and kills its live tokens.
pub(super) async fn suspend_agent(
    state: Arc<State>,
    call: WriteCall<AgentAction>,
) -> Result<Reply<AgentJson>, Failure> {
    let act = call.act(&state, call.input.reason.as_ref());
    let request = call.request(&act);
    let by = if call.caller.is_admin() {
        SuspendedBy::Operator
    } else {
        SuspendedBy::Agent
    };
    let changed = state.agents.suspend(&call.input.agent_id, by, request);
    shown(&state, changed.await?).await
}

/// Lets a suspended agent work again.
pub(super) async fn reactivate_agent(
    state: Arc<State>,
    call: WriteCall<AgentAction>,
) -> Result<Reply<AgentJson>, Failure> {
    let act = call.act(&state, call.input.reason.as_ref());
    let request = call.request(&act);
    let changed = state.agents.reactivate(&call.input.agent_id, request);
    shown(&state, changed.await?).await
}

/// Stops an agent for ever.
pub(super) async fn decommission_agent(
    state: Arc<State>,
    call: WriteCall<AgentAction>,
) -> Result<Reply<AgentJson>, Failure> {
    let act = call.act(&state, call.input.reason.as_ref());
    let request = call.request(&act);
    let changed = state.agents.decommission(&call.input.agent_id, request);
    shown(&state, changed.await?).await
}

/// Kills an agent's live tokens and leaves it active.
pub(super) async fn revoke_agent_tokens(
    state: Arc<State>,
    call: WriteCall<AgentAction>,
) -> Result<Reply<AgentJson>, Failure> {
    let act = call.act(&state, call.input.reason.as_ref());
    let request = call.request(&act);
    let changed = state.agents.revoke_tokens(&call.input.agent_id, request);
    shown(&state, changed.await?).await
}

/// The reply that shows the agent after its change.
pub(super) async fn shown(state: &State, view: AgentView) -> Result<Reply<AgentJson>, Failure> {
    let version = view.agent.version;
    let agent = after_change(state, view).await?;
    Ok(Reply::ok(agent).with_version(version))
}

/// The agent after its change. If tokens were killed, this process's revocation list has the kill
/// before the response is sent (contract D7).
pub(super) async fn after_change(
    state: &State,
    view: AgentView,
) -> Result<AgentJson, service::Error> {
    let revocation_version = if view.tokens_killed {
        Some(state.list.read_own_kill().await?)
    } else {
        None
    };
    Ok(AgentJson {
        revocation_version,
        ..view.into()
    })
}
