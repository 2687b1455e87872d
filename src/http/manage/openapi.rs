//! `GET /api/v1/openapi.json`: the document that clients are made from.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;

use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::http::reply;
use crate::http::state::State;

use super::cursor::CursorScope;
use super::fields::Fields;

/// The document. As everywhere in the management API, a parameter that is not known is refused.
pub(crate) async fn get_openapi(
    state: Arc<State>,
    incoming: Incoming,
) -> Result<Response, Failure> {
    Fields::of(&incoming, CursorScope::of_reach(&state.cursors, "")).finish(Some(()))?;
    let document = state.openapi.document();
    Ok(reply::json(StatusCode::OK, document.body.clone()))
}
