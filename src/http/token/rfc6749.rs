//! The canonical dialect: RFC 6749 §4.4, form-encoded, for SentryAgent's clients.

use axum::http::StatusCode;
use axum::response::Response;

use crate::http::reply;
use crate::http::shape::oauth_error;
use crate::json::{write_integer, write_string};
use crate::keys::SignedToken;

use super::dialect::{Credentials, Dialect};
use super::grants::CLIENT_CREDENTIALS;

/// The dialect.
pub(crate) static RFC6749: Dialect = Dialect {
    name: "rfc6749",
    known: CLIENT_CREDENTIALS.known(),
    grants: &[&CLIENT_CREDENTIALS],
    grant_when_unnamed: None,
    credentials: Credentials::Optional,
    takes_assertions: true,
    tells_quota: true,
    render: render_token,
    write_failure: |failure, _| oauth_error(failure),
};

/// The room for all that a reply has besides its token and its scopes.
const REST_BYTES: usize = 96;

/// The body of a response to a request that was granted.
#[cfg_attr(test, derive(serde::Serialize))]
struct TokenReply<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: i64,
    scope: &'a str,
}

impl TokenReply<'_> {
    /// The members in order. Every token is written, so no general serializer is.
    fn to_json(&self) -> String {
        let texts = self.access_token.len() + self.scope.len();
        let mut out = String::with_capacity(texts + REST_BYTES);
        out.push_str(r#"{"access_token":"#);
        write_string(self.access_token, &mut out);
        out.push_str(r#","token_type":"#);
        write_string(self.token_type, &mut out);
        out.push_str(r#","expires_in":"#);
        write_integer(self.expires_in, &mut out);
        out.push_str(r#","scope":"#);
        write_string(self.scope, &mut out);
        out.push('}');
        out
    }
}

/// The response to a request that was granted (RFC 6749 §5.1).
pub(crate) fn render_token(token: &SignedToken) -> Response {
    let reply = TokenReply {
        access_token: &token.jwt,
        token_type: "Bearer",
        expires_in: token.expires_in,
        scope: &token.scope,
    };
    reply::json(StatusCode::OK, reply.to_json())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_reply_is_written_as_a_serializer_does(
            access_token in any::<String>(),
            expires_in in any::<i64>(),
            scope in any::<String>(),
        ) {
            let reply = TokenReply {
                access_token: &access_token,
                token_type: "Bearer",
                expires_in,
                scope: &scope,
            };
            prop_assert_eq!(reply.to_json(), serde_json::to_string(&reply).unwrap());
        }
    }
}
