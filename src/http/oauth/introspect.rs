//! `POST /api/v1/token/introspect` (RFC 7662, contract §3).

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::domain::refusal::Refusal;
use crate::keys::claims::{Aud, Claims};
use crate::telemetry::metrics;

use super::caller::{CallerProof, KNOWN, TokenQuestion};
use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::http::reply;
use crate::http::state::State;

const TOKENS_READ: &str = "tokens:read";

#[derive(Serialize)]
struct IntrospectionReply<'a> {
    active: bool,
    sub: &'a str,
    client_id: &'a str,
    scope: &'a str,
    token_type: &'static str,
    iat: i64,
    exp: i64,
    aud: &'a Aud,
    iss: &'a str,
    jti: &'a str,
}

/// Tells a caller with the necessary scope whether a token is active.
pub(crate) async fn introspect_token(
    state: Arc<State>,
    incoming: Incoming,
) -> Result<Response, Failure> {
    let form = incoming.parameters(&KNOWN)?;
    let call = TokenQuestion::read(&incoming, &form)?;
    let found = match call.prove(&state, &incoming, &form).await? {
        CallerProof::Bearer(bearer) => {
            let (caller, found) = state.tokens.introspect_as(bearer, call.token).await?;
            incoming.context.prove(caller.agent_id());
            state.limits.charge_introspection(caller.agent_id())?;
            found
        }
        CallerProof::Client(agent_id, terms) => {
            state.limits.charge_introspection(&agent_id)?;
            if !terms.scopes.iter().any(|s| s.as_str() == TOKENS_READ) {
                return Err(Refusal::InsufficientScope(TOKENS_READ).into());
            }
            state.tokens.introspect(call.token).await?
        }
    };
    metrics::introspection(found.is_some());
    render(found.as_deref().map(|genuine| &genuine.claims))
}

/// RFC 7662 §2.2: the response says nothing else about an inactive token.
fn render(claims: Option<&Claims>) -> Result<Response, Failure> {
    let Some(claims) = claims else {
        return Ok(reply::json(StatusCode::OK, "{\"active\":false}"));
    };
    reply::json_of(&IntrospectionReply {
        active: true,
        sub: &claims.sub,
        client_id: &claims.client_id,
        scope: &claims.scope,
        token_type: "Bearer",
        iat: claims.iat,
        exp: claims.exp,
        aud: &claims.aud,
        iss: &claims.iss,
        jti: &claims.jti,
    })
}
