//! A request as a handler gets it.
//!
//! Owns the rules of contract D14 on where a parameter may stand. Must not know what a parameter
//! means.

use std::sync::Arc;

use axum::extract::RawPathParams;
use axum::http::HeaderMap;
use bytes::Bytes;

use crate::domain::context::RequestContext;
use crate::domain::refusal::Refusal;

use super::parameters::{Encoding, Parameters};
use super::serve::OwnLine;

/// The parameters with which a client may authenticate, on every path that authenticates clients.
pub(crate) const CREDENTIALS: [&str; 4] = [
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
];

/// Parameters that must not be in the URI of any POST, because logs keep the URI (RFC 6749 §2.3.1).
/// This holds even if the path does not know the parameter.
const NEVER_IN_URI: [&str; 2] = ["code", "token"];

/// A request whose method, media type and size have been checked. It holds secrets, so neither this
/// type nor what is read from it has a `Debug`.
#[derive(Default)]
pub struct Incoming {
    /// Whether the method is HEAD.
    pub is_head: bool,
    /// All headers.
    pub headers: HeaderMap,
    /// The query string, undecoded.
    pub query: String,
    /// The parts of the path that vary, percent-decoded. `None` if one of them is not UTF-8.
    pub path_parts: Option<RawPathParams>,
    /// How the body is written. [`Encoding::Form`] if no body is read.
    pub encoding: Encoding,
    /// The body, at most 64 KiB.
    pub body: Bytes,
    /// The request's connection, if the request has a query.
    pub(crate) line: Option<OwnLine>,
    /// The client's address, the request id, and the agent that authenticated.
    pub context: Arc<RequestContext>,
}

impl Incoming {
    /// The part of the path that the route calls `{name}` or `{*name}`, percent-decoded.
    pub fn path_part(&self, name: &str) -> Option<&str> {
        let mut parts = self.path_parts.iter().flatten();
        parts.find_map(|(other, part)| (other == name).then_some(part))
    }

    /// The parameters of the body. The path knows `known` and the client's credentials (contract
    /// D14). No known parameter may be in the query, whatever the body holds: if a scope in the
    /// query were ignored, the request would get all scopes.
    pub fn parameters(&self, known: &[&'static str]) -> Result<Parameters<'_>, Refusal> {
        let body = Parameters::read(self.encoding, &self.body)?;
        if !self.query.is_empty() {
            let query = Parameters::of_form(self.query.as_bytes())?;
            let misplaced = [known, &CREDENTIALS, &NEVER_IN_URI]
                .into_iter()
                .find_map(|k| query.find_any(k));
            if let Some(name) = misplaced {
                return Err(Refusal::ParameterInUri(name));
            }
        }
        body.refuse_brackets(&[known, &CREDENTIALS])?;
        Ok(body)
    }

    /// The parameters of the query, for a path that reads no body and knows `known`.
    pub fn query_parameters(&self, known: &[&'static str]) -> Result<Parameters<'_>, Refusal> {
        let query = Parameters::of_form(self.query.as_bytes())?;
        query.refuse_brackets(&[known])?;
        Ok(query)
    }
}
