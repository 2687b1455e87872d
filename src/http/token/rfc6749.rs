//! The canonical dialect: RFC 6749 §4.4, form-encoded, for SentryAgent's clients.

use axum::response::Response;
use serde::Serialize;

use crate::http::error::Failure;
use crate::http::reply;
use crate::http::shape::oauth_error;
use crate::keys::SignedToken;

use super::dialect::{Credentials, Dialect};
use super::grants::CLIENT_CREDENTIALS;

/// The dialect.
pub(crate) static RFC6749: Dialect = Dialect {
    known: CLIENT_CREDENTIALS.known(),
    grants: &[&CLIENT_CREDENTIALS],
    grant_when_unnamed: None,
    credentials: Credentials::Optional,
    render: render_token,
    write_failure: |failure, _| oauth_error(failure),
};

#[derive(Serialize)]
struct TokenReply<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: i64,
    scope: &'a str,
}

/// RFC 6749 §5.1.
pub(crate) fn render_token(token: &SignedToken) -> Result<Response, Failure> {
    reply::json_of(&TokenReply {
        access_token: &token.jwt,
        token_type: "Bearer",
        expires_in: token.expires_in,
        scope: &token.scope,
    })
}
