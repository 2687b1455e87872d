//! `POST /api/v1/token/revoke` and `/oauth/revoke` (RFC 7009, contract §3).

use std::sync::Arc;

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::domain::refusal::Refusal;
use crate::service::revoke::Revoker;
use crate::store::Freshness;

use super::error::{Challenge, Failure};
use super::extract::{Authorization, Form, Incoming, authorization, client_credentials};
use super::introspect::{refuse_second_method, required_token};
use super::state::State;

/// Revokes a token; `token_type_hint` is advice that nobody needs (RFC 7009 §2.1).
pub async fn revoke_token(state: Arc<State>, incoming: Incoming) -> Result<Response, Failure> {
    let authorization = authorization(&incoming.headers)?;
    let form = Form::parse(&incoming.body)?;
    let token = required_token(&form)?;
    let (revoker, challenge) = if let Authorization::Bearer(bearer) = &authorization {
        refuse_second_method(&form)?;
        let caller = state.tokens.caller(bearer).await.map_err(|e| Failure::of(e, Challenge::None))?;
        (Revoker::Bearer(caller), Challenge::None)
    } else {
        let Some((credentials, challenge)) = client_credentials(&authorization, &form, incoming.peer)? else {
            return Err(Failure::Refused(Refusal::MissingToken, Challenge::None));
        };
        let failed = |error| Failure::of(error, challenge);
        let record =
            state.authenticator.authenticate(&credentials, Freshness::Fresh).await.map_err(failed)?;
        record.agent.status.admit().map_err(|refusal| failed(refusal.into()))?;
        (Revoker::Client(record.agent.agent_id.clone()), challenge)
    };
    state.revocation.revoke(&revoker, token).await.map_err(|e| Failure::of(e, challenge))?;
    let mut response = "{}".into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
