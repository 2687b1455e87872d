//! Responses: JSON with a status, and documents that a client may have cached.
//!
//! Owns content types and conditional responses. Must not know what a response says.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE,
    ETAG, HeaderMap, HeaderName, IF_NONE_MATCH,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;

use crate::document::Document;

use super::error::Failure;

/// How a client may cache a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// The client asks again each time; the entity tag saves it the body.
    Revalidated,
    /// Anybody may cache the document for five minutes, and scripts of any origin may read it. A
    /// new key is announced for far longer than that before it signs.
    Public,
}

/// The media type of plain text.
pub(crate) const TEXT: &str = "text/plain";

/// The media type of bytes of no further type.
pub(crate) const OCTETS: &str = "application/octet-stream";

/// The media type of lines of JSON.
pub(crate) const NDJSON: &str = "application/x-ndjson";

/// JSON text.
pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response {
    typed(status, "application/json", body)
}

/// A problem as JSON (RFC 9457 §3).
pub(crate) fn problem<T: Serialize>(status: StatusCode, details: &T) -> Response {
    // Strings and a number always serialise. Without a body the status would still be right.
    typed(
        status,
        "application/problem+json",
        serde_json::to_vec(details).unwrap_or_default(),
    )
}

/// Plain text.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Response {
    typed(status, TEXT, body)
}

/// Bytes of no further type.
pub(crate) fn octets(status: StatusCode, body: impl Into<Bytes>) -> Response {
    typed(status, OCTETS, body)
}

/// The response with this `Cache-Control`.
pub(crate) fn with_caching(mut response: Response, caching: &'static str) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    response
}

fn typed(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Lines of JSON, which are made while they are sent.
pub(crate) fn ndjson(body: Body) -> Response {
    let mut response = body.into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    response
}

/// A value as JSON, with status 200.
pub(crate) fn json_of<T: Serialize>(value: &T) -> Result<Response, Failure> {
    Ok(json(StatusCode::OK, serde_json::to_vec(value)?))
}

/// A document, or 304 without a body if `If-None-Match` holds the document's tag.
pub(crate) fn document(headers: &HeaderMap, document: &Document, kept: Kept) -> Response {
    let body = (!matches_etag(headers, &document.etag)).then(|| document.body.clone());
    described(body, &document.etag, kept)
}

/// The header fields that go with a document's body, or with a 304 in its place.
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

/// The response to a script that asks whether it may read a public document, also with its own
/// header fields (`If-None-Match`, `MCP-Protocol-Version`). It may, and it need not ask again for a
/// day.
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

/// The media types of a merge patch, for `Accept-Patch` (RFC 5789 §3.1).
pub(super) const MERGE_PATCH_TYPES: &str = "application/merge-patch+json, application/json";

/// The response to OPTIONS at a path of the management API, with the methods of that path.
pub(crate) fn options(allow: &str, reads_patch: bool) -> Result<Response, Failure> {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_str(allow)?);
    if reads_patch {
        let types = HeaderValue::from_static(MERGE_PATCH_TYPES);
        headers.insert(HeaderName::from_static("accept-patch"), types);
    }
    Ok(response)
}

/// RFC 9110 §13.1.2: a list of tags or `*`, compared weakly.
pub(crate) fn matches_etag(headers: &HeaderMap, etag: &str) -> bool {
    asked_tags(headers).any(|tag| tag == "*" || tag == etag)
}

/// The tags of `If-None-Match`, or `*`, without the mark of a weak one.
pub(crate) fn asked_tags(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .map(|tag| tag.strip_prefix("W/").unwrap_or(tag))
}

/// How long a response was held until there was news. It stands in the response's extensions, since
/// this is no time of work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeldTime(pub Duration);
