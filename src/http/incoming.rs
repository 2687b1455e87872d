//! A request as a handler gets it. Owns the rules of contract D14 on where a parameter may stand; must not know
//! what it means.

use std::sync::Arc;

use axum::http::HeaderMap;
use bytes::Bytes;

use crate::domain::context::RequestContext;
use crate::domain::refusal::Refusal;

use super::parameters::{Encoding, Parameters};

/// What a client may prove itself with, on every path that authenticates clients.
pub(crate) const CREDENTIALS: [&str; 4] = [
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
];

/// What must not stand in the URI of any POST, where logs keep it (RFC 6749 §2.3.1), whether the path knows
/// it or not.
const NEVER_IN_URI: [&str; 2] = ["code", "token"];

/// A request whose method, media type and size have been checked. It holds secrets, so neither it nor
/// what is read from it has a `Debug`.
pub struct Incoming {
    /// All headers.
    pub headers: HeaderMap,
    /// The query string, undecoded.
    pub query: String,
    /// The part of the path that varies, percent-decoded.
    pub path_part: Option<String>,
    /// How the body is written; a form where none is read.
    pub encoding: Encoding,
    /// The body, at most 64 KiB.
    pub body: Bytes,
    /// Where it comes from, and who proves to stand behind it.
    pub context: Arc<RequestContext>,
}

impl Incoming {
    /// The body's parameters, of which the path knows these and the client's credentials (contract D14).
    /// None of them may stand in the query, whatever the body holds: a scope that is asked for there and
    /// ignored would be all scopes.
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
        body.refuse_brackets(known)?;
        body.refuse_brackets(&CREDENTIALS)?;
        Ok(body)
    }

    /// The query's parameters, of which a path that reads no body knows these.
    pub fn query_parameters(&self, known: &[&'static str]) -> Result<Parameters<'_>, Refusal> {
        let query = Parameters::of_form(self.query.as_bytes())?;
        query.refuse_brackets(known)?;
        Ok(query)
    }
}
