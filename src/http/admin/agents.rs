//! `GET /api/v1/agents` and `/api/v1/agents/{id}` (contract §3).

use std::sync::Arc;

use axum::response::Response;

use super::super::error::Failure;
use super::super::extract::Incoming;
use super::super::state::State;

/// stub
pub async fn list_agents(_: Arc<State>, _: Incoming) -> Result<Response, Failure> {
    Err(Failure::NotFound)
}
/// stub
pub async fn get_agent(_: Arc<State>, _: Incoming) -> Result<Response, Failure> {
    Err(Failure::NotFound)
}
