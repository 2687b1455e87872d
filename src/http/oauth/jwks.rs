//! `GET /.well-known/jwks.json` (RFC 7517): served from memory, during a database outage too.

use std::sync::Arc;

use axum::response::Response;

use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::http::reply::{self, Kept};
use crate::http::state::State;

/// The published keys.
pub(crate) async fn get_jwks(state: Arc<State>, incoming: Incoming) -> Result<Response, Failure> {
    Ok(reply::document(
        &incoming.headers,
        &state.keyring.jwks(),
        Kept::Public,
    ))
}
