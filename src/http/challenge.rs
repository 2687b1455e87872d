//! Whether a refusal has a challenge, and which one (RFC 6749 §5.2, RFC 6750 §3). This depends on
//! the request and its path alone, so it is decided once, behind every handler.
//!
//! Must not know how the refusal itself is written.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, StatusCode};
use bytes::Bytes;

use crate::domain::refusal::Refusal;

use super::authorization::authorization;
use super::incoming::Incoming;
use super::parameters::{Encoding, Parameters};

const BEARER: &str = "Bearer realm=\"sealwright\"";
const BASIC: &str = "Basic realm=\"sealwright\", charset=\"UTF-8\"";

/// What a request shows of how its client tried to authenticate. Read only when the request is
/// refused.
pub(super) struct AuthAttempt {
    header: Option<HeaderValue>,
    encoding: Encoding,
    body: Bytes,
}

impl AuthAttempt {
    /// What this request shows.
    pub(super) fn of(incoming: &Incoming) -> Self {
        let header = incoming.headers.get(AUTHORIZATION).cloned();
        Self {
            header,
            encoding: incoming.encoding,
            body: incoming.body.clone(),
        }
    }

    /// The `WWW-Authenticate` header fields, one challenge in each, because many clients read only
    /// one challenge a field. `reads_body` says that the path accepts a client's credentials as
    /// well as a token.
    pub(super) fn challenges(
        &self,
        refusal: &Refusal,
        status: StatusCode,
        reads_body: bool,
    ) -> Vec<HeaderValue> {
        let fixed = HeaderValue::from_static;
        match refusal {
            Refusal::InsufficientScope(scope) => {
                let text = format!("{BEARER}, error=\"insufficient_scope\", scope=\"{scope}\"");
                HeaderValue::from_str(&text).into_iter().collect()
            }
            Refusal::DemandNotMet => vec![fixed(
                "Bearer realm=\"sealwright\", error=\"insufficient_scope\"",
            )],
            // RFC 9110 §15.5.2: a 401 says which credentials were expected, whatever error code the
            // dialect uses.
            _ if status != StatusCode::UNAUTHORIZED => vec![],
            // RFC 6750 §3.1: a request without a token gets no error code.
            Refusal::MissingToken if reads_body => vec![fixed(BEARER), fixed(BASIC)],
            Refusal::MissingToken => vec![fixed(BEARER)],
            Refusal::InvalidToken => vec![fixed(
                "Bearer realm=\"sealwright\", error=\"invalid_token\", error_description=\"The access token is invalid, expired or revoked.\"",
            )],
            // RFC 6749 §5.2: a client that tried no HTTP scheme need not be challenged. Libraries
            // would show the challenge in place of the message.
            _ if self.proves_itself_in_the_body() => vec![],
            _ => vec![fixed(BASIC)],
        }
    }

    fn proves_itself_in_the_body(&self) -> bool {
        let mut headers = axum::http::HeaderMap::new();
        headers.extend(self.header.clone().map(|header| (AUTHORIZATION, header)));
        let by_header = authorization(&headers).map_or(true, |scheme| !scheme.names_no_client());
        let holds = |form: &Parameters<'_>, name| matches!(form.one(name), Ok(Some(_)));
        let proves = |form: Parameters<'_>| {
            let both = |one, other| holds(&form, one) && holds(&form, other);
            both("client_assertion_type", "client_assertion") || both("client_id", "client_secret")
        };
        !by_header && Parameters::read(self.encoding, &self.body).is_ok_and(proves)
    }
}
