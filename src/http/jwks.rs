//! `GET /.well-known/jwks.json` (RFC 7517): from memory, through a database outage too.

use std::sync::Arc;

use axum::response::Response;

use super::error::Failure;
use super::extract::Incoming;
use super::reply::{self, Kept};
use super::state::State;

/// The published keys.
pub async fn get_jwks(state: Arc<State>, incoming: Incoming) -> Result<Response, Failure> {
    Ok(reply::document(&incoming.headers, &state.keyring.jwks(), Kept::Public))
}
