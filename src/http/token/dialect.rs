//! The differences between the systems that clients come from: what clients send and how they are
//! answered, nothing else.
//!
//! Owns what may differ. A dialect is a row of values. It must not know how a request is read, so
//! it can neither skip a phase nor change the order of the phases.

use axum::response::Response;

use crate::http::error::Failure;
use crate::keys::SignedToken;

use super::grants::GrantType;

/// One way to ask for a token and to respond.
pub(crate) struct Dialect {
    /// Its name in metrics.
    pub name: &'static str,
    /// The parameters that clients may send besides their credentials: all that the grants of this
    /// dialect know.
    pub known: &'static [&'static str],
    /// The grants that this dialect serves.
    pub grants: &'static [&'static GrantType],
    /// The grant of a request without `grant_type`. If this is `None`, `grant_type` is required.
    pub grant_when_unnamed: Option<&'static GrantType>,
    /// How a request without credentials is answered.
    pub credentials: Credentials,
    /// Whether a client may authenticate by an assertion (RFC 7523) instead of a secret.
    pub takes_assertions: bool,
    /// Whether responses tell what is left of the quota, in header fields ([`super::rate_limit`]).
    pub tells_quota: bool,
    /// Writes the response to a request that was granted. It never holds a `refresh_token`
    /// (contract D12).
    pub render: fn(&SignedToken) -> Response,
    /// Writes any failure of the path from the failure and the request id, also a failure before
    /// the phases (method, media type, size). Header fields that every path sends, such as `Allow`
    /// and `Retry-After`, are added afterwards.
    pub write_failure: fn(&Failure, &str) -> Response,
}

/// How a request is answered that has no credentials of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// As a failed client authentication (RFC 6749 §5.2).
    Optional,
    /// As a malformed request, which lacks `client_id` or `client_secret`.
    Required,
}
