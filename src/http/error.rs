//! The map from errors to statuses. A dialect may change a row if the system that it imitates
//! answers differently.
//!
//! Owns what a client is told. Must not know in which shape. A fault's text goes to the log alone.

use std::error::Error as StdError;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::InvalidHeaderValue;

use crate::domain::context::RequestContext;
use crate::domain::event::reason::RefusalReason;
use crate::domain::refusal::Refusal;
use crate::domain::rejection::{Class, Rejection};
use crate::service::{self, Error, manage};
use crate::telemetry::{error_chain, metrics};

use super::accepts::Reads;

type SharedError = Arc<dyn StdError + Send + Sync>;

/// Why a request did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// RFC 9110 §15.5.6, with the methods that the path answers, for `Allow`.
    MethodNotAllowed(String),
    /// A media type that the path does not read, with the bodies that the path does read.
    MediaType(Reads),
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
    Refused(Refusal),
    /// An operator's request that cannot be carried out.
    Rejected(Rejection),
    /// Infrastructure failed; the cause is for the log.
    Unavailable(SharedError),
    /// A bug or a broken row; the cause is for the log.
    Fault(SharedError),
}

impl Failure {
    /// A fault without an underlying error, only a sentence for the log.
    pub fn fault(why: &str) -> Self {
        Self::Fault(Arc::new(service::Cause(why.to_owned())))
    }

    /// Logs a fault once, with its chain of causes. Refusals are expected, so they are logged at
    /// debug level.
    pub fn log(&self, route: &'static str, request_id: &str) {
        match self {
            Self::Fault(cause) => {
                metrics::failed_request("fault");
                tracing::error!(
                    route,
                    request_id,
                    cause = error_chain(&**cause),
                    "request failed"
                );
            }
            Self::Unavailable(cause) => {
                metrics::failed_request("unavailable");
                tracing::warn!(
                    route,
                    request_id,
                    cause = error_chain(&**cause),
                    "request could not be served"
                );
            }
            Self::TooSlow => {
                metrics::failed_request("too_slow");
                tracing::warn!(route, request_id, "request took too long");
            }
            other => {
                let code = other.error_text().code;
                tracing::debug!(route, request_id, code, "request refused");
            }
        }
    }

    /// Why the request was refused. `None` if it was not refused: something was not found, was in
    /// conflict with the stored state, or is a fault.
    pub fn refusal_reason(&self, context: &RequestContext) -> Option<RefusalReason> {
        match self {
            Self::Refused(Refusal::InvalidClient) => Some(
                context
                    .failed_proof()
                    .unwrap_or(RefusalReason::NoCredentials),
            ),
            Self::Refused(refusal) => Some(refusal.reason()),
            Self::Rejected(rejection) => match rejection.code.class() {
                Class::Invalid => Some(RefusalReason::Malformed),
                Class::Forbidden => Some(RefusalReason::Scope),
                Class::NotFound | Class::Conflict | Class::Reused | Class::Outdated => None,
            },
            Self::TooSlow | Self::Crowded | Self::Unavailable(_) => {
                Some(RefusalReason::Unavailable)
            }
            Self::MethodNotAllowed(_)
            | Self::MediaType(_)
            | Self::TooLarge
            | Self::SlowBody
            | Self::BrokenBody => Some(RefusalReason::Malformed),
            Self::Fault(_) | Self::NotFound => None,
        }
    }

    /// The word in the request's line in the log, if the request was not refused.
    pub fn other_reason(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Rejected(rejection) if rejection.code.class() == Class::NotFound => "not_found",
            Self::Rejected(_) => "conflict",
            _ => "fault",
        }
    }

    /// The one map from failures to statuses and RFC 6749 codes.
    pub fn error_text(&self) -> ErrorText {
        let (status, code, message) = match self {
            Self::MethodNotAllowed(_) => (
                405,
                "invalid_request",
                "The method is not allowed here.".to_owned(),
            ),
            Self::MediaType(reads) => {
                let status = if reads.is_json() { 415 } else { 400 };
                let text = match reads {
                    Reads::Json => "The body must be application/json.",
                    Reads::MergePatch => {
                        "The body must be application/merge-patch+json or application/json."
                    }
                    Reads::FormOrJson => {
                        "The body must be application/x-www-form-urlencoded or application/json."
                    }
                    _ => "The body must be application/x-www-form-urlencoded.",
                };
                (status, "invalid_request", text.to_owned())
            }
            Self::TooLarge => (
                413,
                "invalid_request",
                "The body is larger than 64 KiB.".to_owned(),
            ),
            Self::SlowBody => (
                408,
                "invalid_request",
                "The body did not arrive in time.".to_owned(),
            ),
            Self::BrokenBody => (400, "invalid_request", "The body is incomplete.".to_owned()),
            Self::NotFound => (
                404,
                "not_found",
                "There is nothing at this path.".to_owned(),
            ),
            Self::TooSlow | Self::Crowded | Self::Unavailable(_) => {
                let text = "The service is temporarily unavailable. Retry later.";
                (503, "temporarily_unavailable", text.to_owned())
            }
            Self::Refused(refusal) => {
                let (status, code) = of_refusal(refusal);
                (status, code, refusal.message())
            }
            Self::Rejected(rejection) => {
                let (status, code) = of_class(rejection.code.class());
                (status, code, rejection.sentence())
            }
            Self::Fault(_) => (
                500,
                "server_error",
                "An internal error occurred.".to_owned(),
            ),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        ErrorText {
            status,
            code,
            message,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<manage::ManageError> for Failure {
    fn from(error: manage::ManageError) -> Self {
        match error {
            manage::ManageError::Rejected(rejection) => Self::Rejected(rejection),
            manage::ManageError::Failed(error) => error.into(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => Self::Refused(refusal),
            Error::Unavailable(cause) => Self::Unavailable(cause),
            Error::Fault(cause) => Self::Fault(cause),
        }
    }
}

impl From<InvalidHeaderValue> for Failure {
    fn from(error: InvalidHeaderValue) -> Self {
        Self::Fault(Arc::new(error))
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Fault(Arc::new(error))
    }
}

/// Codes of RFC 6749 §4.1.2.1 and §5.2, RFC 6750 §3.1 and RFC 8707 §2. A dialect may answer
/// otherwise.
fn of_refusal(refusal: &Refusal) -> (u16, &'static str) {
    match refusal {
        Refusal::InvalidRequest(_)
        | Refusal::MissingParameter(_)
        | Refusal::MistypedParameter(_)
        | Refusal::RepeatedParameter(_)
        | Refusal::BracketedParameter(_)
        | Refusal::ParameterInUri(_) => (400, "invalid_request"),
        Refusal::UnsupportedGrantType => (400, "unsupported_grant_type"),
        Refusal::UnsupportedResponseType => (400, "unsupported_response_type"),
        Refusal::InvalidCode => (400, "invalid_grant"),
        Refusal::InvalidClient => (401, "invalid_client"),
        Refusal::AgentSuspended
        | Refusal::AgentExpired
        | Refusal::AgentDecommissioned
        | Refusal::QuotaReached { .. } => (403, "unauthorized_client"),
        Refusal::MalformedScope | Refusal::ScopeNotAllowed | Refusal::NoScopes => {
            (400, "invalid_scope")
        }
        Refusal::InvalidTarget | Refusal::MalformedTarget(_) => (400, "invalid_target"),
        Refusal::SlowDown { .. } => (429, "slow_down"),
        Refusal::MissingToken | Refusal::InvalidToken => (401, "invalid_token"),
        Refusal::InsufficientScope(_) | Refusal::DemandNotMet => (403, "insufficient_scope"),
    }
}

/// The status of a rejection's class. The code is for shapes that do not show the rejection's own
/// code.
fn of_class(class: Class) -> (u16, &'static str) {
    match class {
        Class::Invalid => (400, "invalid_request"),
        Class::Forbidden => (403, "access_denied"),
        Class::NotFound => (404, "not_found"),
        Class::Conflict => (409, "conflict"),
        Class::Reused => (422, "unprocessable_content"),
        Class::Outdated => (412, "precondition_failed"),
    }
}

/// What a client is told, before a shape writes it.
#[derive(Debug)]
pub struct ErrorText {
    /// HTTP status.
    pub status: StatusCode,
    /// RFC 6749 `error`.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use crate::domain::rejection::RejectionCode;

    use super::*;

    #[test]
    fn a_rejection_has_the_status_of_its_class_and_is_no_fault() {
        for (code, status) in [
            (RejectionCode::ValidationError, 400),
            (RejectionCode::Forbidden, 403),
            (RejectionCode::ScopeNotFound, 404),
            (RejectionCode::VersionMismatch, 412),
            (RejectionCode::AgentDecommissioned, 409),
            (RejectionCode::IdempotencyKeyReused, 422),
            (RejectionCode::IdempotencyInProgress, 409),
        ] {
            let failure = Failure::from(manage::ManageError::from(code));
            assert_eq!(failure.error_text().status.as_u16(), status, "{code:?}");
        }
        let failure = Failure::from(manage::ManageError::Failed(Refusal::InvalidToken.into()));
        assert_eq!(failure.error_text().status.as_u16(), 401);
    }
}
