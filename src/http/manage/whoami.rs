//! `GET /api/v1/whoami`: what the caller's own token says, and the state of its agent.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::agents::UsageJson;
use crate::domain::time::Timestamp;
use crate::http::error::Failure;
use crate::http::state::State;

use super::call::Call;

/// The caller.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Whoami {
    /// The agent that the token names.
    agent_id: String,
    /// Its organization.
    org_id: String,
    /// The token's scopes.
    scopes: Vec<String>,
    /// When the agent expires, in RFC 3339 UTC. `null` means never.
    #[schema(format = DateTime, required)]
    expires_at: Option<String>,
    /// Its plan.
    plan: String,
    /// Tokens issued this month.
    usage: UsageJson,
}

/// Shows the caller.
pub(super) async fn get_whoami(state: Arc<State>, call: Call<()>) -> Result<Whoami, Failure> {
    let shown = state.agents.show(call.caller.agent_id()).await?;
    Ok(Whoami {
        agent_id: shown.agent.agent_id.to_string(),
        org_id: shown.agent.org_id.to_string(),
        scopes: call.caller.scopes().map(str::to_owned).collect(),
        expires_at: shown.agent.profile.expires_at.map(Timestamp::to_rfc3339),
        plan: shown.agent.profile.terms.plan.to_string(),
        usage: shown.usage.into(),
    })
}
