//! What differs between the systems that clients come from: what they send and how they are answered, nothing else.
//!
//! A dialect is a row of values. It reads no request, so it can neither skip a phase nor change their order.

use axum::response::Response;

use crate::http::error::Failure;
use crate::keys::SignedToken;

use super::grants::GrantType;

/// A way to ask for a token and to be answered.
pub(crate) struct Dialect {
    /// What its clients may send, besides what proves them: all that its grants know.
    pub known: &'static [&'static str],
    /// The grants that are served here.
    pub grants: &'static [&'static GrantType],
    /// The grant of a request that names none; without one `grant_type` is required.
    pub grant_when_unnamed: Option<&'static GrantType>,
    /// What becomes of a request without credentials.
    pub credentials: Credentials,
    /// Writes the reply to a granted one. It carries no `refresh_token`, ever (contract D12).
    pub render: fn(&SignedToken) -> Result<Response, Failure>,
    /// Writes any failure of the path from the failure and the request's id, those too that came before the phases
    /// (method, media type, size). Headers that every path sends, such as `Allow` and `Retry-After`, are added behind
    /// it.
    pub write_failure: fn(&Failure, &str) -> Response,
}

/// What becomes of a request in which nothing proves the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// A failed client authentication (RFC 6749 §5.2).
    Optional,
    /// A malformed request, which lacks `client_id` or `client_secret`.
    Required,
}
