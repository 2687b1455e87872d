//! `POST /api/v1/token/revoke` and `/oauth/revoke` (RFC 7009, contract §3).

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;

use crate::service::revoke::Revoker;

use super::caller::{Call, KNOWN, Proof};
use crate::http::error::{Challenge, Failure};
use crate::http::incoming::Incoming;
use crate::http::reply;
use crate::http::state::State;

/// Revokes a token; `token_type_hint` is advice that nobody needs (RFC 7009 §2.1).
pub async fn revoke_token(state: Arc<State>, incoming: Incoming) -> Result<Response, Failure> {
    let form = incoming.parameters(&KNOWN)?;
    let call = Call::read(&incoming, &form)?;
    let (revoker, challenge) = match call.prove(&state, &incoming, &form).await? {
        Proof::Bearer(bearer) => {
            let caller = state.tokens.caller(bearer).await;
            let caller = caller.map_err(|error| Failure::of(error, Challenge::None))?;
            (Revoker::Bearer(caller), Challenge::None)
        }
        Proof::Client(record, challenge) => (Revoker::Client(record.agent.agent_id.clone()), challenge),
    };
    let within_rate = state.mint.limits.charge_revocation(revoker.agent_id());
    within_rate.map_err(|refusal| Failure::Refused(refusal, challenge))?;
    let done = state.revocation.revoke(&revoker, call.token).await;
    done.map_err(|error| Failure::of(error, challenge))?;
    Ok(reply::json(StatusCode::OK, "{}"))
}
