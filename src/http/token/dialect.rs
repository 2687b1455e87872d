//! What differs between the systems that clients come from: what they send and how they are answered,
//! nothing else.

use axum::response::Response;

use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::keys::SignedToken;
use crate::service::authenticate::ClientCredentials;
use crate::service::issue::Ask;

/// What a request asks for, once a dialect has read it.
pub struct ParsedRequest {
    /// Who asks; `None` when nothing was sent to prove it.
    pub credentials: Option<ClientCredentials>,
    /// What for.
    pub ask: Ask,
}

/// A way to ask for a token and to be answered.
pub trait Dialect: Send + Sync {
    /// Reads a request, scope syntax included (contract D6: parameters before authentication).
    fn parse(&self, incoming: &Incoming) -> Result<ParsedRequest, Failure>;

    /// Writes the reply to a granted one. It carries no `refresh_token`, ever (contract D12).
    fn render(&self, token: &SignedToken) -> Result<Response, Failure>;
}
