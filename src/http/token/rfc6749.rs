//! The canonical dialect: RFC 6749 §4.4, form-encoded, as SentryAgent's clients speak it.

use axum::response::Response;
use serde::Serialize;
use url::Url;

use crate::domain::agent::Audience;
use crate::domain::grant::TokenRequest;
use crate::domain::refusal::Refusal;
use crate::domain::scope::parse_scope_list;
use crate::keys::SignedToken;
use crate::service::issue::Ask;

use super::dialect::{Dialect, ParsedRequest};
use crate::http::authorization::{authorization, client_credentials};
use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::http::parameters::Parameters;
use crate::http::reply;
use crate::http::shape::oauth_error;

/// The dialect.
pub struct Rfc6749;

/// What the clients of this grant may send, besides what proves them.
pub const KNOWN: [&str; 4] = ["grant_type", "scope", "audience", "resource"];

#[derive(Serialize)]
struct Reply<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: i64,
    scope: &'a str,
}

impl Dialect for Rfc6749 {
    fn parse(&self, incoming: &Incoming) -> Result<ParsedRequest, Failure> {
        let authorization = authorization(&incoming.headers)?;
        let form = incoming.parameters(&KNOWN)?;
        match form.one("grant_type")? {
            Some("client_credentials") => {}
            Some(_) => return Err(Refusal::UnsupportedGrantType.into()),
            None => return Err(Refusal::MissingParameter("grant_type").into()),
        }
        let ask = Ask::Token(read_request(&form)?.into());
        let credentials = client_credentials(&authorization, &form, incoming.peer)?;
        Ok(ParsedRequest { credentials, ask })
    }

    fn render(&self, token: &SignedToken) -> Result<Response, Failure> {
        let granted = Reply {
            access_token: &token.jwt,
            token_type: "Bearer",
            expires_in: token.expires_in,
            scope: &token.scope,
        };
        reply::json_of(&granted)
    }
}

/// Writes any failure of the path, those that came before anything was read too.
pub fn write_failure(failure: &Failure, _: &str) -> Response {
    oauth_error(failure)
}

/// What every grant may ask for: `scope`, `audience` and `resource`. The latter two may repeat (RFC 8693
/// §2.1, RFC 8707 §2), and an `audience` may hold several between spaces, as clients with one field send
/// them.
pub fn read_request(form: &Parameters<'_>) -> Result<TokenRequest, Refusal> {
    let scopes = match form.one("scope")? {
        None => None,
        Some(text) => match parse_scope_list(text) {
            Ok(scopes) => Some(scopes),
            Err(_) => return Err(Refusal::MalformedScope),
        },
    };
    let mut audience: Vec<Audience> = Vec::new();
    let named = form.all("audience")?.into_iter().flat_map(|text| text.split(' '));
    let named = named.filter(|text| !text.is_empty()).map(|text| ("audience", text));
    let resources = form.all("resource")?.into_iter().map(|text| ("resource", text));
    for (name, text) in named.chain(resources) {
        match Audience::parse(text) {
            Ok(one) if name == "audience" || is_absolute_uri(text) => {
                if !audience.contains(&one) {
                    audience.push(one);
                }
            }
            _ => return Err(Refusal::MalformedTarget(name)),
        }
        // A token carries few audiences; the bound keeps a list of thousands from costing anything.
        if audience.len() > 32 {
            return Err(Refusal::InvalidTarget);
        }
    }
    Ok(TokenRequest { scopes, audience, code: None })
}

/// RFC 8707 §2: a resource is an absolute URI without fragment.
fn is_absolute_uri(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.fragment().is_none())
}
