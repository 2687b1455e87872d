//! `GET /api/v1/token/revoked` and `/oauth/revoked-tokens`: the revocation list (contract §4).

use std::sync::Arc;

use axum::response::Response;

use super::error::Failure;
use super::extract::Incoming;
use super::reply::{self, Kept};
use super::state::State;

/// The list from memory; 304 when the client has it.
pub async fn get_revocations(state: Arc<State>, incoming: Incoming) -> Result<Response, Failure> {
    Ok(reply::document(&incoming.headers, &state.list.current(), Kept::Revalidated))
}
