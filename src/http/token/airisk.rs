//! The dialect of `/api/oauth2/Token`: form or JSON, in which AIRisk's clients exchange an
//! authorization code (contract §6). Also owns how `/api/oauth2` writes its errors.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::domain::refusal::Refusal;
use crate::http::error::Failure;
use crate::http::reply;
use crate::json::{write_integer, write_string};
use crate::keys::SignedToken;

use super::dialect::{Credentials, Dialect};
use super::grants::AUTHORIZATION_CODE;

/// The dialect. A request need not name its grant type, because this endpoint has only one.
pub(crate) static AIRISK: Dialect = Dialect {
    name: "airisk",
    known: AUTHORIZATION_CODE.known(),
    grants: &[&AUTHORIZATION_CODE],
    grant_when_unnamed: Some(&AUTHORIZATION_CODE),
    credentials: Credentials::Required,
    takes_assertions: false,
    tells_quota: false,
    render: render_token,
    write_failure,
};

/// The room for all that a reply has besides its token.
const REST_BYTES: usize = 112;

/// A problem document (RFC 9457 §3.1).
#[derive(Serialize)]
struct Details<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(rename = "traceId")]
    trace_id: &'a str,
}

fn render_token(token: &SignedToken) -> Response {
    let mut body = String::with_capacity(token.jwt.len() + REST_BYTES);
    body.push_str(r#"{"access_token":"#);
    write_string(&token.jwt, &mut body);
    body.push_str(r#","expiration":"#);
    write_string(&token.expires_at.to_rfc3339(), &mut body);
    body.push_str(r#","token_type":"Bearer","expires_in":"#);
    write_integer(token.expires_in, &mut body);
    body.push('}');
    reply::json(StatusCode::OK, body)
}

/// A 400, which the client can correct, is one line of text. Every other failure is a problem
/// document of RFC 9457. Its `title` is the phrase of the status, because its `type` says nothing
/// more than the status.
fn write_failure(failure: &Failure, request_id: &str) -> Response {
    let shown = failure.error_text();
    let refusal = match failure {
        Failure::Refused(refusal) => Some(refusal),
        _ => None,
    };
    let status = match refusal {
        // The agent has no scopes: the request cannot change that.
        Some(Refusal::NoScopes) => StatusCode::FORBIDDEN,
        _ => shown.status,
    };
    if status == StatusCode::BAD_REQUEST {
        return reply::text(status, words(refusal));
    }
    reply::problem(
        status,
        &Details {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            // All 401 responses are the same. They hold only the members that the clients know.
            detail: (status != StatusCode::UNAUTHORIZED).then_some(shown.message.as_str()),
            trace_id: request_id,
        },
    )
}

/// The line of text. It names the error in the contract's words and repeats nothing that was sent.
fn words(refusal: Option<&Refusal>) -> String {
    match refusal {
        Some(Refusal::InvalidCode) => "Invalid Code".to_owned(),
        Some(
            Refusal::MissingParameter(name)
            | Refusal::MistypedParameter(name)
            | Refusal::RepeatedParameter(name)
            | Refusal::BracketedParameter(name)
            | Refusal::ParameterInUri(name),
        ) => format!("Invalid {name}"),
        Some(Refusal::UnsupportedGrantType) => "Invalid grant_type".to_owned(),
        Some(Refusal::ScopeNotAllowed | Refusal::MalformedScope) => "Invalid scope".to_owned(),
        Some(Refusal::InvalidTarget | Refusal::MalformedTarget(_)) => "Invalid target".to_owned(),
        _ => "Invalid request".to_owned(),
    }
}
