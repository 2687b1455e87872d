//! `GET /api/v1/openapi.json`: the document that clients are made from.

use std::sync::Arc;

use axum::response::Response;

use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::http::reply::{self, Kept};
use crate::http::state::State;

/// The document.
pub(crate) async fn get_openapi(
    state: Arc<State>,
    incoming: Incoming,
) -> Result<Response, Failure> {
    let document = state.openapi.document();
    Ok(reply::document(
        &incoming.headers,
        document,
        Kept::Revalidated,
    ))
}
