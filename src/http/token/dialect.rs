//! What differs between the systems that clients come from: what they send and how they are answered,
//! nothing else.

use axum::response::Response;

use crate::keys::SignedToken;

use super::super::error::Failure;
use super::super::extract::Incoming;
use super::ParsedRequest;

/// A way to ask for a token and to be answered.
pub trait Dialect: Send + Sync {
    /// Reads a request, scope syntax included (contract D6: parameters before authentication).
    fn parse(&self, incoming: &Incoming) -> Result<ParsedRequest, Failure>;

    /// Writes the reply to a granted one. It carries no `refresh_token`, ever (contract D12).
    fn render(&self, token: &SignedToken) -> Result<Response, Failure>;

    /// Writes any failure of its path, those that came before `parse` too (method, media type, size).
    /// Headers that every path sends, such as `Allow` and `Retry-After`, are added behind it.
    fn refuse(&self, failure: &Failure, request_id: &str) -> Response;
}
