//! `GET /metrics` on the operators' listener: the Prometheus text format.

use std::sync::Arc;

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::http::state::State;

/// All counters.
pub(crate) async fn get_metrics(state: Arc<State>, _: Incoming) -> Result<Response, Failure> {
    let mut response = state.metrics.render().into_response();
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    Ok(response)
}
