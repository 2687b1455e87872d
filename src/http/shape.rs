//! How a failure is written: the body of each shape, and the header fields that go with it.
//!
//! Owns the words and bytes that a client gets. Nothing that a client sent is ever written back.

use axum::http::HeaderValue;
use axum::http::header::{ALLOW, HeaderName, RETRY_AFTER};
use axum::response::Response;
use serde_json::json;

use crate::domain::refusal::Refusal;
use crate::domain::rejection::{FieldError, Rejection, RejectionCode};

use super::accepts::Reads;
use super::error::{ErrorText, Failure};
use super::reply;

/// How a path writes its errors.
#[derive(Clone, Copy)]
pub enum Shape {
    /// RFC 6749 §5.2. If a Bearer token fails, the members of the management shape are added
    /// (contract §3).
    OAuth,
    /// `{"code","message","details"}`.
    Management,
    /// As the path's dialect writes it, from the failure and the request id.
    Dialect(fn(&Failure, &str) -> Response),
}

/// Writes a failure in the path's shape.
pub(crate) fn render(shape: Shape, failure: &Failure, request_id: &str) -> Response {
    let mut response = match shape {
        Shape::OAuth => oauth_error(failure),
        Shape::Management => management_error(failure, request_id),
        Shape::Dialect(write) => write(failure, request_id),
    };
    let headers = response.headers_mut();
    for (name, value) in extra_headers(failure) {
        headers.append(name, value);
    }
    response
}

// The bodies are written by hand, because the contract fixes them byte for byte, with the members
// in order.

/// The body and status of [`Shape::OAuth`].
pub(crate) fn oauth_error(failure: &Failure) -> Response {
    let shown = failure.error_text();
    let (error, text) = (json!(shown.code), json!(shown.message));
    let body = if matches!(shown.code, "invalid_token" | "insufficient_scope") {
        let code = json!(management_code(failure, &shown));
        format!(
            "{{\"error\":{error},\"error_description\":{text},\"code\":{code},\"message\":{text}}}"
        )
    } else {
        format!("{{\"error\":{error},\"error_description\":{text}}}")
    };
    reply::json(shown.status, body)
}

fn management_error(failure: &Failure, request_id: &str) -> Response {
    let shown = failure.error_text();
    let (code, text) = (
        json!(management_code(failure, &shown)),
        json!(shown.message),
    );
    let mut details = json!({ "requestId": request_id });
    if let Failure::Rejected(Rejection { errors, facts, .. }) = failure {
        let error = |e: &FieldError| json!({ "field": e.field, "reason": e.reason });
        if !errors.is_empty() {
            details["errors"] = errors.iter().map(error).collect();
        }
        for (name, value) in facts {
            details[name] = value.clone();
        }
    }
    reply::json(
        shown.status,
        format!("{{\"code\":{code},\"message\":{text},\"details\":{details}}}"),
    )
}

fn management_code(failure: &Failure, shown: &ErrorText) -> &'static str {
    match (failure, shown.status.as_u16()) {
        (Failure::Rejected(rejection), _) => rejection.code.as_str(),
        (_, 401) => "UNAUTHORIZED",
        (_, 403) => "FORBIDDEN",
        (_, 404) => "NOT_FOUND",
        (_, 405) => "METHOD_NOT_ALLOWED",
        (_, 413) => "PAYLOAD_TOO_LARGE",
        (_, 415) => "UNSUPPORTED_MEDIA_TYPE",
        (_, 429) => "RATE_LIMIT_EXCEEDED",
        (_, 500) => "INTERNAL_ERROR",
        (_, 503) => "SERVICE_UNAVAILABLE",
        _ => "VALIDATION_ERROR",
    }
}

/// How many seconds to wait for an event to be in the log: a token waits ten at most.
const NOT_LOGGED_RETRY: &str = "10";

fn extra_headers(failure: &Failure) -> Vec<(HeaderName, HeaderValue)> {
    let fixed = |name, text: &'static str| vec![(name, HeaderValue::from_static(text))];
    match failure {
        Failure::MethodNotAllowed(allow) => {
            HeaderValue::from_str(allow).map_or_else(|_| vec![], |value| vec![(ALLOW, value)])
        }
        // RFC 5789 §3.1, and for POST the field of the Linked Data Platform.
        Failure::MediaType(Reads::MergePatch) => fixed(
            HeaderName::from_static("accept-patch"),
            reply::MERGE_PATCH_TYPES,
        ),
        Failure::MediaType(Reads::Json) => {
            fixed(HeaderName::from_static("accept-post"), "application/json")
        }
        Failure::TooSlow | Failure::Crowded | Failure::Unavailable(_) => fixed(RETRY_AFTER, "1"),
        Failure::Rejected(rejection) if rejection.code == RejectionCode::IdempotencyInProgress => {
            fixed(RETRY_AFTER, "1")
        }
        Failure::Rejected(rejection) if rejection.code == RejectionCode::NotLoggedYet => {
            fixed(RETRY_AFTER, NOT_LOGGED_RETRY)
        }
        Failure::Refused(Refusal::SlowDown { retry_after_ms }) => {
            // Whole seconds, rounded up: a client that retries a moment too early would be refused
            // again.
            vec![(
                RETRY_AFTER,
                HeaderValue::from(retry_after_ms.div_ceil(1_000).max(1)),
            )]
        }
        _ => vec![],
    }
}
