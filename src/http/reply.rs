//! Replies: JSON with a status, and documents that a client may already have.
//!
//! Owns content types and conditional answers. Must not know what a reply says.

use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE,
    ETAG, HeaderMap, IF_NONE_MATCH,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;

use crate::document::Document;

use super::error::Failure;

/// How a document may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Asked for anew each time; the tag spares the body.
    Revalidated,
    /// By anybody for five minutes, far shorter than a new key is announced before it signs, and by
    /// scripts of any origin.
    Public,
}

/// JSON text.
pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response {
    typed(status, "application/json", body)
}

/// A problem as JSON (RFC 9457 §3).
pub(crate) fn problem<T: Serialize>(status: StatusCode, details: &T) -> Response {
    // Strings and a number always serialise; without a body the status still stands.
    typed(
        status,
        "application/problem+json",
        serde_json::to_vec(details).unwrap_or_default(),
    )
}

/// Plain text.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Response {
    typed(status, "text/plain", body)
}

fn typed(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = (status, body.into()).into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// A value as JSON, with status 200.
pub(crate) fn json_of<T: Serialize>(value: &T) -> Result<Response, Failure> {
    match serde_json::to_vec(value) {
        Ok(body) => Ok(json(StatusCode::OK, body)),
        Err(error) => Err(Failure::fault(&error.to_string())),
    }
}

/// A document: 304 without body when `If-None-Match` holds its tag.
pub(crate) fn document(headers: &HeaderMap, document: &Document, kept: Kept) -> Response {
    let body = (!matches_etag(headers, &document.etag)).then(|| document.body.clone());
    described(body, &document.etag, kept)
}

/// The headers that go with a document's body, or with a 304 in its place.
pub(crate) fn described(body: Option<Bytes>, etag: &str, kept: Kept) -> Response {
    let mut response = match body {
        Some(body) => json(StatusCode::OK, body),
        None => StatusCode::NOT_MODIFIED.into_response(),
    };
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(etag) {
        headers.insert(ETAG, value);
    }
    let cache_control = match kept {
        Kept::Revalidated => "no-cache",
        Kept::Public => {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("etag"),
            );
            "public, max-age=300"
        }
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
    response
}

/// The answer to a script that asks whether it may read a public document, with headers of its own
/// (`If-None-Match`, `MCP-Protocol-Version`) too: it may, and need not ask again for a day.
pub(crate) fn preflight() -> Response {
    let headers = [
        (ALLOW, "GET, HEAD, OPTIONS"),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "*"),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// RFC 9110 §13.1.2: a list of tags or `*`, compared weakly.
pub(crate) fn matches_etag(headers: &HeaderMap, etag: &str) -> bool {
    let same = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag;
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| same(tag.trim()))
}
