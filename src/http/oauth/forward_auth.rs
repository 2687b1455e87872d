//! `/forward-auth` and all below it: the answer to a gateway that asks whether a request may pass.
//!
//! For nginx `auth_request`, Traefik and Caddy forward auth, Envoy `ext_authz`. Envoy appends the
//! client's own method, path and query, so nothing that stands there may weaken the answer: a client
//! can add demands and never take one away. On the path itself the gateway alone writes the query, and a
//! word of it that is not understood is a demand that would not be made: refused.

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

/// How many scopes and audiences one request may demand, so that a list of thousands costs nothing.
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

/// Whose query stands behind the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum QueryOf {
    /// The gateway's: demands and nothing else.
    Gateway,
    /// The client's own, as far as it demands nothing.
    Client,
}

/// `/forward-auth`: 200 for a live token of this server that meets every demand, with what a service behind
/// the gateway wants to know of it.
///
/// Unlike this server's own endpoints it takes a token of any audience and of any user (contract §3
/// binds what opens *them*): whose token opens the service behind the gateway, the demands say.
pub(crate) async fn check_bearer(
    state: Arc<State>,
    incoming: Incoming,
) -> Result<Response, Failure> {
    check(&state, &incoming, QueryOf::Gateway).await
}

/// As [`check_bearer`], below that path, where the client's own query is.
pub(crate) async fn check_bearer_below(
    state: Arc<State>,
    incoming: Incoming,
) -> Result<Response, Failure> {
    check(&state, &incoming, QueryOf::Client).await
}

async fn check(state: &State, incoming: &Incoming, query_of: QueryOf) -> Result<Response, Failure> {
    // RFC 6750 §3.1: no error code for one who tried another method either.
    let bearer = bearer(&incoming.headers, Refusal::MissingToken)?;
    if query_of == QueryOf::Gateway {
        refuse_unknown_demands(&incoming.query)?;
    }
    refuse_near_misses(&incoming.headers)?;
    let demands = Demands {
        scopes: read_demands(incoming, "scope", REQUIRED_SCOPE)?,
        audiences: read_demands(incoming, "audience", REQUIRED_AUDIENCE)?,
    };
    let token = state.tokens.check_bearer(&bearer, &demands).await?;
    incoming.context.prove(&token.reference.agent_id);
    Ok((StatusCode::OK, identity_headers(&token.claims)?).into_response())
}

/// Refuses all that a gateway's query may not hold: `?scopes=`, `?Scope=` and `?scope[]=` were meant to
/// demand something.
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

/// Refuses headers that a gateway's author may have taken for one of the two: `X_Required_Scope`,
/// `X-Required-Scopes`, `Required-Scope`. A client that sends one refuses itself.
fn refuse_near_misses(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_near = |name: &str| {
        let mut letters = name
            .bytes()
            .filter(|b| !matches!(b, b'-' | b'_'))
            .peekable();
        letters.next_if_eq(&b'x');
        b"required"
            .iter()
            .all(|expected| letters.next() == Some(*expected))
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

/// What the query and the headers demand, all of it: values that repeat add up, and each may hold
/// several, separated by spaces. An empty one demands nothing (contract D14).
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

/// Every header on every 200, so that a gateway which copies them overwrites whatever the client sent.
fn identity_headers(claims: &Claims) -> Result<HeaderMap, Failure> {
    let subject = percent_encode(&claims.sub);
    let mut headers = HeaderMap::with_capacity(4);
    for (name, text) in [
        ("x-client-id", &claims.client_id),
        ("x-subject", &subject),
        ("x-scopes", &claims.scope),
        ("x-token-jti", &claims.jti),
    ] {
        let value =
            HeaderValue::from_str(text).map_err(|error| Failure::fault(&error.to_string()))?;
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(headers)
}

/// A user's id may hold what a header loses or mangles, spaces at its ends for one: all but visible ASCII
/// is percent-encoded, and `%` itself, so that no two users look alike.
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
            headers: map,
            query,
            path_part: None,
            encoding: Encoding::Form,
            body: Bytes::new(),
            context: Arc::default(),
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
