//! `GET /.well-known/jwks.json` (RFC 7517): from memory, through a database outage too.

use std::sync::Arc;

use axum::http::HeaderValue;
use axum::http::header::ACCESS_CONTROL_ALLOW_ORIGIN;
use axum::response::Response;

use super::error::Failure;
use super::extract::Incoming;
use super::revocations::cacheable;
use super::state::State;

/// How long public documents may be kept: far shorter than a new key is announced before it signs.
pub const PUBLIC_FOR_FIVE_MINUTES: &str = "public, max-age=300";

/// The published keys.
pub async fn get_jwks(state: Arc<State>, incoming: Incoming) -> Result<Response, Failure> {
    let jwks = state.keyring.jwks();
    let mut response =
        cacheable(&incoming.headers, &jwks.etag, PUBLIC_FOR_FIVE_MINUTES, || jwks.body.clone());
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Ok(response)
}
