//! `GET /.well-known/oauth-authorization-server` and its other name, and the authorization
//! endpoint, which the metadata names only because libraries demand it.

use std::sync::Arc;

use axum::response::Response;

use crate::domain::refusal::Refusal;
use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::http::reply::{self, Kept};
use crate::http::state::State;

/// The metadata document.
pub(crate) async fn get_metadata(
    state: Arc<State>,
    incoming: Incoming,
) -> Result<Response, Failure> {
    Ok(reply::document(
        &incoming.headers,
        state.metadata.document(),
        Kept::Public,
    ))
}

/// `GET /oauth/authorize`: a clear error for clients that follow the metadata to this endpoint.
pub(crate) async fn refuse_authorization(_: Arc<State>, _: Incoming) -> Result<Response, Failure> {
    Err(Refusal::UnsupportedResponseType.into())
}
