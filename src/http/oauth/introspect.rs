//! `POST /api/v1/token/introspect` (RFC 7662, contract §3).

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::keys::claims::{Aud, Claims};
use crate::service::introspection::Introspector;
use crate::telemetry::metrics;

use super::caller::{CallerProof, KNOWN, TokenQuestion};
use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::http::reply;
use crate::http::state::State;

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
    let proof = call.prove(&state, &incoming, &form).await?;
    let asks = match &proof {
        CallerProof::Bearer(bearer) => Introspector::Bearer(bearer),
        CallerProof::Client {
            agent_id,
            org_id,
            terms,
            ..
        } => Introspector::Client {
            agent_id,
            org_id,
            terms,
        },
    };
    let found = state
        .introspection
        .introspect(&asks, call.token, &incoming.context)
        .await?;
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
