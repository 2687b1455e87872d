//! The error → status map, and the shapes in which errors are written. A dialect may move a row, where
//! the system that it imitates answers otherwise.
//!
//! Owns what a caller is told. Nothing a caller sent is ever written back, and a fault's text goes to
//! the log alone.

use std::error::Error as StdError;
use std::sync::Arc;

use axum::http::header::{ALLOW, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::json;

use crate::domain::refusal::Refusal;
use crate::service::{self, Error};
use crate::telemetry::metrics;

use super::Accepts;
use super::reply;
use super::token::dialect::Dialect;

/// How a 401 says what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// Not at all: the client did not try an HTTP scheme.
    None,
    /// `WWW-Authenticate: Basic` (RFC 6749 §5.2); beside `Bearer` where a token would have done as well.
    Basic,
}

type Cause = Arc<dyn StdError + Send + Sync>;

/// Why a request was not answered with what it asked for.
#[derive(Debug)]
pub enum Failure {
    /// RFC 9110 §15.5.6; what is allowed instead.
    MethodNotAllowed(&'static str),
    /// A media type that the path does not read; what it reads.
    MediaType(Accepts),
    /// A body above the limit.
    TooLarge,
    /// A body that did not arrive in time.
    SlowBody,
    /// A body that broke off.
    BrokenBody,
    /// Too many bodies are arriving at once.
    Crowded,
    /// No such path.
    NotFound,
    /// An operation that took too long.
    TooSlow,
    /// An expected refusal.
    Refused(Refusal, Challenge),
    /// Infrastructure failed; the cause is for the log.
    Unavailable(Cause),
    /// A bug or a broken row; the cause is for the log.
    Fault(Cause),
}

impl Failure {
    /// A fault that is nothing but a sentence for the log.
    pub fn fault(why: &str) -> Self {
        Self::Fault(Arc::new(service::Cause(why.to_owned())))
    }

    /// The failure of an operation, challenged in this way when the client is unknown.
    pub fn of(error: Error, challenge: Challenge) -> Self {
        match error {
            Error::Refused(refusal) => Self::Refused(refusal, challenge),
            Error::Unavailable(cause) => Self::Unavailable(cause),
            Error::Fault(cause) => Self::Fault(cause),
        }
    }

    /// Logs a fault once, with its chain; refusals are expected and logged for debugging only.
    pub fn log(&self, route: &'static str, request_id: &str) {
        match self {
            Self::Fault(cause) => {
                metrics::failed_request("fault");
                tracing::error!(route, request_id, cause = chain(&**cause), "request failed");
            }
            Self::Unavailable(cause) => {
                metrics::failed_request("unavailable");
                tracing::warn!(route, request_id, cause = chain(&**cause), "request could not be served");
            }
            Self::TooSlow => {
                metrics::failed_request("unavailable");
                tracing::warn!(route, request_id, "request took too long");
            }
            other => {
                let code = other.problem().code;
                tracing::debug!(route, request_id, code, "request refused");
            }
        }
    }

    /// The one map from failures to statuses and RFC 6749 codes.
    pub fn problem(&self) -> Problem {
        let (status, code, message) = match self {
            Self::MethodNotAllowed(_) => {
                (405, "invalid_request", "The method is not allowed here.".to_owned())
            }
            Self::MediaType(accepts) => {
                let text = match accepts {
                    Accepts::FormOrJson => {
                        "The body must be application/x-www-form-urlencoded or application/json."
                    }
                    _ => "The body must be application/x-www-form-urlencoded.",
                };
                (400, "invalid_request", text.to_owned())
            }
            Self::TooLarge => (413, "invalid_request", "The body is larger than 64 KiB.".to_owned()),
            Self::SlowBody => (408, "invalid_request", "The body did not arrive in time.".to_owned()),
            Self::BrokenBody => (400, "invalid_request", "The body is incomplete.".to_owned()),
            Self::NotFound => (404, "not_found", "There is nothing at this path.".to_owned()),
            Self::TooSlow | Self::Crowded | Self::Unavailable(_) => {
                let text = "The service is temporarily unavailable. Retry later.";
                (503, "temporarily_unavailable", text.to_owned())
            }
            Self::Refused(refusal, _) => {
                let (status, code) = of_refusal(refusal);
                (status, code, refusal.message())
            }
            Self::Fault(_) => (500, "server_error", "An internal error occurred.".to_owned()),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Problem { status, code, message }
    }
}

/// RFC 6749 §5.2, RFC 6750 §3.1 and RFC 8707 §2 codes; 403 where the imitated systems answer so.
fn of_refusal(refusal: &Refusal) -> (u16, &'static str) {
    match refusal {
        Refusal::InvalidRequest(_)
        | Refusal::MissingParameter(_)
        | Refusal::MistypedParameter(_)
        | Refusal::RepeatedParameter(_)
        | Refusal::BracketedParameter(_)
        | Refusal::ParameterInUri(_) => (400, "invalid_request"),
        Refusal::UnsupportedGrantType => (400, "unsupported_grant_type"),
        Refusal::InvalidCode => (400, "invalid_grant"),
        Refusal::InvalidClient => (401, "invalid_client"),
        Refusal::AgentSuspended | Refusal::AgentDecommissioned | Refusal::QuotaReached { .. } => {
            (403, "unauthorized_client")
        }
        Refusal::MalformedScope | Refusal::ScopeNotAllowed | Refusal::NoScopes => (400, "invalid_scope"),
        Refusal::InvalidTarget | Refusal::MalformedTarget(_) => (400, "invalid_target"),
        Refusal::SlowDown { .. } => (429, "slow_down"),
        Refusal::MissingToken | Refusal::InvalidToken => (401, "invalid_token"),
        Refusal::InsufficientScope(_) | Refusal::DemandNotMet => (403, "insufficient_scope"),
        Refusal::AgentNotFound => (404, "not_found"),
    }
}

/// What is told, before it takes a shape.
#[derive(Debug)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// RFC 6749 `error`.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
}

fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

/// How a path writes its errors.
#[derive(Clone, Copy)]
pub enum Shape {
    /// RFC 6749 §5.2; a failed Bearer has the management members beside it (contract §3).
    OAuth,
    /// `{"code","message","details"}`.
    Management,
    /// As the dialect spoken there has it.
    Dialect(&'static dyn Dialect),
}

/// Writes a failure in the path's shape.
pub fn render(shape: Shape, failure: &Failure, request_id: &str) -> Response {
    let mut response = match shape {
        Shape::OAuth => oauth_error(failure),
        Shape::Management => management_error(failure, request_id),
        Shape::Dialect(dialect) => dialect.refuse(failure, request_id),
    };
    let status = response.status();
    let headers = response.headers_mut();
    for (name, value) in extra_headers(failure, status) {
        headers.append(name, value);
    }
    response
}

// The bodies are written by hand, since the contract has them to the letter, members in order.

/// [`Shape::OAuth`]'s body and status.
pub fn oauth_error(failure: &Failure) -> Response {
    let problem = failure.problem();
    let (error, text) = (json!(problem.code), json!(problem.message));
    let body = if matches!(problem.code, "invalid_token" | "insufficient_scope") {
        let code = json!(management_code(failure, &problem));
        format!("{{\"error\":{error},\"error_description\":{text},\"code\":{code},\"message\":{text}}}")
    } else {
        format!("{{\"error\":{error},\"error_description\":{text}}}")
    };
    reply::json(problem.status, body)
}

fn management_error(failure: &Failure, request_id: &str) -> Response {
    let problem = failure.problem();
    let (code, text) = (json!(management_code(failure, &problem)), json!(problem.message));
    let details = json!({ "requestId": request_id });
    reply::json(problem.status, format!("{{\"code\":{code},\"message\":{text},\"details\":{details}}}"))
}

fn management_code(failure: &Failure, problem: &Problem) -> &'static str {
    match (failure, problem.status.as_u16()) {
        (Failure::Refused(Refusal::AgentNotFound, _), _) => "AGENT_NOT_FOUND",
        (_, 401) => "UNAUTHORIZED",
        (_, 403) => "FORBIDDEN",
        (_, 404) => "NOT_FOUND",
        (_, 405) => "METHOD_NOT_ALLOWED",
        (_, 429) => "RATE_LIMIT_EXCEEDED",
        (_, 500) => "INTERNAL_ERROR",
        (_, 503) => "SERVICE_UNAVAILABLE",
        _ => "VALIDATION_ERROR",
    }
}

/// RFC 6750 §3.1: a request without a token gets no error code.
const BEARER: &str = "Bearer realm=\"sealwright\"";
const BASIC: &str = "Basic realm=\"sealwright\", charset=\"UTF-8\"";

fn extra_headers(failure: &Failure, status: StatusCode) -> Vec<(HeaderName, HeaderValue)> {
    let fixed = |name, text: &'static str| vec![(name, HeaderValue::from_static(text))];
    match failure {
        Failure::MethodNotAllowed(allow) => fixed(ALLOW, allow),
        Failure::TooSlow | Failure::Crowded | Failure::Unavailable(_) => fixed(RETRY_AFTER, "1"),
        // In fields of their own, since clients that read one challenge a field are many.
        Failure::Refused(Refusal::MissingToken, Challenge::Basic) => {
            [fixed(WWW_AUTHENTICATE, BEARER), fixed(WWW_AUTHENTICATE, BASIC)].concat()
        }
        Failure::Refused(Refusal::MissingToken, Challenge::None) => fixed(WWW_AUTHENTICATE, BEARER),
        // RFC 9110 §15.5.2: whatever the dialect calls the reason.
        Failure::Refused(_, Challenge::Basic) if status == StatusCode::UNAUTHORIZED => {
            fixed(WWW_AUTHENTICATE, BASIC)
        }
        Failure::Refused(Refusal::InvalidToken, _) => {
            let text = "Bearer realm=\"sealwright\", error=\"invalid_token\", error_description=\"The access token is invalid, expired or revoked.\"";
            fixed(WWW_AUTHENTICATE, text)
        }
        Failure::Refused(Refusal::InsufficientScope(scope), _) => {
            let text =
                format!("Bearer realm=\"sealwright\", error=\"insufficient_scope\", scope=\"{scope}\"");
            HeaderValue::from_str(&text).map_or_else(|_| vec![], |value| vec![(WWW_AUTHENTICATE, value)])
        }
        Failure::Refused(Refusal::DemandNotMet, _) => {
            fixed(WWW_AUTHENTICATE, "Bearer realm=\"sealwright\", error=\"insufficient_scope\"")
        }
        Failure::Refused(Refusal::SlowDown { retry_after_ms }, _) => {
            // Whole seconds, rounded up: coming a moment too early would be refused again.
            vec![(RETRY_AFTER, HeaderValue::from(retry_after_ms.div_ceil(1_000).max(1)))]
        }
        _ => vec![],
    }
}
