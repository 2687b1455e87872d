//! `POST /api/v1/token/revoke` and `/oauth/revoke` (RFC 7009, contract §3).

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;

use crate::service::revoke::Revoker;

use super::caller::{CallerProof, KNOWN, TokenQuestion};
use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::http::reply;
use crate::http::state::State;

/// Revokes a token. `token_type_hint` is a hint that this server does not use (RFC 7009 §2.1).
pub(crate) async fn revoke_token(
    state: Arc<State>,
    incoming: Incoming,
) -> Result<Response, Failure> {
    let form = incoming.parameters(&KNOWN)?;
    let call = TokenQuestion::read(&incoming, &form)?;
    let revoker = match call.prove(&state, &incoming, &form).await? {
        CallerProof::Bearer(bearer) => Revoker::Bearer(state.tokens.caller(bearer).await?),
        CallerProof::Client {
            agent_id,
            credential,
            ..
        } => Revoker::Client(agent_id, credential),
    };
    incoming.context.prove(revoker.agent_id());
    state.limits.charge_revocation(revoker.agent_id())?;
    state
        .revocation
        .revoke(&revoker, call.token, &incoming.context)
        .await?;
    Ok(reply::json(StatusCode::OK, "{}"))
}
