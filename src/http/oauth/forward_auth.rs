//! `/forward-auth` and all paths below it: the response to a gateway that asks whether a request
//! may pass.
//!
//! For nginx `auth_request`, Traefik and Caddy forward auth, Envoy `ext_authz`. Envoy appends the
//! client's own method, path and query, so nothing in these may weaken the response: a client can
//! add demands and can never remove one. On `/forward-auth` itself, only the gateway writes the
//! query. An unknown parameter there may be meant as a demand that would not be made, so it is
//! refused.

use std::fmt::Write;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::domain::refusal::Refusal;
use crate::keys::claims::Claims;
use crate::service::tokens::Demands;

use crate::http::authorization::bearer;
use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::http::state::State;
use crate::http::urlencoded::{decode, values_in_query};

/// The most scopes and audiences that one request may demand, so that a list of thousands costs
/// nothing.
const MAX_DEMANDS: usize = 64;

const REQUIRED_SCOPE: &str = "x-required-scope";
const REQUIRED_AUDIENCE: &str = "x-required-audience";

const UNREADABLE: Refusal = refused("A demanded scope or audience cannot be read.");
const TOO_MANY: Refusal = refused("Too many scopes or audiences are demanded.");
const UNKNOWN: Refusal = refused("Only a scope and an audience can be demanded in the query.");
const UNKNOWN_HEADER: Refusal =
    refused("Only X-Required-Scope and X-Required-Audience demand anything in a header.");

const fn refused(why: &'static str) -> Refusal {
    Refusal::InvalidRequest(why)
}

/// Whose query the URI has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum QueryOf {
    /// The gateway's query: it may hold demands and nothing else.
    Gateway,
    /// The client's own query: everything in it but demands is ignored.
    Client,
}

/// `/forward-auth`: 200 if the token is live, was issued by this server and meets every demand. The
/// response tells the service behind the gateway about the token.
///
/// Unlike this server's own endpoints, this endpoint accepts a token of any audience and of any
/// user (contract §3 applies only to those other endpoints). The demands decide whose token opens
/// the service behind the gateway.
pub(crate) async fn check_bearer(
    state: Arc<State>,
    incoming: Incoming,
) -> Result<Response, Failure> {
    check(&state, &incoming, QueryOf::Gateway).await
}

/// The same as [`check_bearer`], for paths below it, where the query is the client's own.
pub(crate) async fn check_bearer_below(
    state: Arc<State>,
    incoming: Incoming,
) -> Result<Response, Failure> {
    check(&state, &incoming, QueryOf::Client).await
}

async fn check(state: &State, incoming: &Incoming, query_of: QueryOf) -> Result<Response, Failure> {
    // RFC 6750 §3.1: a request that uses another scheme gets no error code either.
    let bearer = bearer(&incoming.headers, Refusal::MissingToken)?;
    if query_of == QueryOf::Gateway {
        refuse_unknown_demands(&incoming.query)?;
    }
    refuse_near_misses(&incoming.headers)?;
    let demands = Demands {
        scopes: read_demands(incoming, "scope", REQUIRED_SCOPE)?,
        audiences: read_demands(incoming, "audience", REQUIRED_AUDIENCE)?,
    };
    let token = state
        .tokens
        .check_bearer(&bearer, &demands, &incoming.context)
        .await?;
    Ok((StatusCode::OK, identity_headers(&token.claims)?).into_response())
}

/// Refuses everything that a gateway's query may not hold: `?scopes=`, `?Scope=` and `?scope[]=`
/// were meant to demand something.
fn refuse_unknown_demands(query: &str) -> Result<(), Refusal> {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        match decode(name.as_bytes()).as_deref() {
            Some("scope" | "audience") => {}
            _ => return Err(UNKNOWN),
        }
    }
    Ok(())
}

/// Refuses header fields that the author of a gateway's configuration may have mistaken for one of
/// the two: `X_Required_Scope`, `X-Required-Scopes`, `Required-Scope`, `X-Require-Scope`. If a client sends such a
/// field, only its own request is refused.
fn refuse_near_misses(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_near = |name: &str| {
        if !name.starts_with(['x', 'r']) {
            return false;
        }
        let name = name.replace(['-', '_', '.'], "");
        let name = name.strip_prefix('x').unwrap_or(&name);
        ["required", "requirescope", "requireaud"]
            .iter()
            .any(|near| name.starts_with(near))
    };
    let near = headers
        .keys()
        .map(HeaderName::as_str)
        .filter(|name| is_near(name));
    if near
        .into_iter()
        .all(|name| name == REQUIRED_SCOPE || name == REQUIRED_AUDIENCE)
    {
        return Ok(());
    }
    Err(UNKNOWN_HEADER)
}

/// All demands of the query and the header fields. Repeated values add up, and each value may hold
/// several demands, separated by spaces. An empty value demands nothing (contract D14).
fn read_demands(
    incoming: &Incoming,
    parameter: &str,
    header: &str,
) -> Result<Vec<String>, Refusal> {
    let mut words: Vec<String> = Vec::new();
    let mut add = |text: &str| {
        words.extend(
            text.split(' ')
                .filter(|word| !word.is_empty())
                .map(str::to_owned),
        );
        if words.len() > MAX_DEMANDS {
            Err(TOO_MANY)
        } else {
            Ok(())
        }
    };
    for value in values_in_query(&incoming.query, parameter) {
        add(&value.ok_or(UNREADABLE)?)?;
    }
    for value in incoming.headers.get_all(header) {
        add(std::str::from_utf8(value.as_bytes()).map_err(|_| UNREADABLE)?)?;
    }
    Ok(words)
}

/// All these header fields are in every 200, so that a gateway that copies them overwrites what the
/// client sent.
fn identity_headers(claims: &Claims) -> Result<HeaderMap, Failure> {
    let subject = percent_encode(&claims.sub);
    let mut headers = HeaderMap::with_capacity(4);
    for (name, text) in [
        ("x-client-id", &claims.client_id),
        ("x-subject", &subject),
        ("x-scopes", &claims.scope),
        ("x-token-jti", &claims.jti),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(text)?);
    }
    Ok(headers)
}

/// A user's id may hold characters that a header field loses or changes, for example spaces at its
/// ends. All characters but visible ASCII are percent-encoded, and `%` itself, so that two
/// different users never look alike.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::http::parameters::Encoding;

    fn demands(query: &str, headers: &[&[u8]]) -> Result<Vec<String>, Refusal> {
        let mut map = HeaderMap::new();
        for value in headers {
            map.append(REQUIRED_SCOPE, HeaderValue::from_bytes(value).unwrap());
        }
        let query = query.to_owned();
        let incoming = Incoming {
            is_head: false,
            headers: map,
            query,
            path_parts: None,
            encoding: Encoding::Form,
            body: Bytes::new(),
            context: Arc::default(),
            line: None,
        };
        read_demands(&incoming, "scope", REQUIRED_SCOPE)
    }

    #[test]
    fn every_demand_of_query_and_headers_adds_up() {
        let all = demands(
            "scope=a+b&x=y&scope=c%3Ad&%73cope=e",
            &[b"f  g", b"", b" h "],
        )
        .unwrap();
        assert_eq!(all, ["a", "b", "c:d", "e", "f", "g", "h"]);
        assert_eq!(demands("scope=&scope", &[]).unwrap(), [""; 0]);
    }

    #[test]
    fn what_cannot_be_decoded_is_refused_only_where_it_may_be_a_demand() {
        for ours in [
            "scope=%",
            "scope=%ff",
            "q=1&sc%6Fpe=a%zz",
            "scope=a&scope=%",
        ] {
            assert!(demands(ours, &[]).is_err(), "{ours}");
        }
        for theirs in [
            "q=100%",
            "%=scope",
            "q=%ff",
            "%ff=scope",
            "scope%=a",
            "&&=&",
            "a%zz=b",
        ] {
            assert_eq!(demands(theirs, &[]).unwrap(), [""; 0], "{theirs}");
        }
        assert!(demands("", &[b"\xff"]).is_err());
    }

    #[test]
    fn demands_are_bounded() {
        assert!(demands(&"scope=a&".repeat(MAX_DEMANDS), &[]).is_ok());
        assert!(demands(&"scope=a&".repeat(MAX_DEMANDS + 1), &[]).is_err());
        assert!(demands("", &["a ".repeat(MAX_DEMANDS + 1).as_bytes()]).is_err());
    }

    #[test]
    fn no_two_subjects_look_alike_in_a_header() {
        assert_eq!(percent_encode("user_42@example"), "user_42@example");
        let subjects = ["a b", "a%20b", " a", "a", "a ", "é", "%C3%A9"];
        let encoded: std::collections::HashSet<String> = subjects
            .iter()
            .map(|subject| percent_encode(subject))
            .collect();
        assert_eq!(encoded.len(), subjects.len());
        assert!(
            encoded
                .iter()
                .all(|text| text.bytes().all(|b| b.is_ascii_graphic()))
        );
    }
}
