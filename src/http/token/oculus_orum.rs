//! The dialect of `/oauth/token`: form or JSON, for clients of Oculus, Orum and RFC 6749. All three
//! understand the one error body (contract §4 and §5).

use axum::http::header::HeaderName;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::json;

use crate::domain::refusal::Refusal;
use crate::http::error::{ErrorText, Failure};
use crate::http::reply;

use super::dialect::{Credentials, Dialect};
use super::grants::CLIENT_CREDENTIALS;
use super::rfc6749::render_token;

/// The dialect. A request need not name its grant type, because this endpoint has only one.
pub(crate) static OCULUS_ORUM: Dialect = Dialect {
    name: "oculus_orum",
    known: CLIENT_CREDENTIALS.known(),
    grants: &[&CLIENT_CREDENTIALS],
    grant_when_unnamed: Some(&CLIENT_CREDENTIALS),
    credentials: Credentials::Required,
    takes_assertions: true,
    tells_quota: true,
    render: render_token,
    write_failure,
};

static RETRY_IN: HeaderName = HeaderName::from_static("x-retry-in");

/// Writes any failure of the path in the one body that all clients of this dialect understand.
fn write_failure(failure: &Failure, request_id: &str) -> Response {
    let refusal = match failure {
        Failure::Refused(refusal) => Some(refusal),
        _ => None,
    };
    let shown = failure.error_text();
    let (status, code, mut error_code) = codes(refusal, &shown);
    let mut message = shown.message.as_str();
    if let Some(words) = credential_words(refusal) {
        (error_code, message) = words;
    }
    let orum_message = if status == StatusCode::TOO_MANY_REQUESTS {
        "Too Many Requests"
    } else {
        message
    };
    // `error` is an object, because Oculus's client fails on a text. `error_description` beside it
    // tells RFC 6749's clients that this is not a token.
    let (message, orum_message) = (json!(message), json!(orum_message));
    let error = format!(
        "{{\"code\":\"{code}\",\"message\":{message},\"request_id\":{}}}",
        json!(request_id)
    );
    let body = format!(
        "{{\"error\":{error},\"error_code\":\"{error_code}\",\"message\":{orum_message},\
         \"details\":null,\"error_description\":{message}}}"
    );
    let mut response = reply::json(status, body);
    if let Some(Refusal::SlowDown { retry_after_ms }) = refusal {
        let wait = format!("{}.{:03}s", retry_after_ms / 1_000, retry_after_ms % 1_000);
        if let Ok(wait) = HeaderValue::from_str(&wait) {
            response.headers_mut().insert(RETRY_IN.clone(), wait);
        }
    }
    response
}

/// Status, Oculus's `error.code` and Orum's `error_code`: the table of contract §4. Only two rows
/// have a status different from that of [`ErrorText`].
fn codes(refusal: Option<&Refusal>, shown: &ErrorText) -> (StatusCode, &'static str, &'static str) {
    let (unauthorized, forbidden) = (StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN);
    match (refusal, shown.status) {
        (Some(Refusal::AgentSuspended | Refusal::AgentExpired), _) => {
            (forbidden, "AUTH_AGENT_SUSPENDED", "forbidden")
        }
        (Some(Refusal::AgentDecommissioned), _) => {
            (unauthorized, "AUTH_AGENT_REVOKED", "unauthorized")
        }
        (Some(Refusal::ScopeNotAllowed | Refusal::NoScopes), _) => {
            (forbidden, "POLICY_SCOPE_DENIED", "forbidden")
        }
        (Some(Refusal::QuotaReached { .. }), _) => (forbidden, "QUOTA_EXCEEDED", "forbidden"),
        (_, StatusCode::UNAUTHORIZED) => (unauthorized, "AUTH_INVALID_CREDENTIALS", "unauthorized"),
        (_, status @ StatusCode::TOO_MANY_REQUESTS) => {
            (status, "RATE_LIMIT_EXCEEDED", "too_many_requests")
        }
        (_, status @ StatusCode::SERVICE_UNAVAILABLE) => {
            (status, "SERVICE_UNAVAILABLE", "service_unavailable")
        }
        (_, status @ StatusCode::INTERNAL_SERVER_ERROR) => {
            (status, "INTERNAL_ERROR", "internal_server_error")
        }
        (_, status) => (status, "VALIDATION_ERROR", "bad_request"),
    }
}

/// Orum's `error_code` and message for a `client_id` or `client_secret` that is missing or not a
/// text.
fn credential_words(refusal: Option<&Refusal>) -> Option<(&'static str, &'static str)> {
    match refusal? {
        Refusal::MissingParameter("client_id") => {
            Some(("missing_client_id", "client_id is required"))
        }
        Refusal::MissingParameter("client_secret") => {
            Some(("missing_client_secret", "client_secret is required"))
        }
        Refusal::MistypedParameter("client_id") => {
            Some(("invalid_client_id", "client_id must be a string"))
        }
        Refusal::MistypedParameter("client_secret") => {
            Some(("invalid_client_secret", "client_secret must be a string"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::shape::{Shape, render};

    /// Status, `error.code`, `error_code` and the header fields that say when to retry.
    fn told(failure: &Failure) -> (u16, String, String, [String; 2]) {
        let response = render(Shape::Dialect(super::write_failure), failure, "r-1");
        let wait = ["retry-after", "x-retry-in"].map(|name| {
            response
                .headers()
                .get(name)
                .map_or("", |value| value.to_str().unwrap())
                .to_owned()
        });
        let status = response.status().as_u16();
        let body = futures_util::FutureExt::now_or_never(axum::body::to_bytes(
            response.into_body(),
            4_096,
        ));
        let body: serde_json::Value = serde_json::from_slice(&body.unwrap().unwrap()).unwrap();
        assert_eq!(body["error"]["request_id"], "r-1");
        assert_eq!(
            (&body["details"], &body["error"]["message"]),
            (&json!(null), &body["error_description"])
        );
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        (
            status,
            text(&body["error"]["code"]),
            text(&body["error_code"]),
            wait,
        )
    }

    #[test]
    fn every_failure_has_the_one_body() {
        let unavailable = ("SERVICE_UNAVAILABLE", "service_unavailable", ["1", ""]);
        let invalid = ("VALIDATION_ERROR", "bad_request", ["", ""]);
        let wait = |ms| Failure::Refused(Refusal::SlowDown { retry_after_ms: ms });
        let limited = |wait| ("RATE_LIMIT_EXCEEDED", "too_many_requests", wait);
        for (failure, status, (code, error_code, headers)) in [
            (Failure::TooSlow, 503, unavailable),
            (
                Failure::Unavailable(std::sync::Arc::new(fmt_error())),
                503,
                unavailable,
            ),
            (
                Failure::fault("x"),
                500,
                ("INTERNAL_ERROR", "internal_server_error", ["", ""]),
            ),
            (Failure::TooLarge, 413, invalid),
            (Failure::SlowBody, 408, invalid),
            (Failure::BrokenBody, 400, invalid),
            (wait(1_250), 429, limited(["2", "1.250s"])),
            (wait(7), 429, limited(["1", "0.007s"])),
            (wait(61_000), 429, limited(["61", "61.000s"])),
        ] {
            let expected = (
                status,
                code.to_owned(),
                error_code.to_owned(),
                headers.map(str::to_owned),
            );
            assert_eq!(told(&failure), expected, "{failure:?}");
        }
    }

    fn fmt_error() -> std::fmt::Error {
        std::fmt::Error
    }
}
