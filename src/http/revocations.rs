//! `GET /api/v1/token/revoked` and `/oauth/revoked-tokens`: the revocation list (contract §4).
//!
//! Also owns the conditional answer that the other cacheable documents share.

use std::sync::Arc;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::error::Failure;
use super::extract::Incoming;
use super::state::State;

/// The list from memory; 304 when the client has it.
pub async fn get_revocations(state: Arc<State>, incoming: Incoming) -> Result<Response, Failure> {
    let list = state.list.current();
    Ok(cacheable(&incoming.headers, &list.etag, "no-cache", || list.body.to_string()))
}

/// A document with a strong entity tag: 304 without body when `If-None-Match` holds it.
pub fn cacheable(
    headers: &HeaderMap,
    etag: &str,
    cache_control: &'static str,
    body: impl FnOnce() -> String,
) -> Response {
    let mut response = if matches_etag(headers, etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut full = body().into_response();
        full.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        full
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
    if let Ok(value) = HeaderValue::from_str(etag) {
        headers.insert(ETAG, value);
    }
    response
}

/// RFC 9110 §13.1.2: a list of tags or `*`, compared weakly.
fn matches_etag(headers: &HeaderMap, etag: &str) -> bool {
    let same = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag;
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| same(tag.trim()))
}
