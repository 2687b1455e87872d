//! `/forward-auth` and all below it: the answer to a gateway that asks whether a request may pass.
//!
//! For nginx `auth_request`, Traefik and Caddy forward auth, Envoy `ext_authz`. Envoy appends the
//! client's own method, path and query, so nothing that stands there may weaken the answer: a client
//! can add demands and never take one away.

use std::fmt::Write;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::domain::refusal::Refusal;
use crate::keys::claims::Claims;
use crate::service::tokens::Demands;

use super::error::{Challenge, Failure};
use super::extract::{Authorization, Incoming, authorization};
use super::parameters::values_in_query;
use super::state::State;

/// How many scopes and audiences one request may demand, so that a list of thousands costs nothing.
const MOST_DEMANDS: usize = 64;

const REQUIRED_SCOPE: &str = "x-required-scope";
const REQUIRED_AUDIENCE: &str = "x-required-audience";

const UNREADABLE: Failure = Failure::Refused(
    Refusal::InvalidRequest("A demanded scope or audience cannot be read."),
    Challenge::None,
);
const TOO_MANY: Failure =
    Failure::Refused(Refusal::InvalidRequest("Too many scopes or audiences are demanded."), Challenge::None);

/// 200 for a live token of this server that meets every demand, with what a service behind the gateway
/// wants to know of it.
///
/// Unlike this server's own endpoints it takes a token of any audience and of any user (contract §3
/// binds what opens *them*): whose token opens the service behind the gateway, the demands say.
pub async fn check_bearer(state: Arc<State>, incoming: Incoming) -> Result<Response, Failure> {
    let bearer = match authorization(&incoming.headers)? {
        Authorization::Bearer(token) => token,
        // RFC 6750 §3.1: no error code for one who tried another method either.
        Authorization::Absent | Authorization::Basic(_) | Authorization::Unknown => {
            return Err(Failure::Refused(Refusal::MissingToken, Challenge::None));
        }
    };
    let demands = Demands {
        scopes: read_demands(&incoming, "scope", REQUIRED_SCOPE)?,
        audiences: read_demands(&incoming, "audience", REQUIRED_AUDIENCE)?,
    };
    let token = state.tokens.check_bearer(&bearer, &demands).await;
    let token = token.map_err(|error| Failure::of(error, Challenge::None))?;
    Ok((StatusCode::OK, identity_headers(&token.claims)?).into_response())
}

/// What the query and the headers demand, all of it: values that repeat add up, and each may hold
/// several, separated by spaces. An empty one demands nothing (contract D14).
fn read_demands(incoming: &Incoming, parameter: &str, header: &str) -> Result<Vec<String>, Failure> {
    let mut words: Vec<String> = Vec::new();
    let mut add = |text: &str| {
        words.extend(text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned));
        if words.len() > MOST_DEMANDS { Err(TOO_MANY) } else { Ok(()) }
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
        let value = HeaderValue::from_str(text).map_err(|error| Failure::fault(&error.to_string()))?;
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

    use super::super::parameters::Encoding;
    use super::*;

    fn demands(query: &str, headers: &[&[u8]]) -> Result<Vec<String>, Failure> {
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
            peer: None,
        };
        read_demands(&incoming, "scope", REQUIRED_SCOPE)
    }

    #[test]
    fn every_demand_of_query_and_headers_adds_up() {
        let all = demands("scope=a+b&x=y&scope=c%3Ad&%73cope=e", &[b"f  g", b"", b" h "]).unwrap();
        assert_eq!(all, ["a", "b", "c:d", "e", "f", "g", "h"]);
        assert_eq!(demands("scope=&scope", &[]).unwrap(), [""; 0]);
    }

    #[test]
    fn what_cannot_be_decoded_is_refused_only_where_it_may_be_a_demand() {
        for ours in ["scope=%", "scope=%ff", "q=1&sc%6Fpe=a%zz", "scope=a&scope=%"] {
            assert!(demands(ours, &[]).is_err(), "{ours}");
        }
        for theirs in ["q=100%", "%=scope", "q=%ff", "%ff=scope", "scope%=a", "&&=&", "a%zz=b"] {
            assert_eq!(demands(theirs, &[]).unwrap(), [""; 0], "{theirs}");
        }
        assert!(demands("", &[b"\xff"]).is_err());
    }

    #[test]
    fn demands_are_bounded() {
        assert!(demands(&"scope=a&".repeat(MOST_DEMANDS), &[]).is_ok());
        assert!(demands(&"scope=a&".repeat(MOST_DEMANDS + 1), &[]).is_err());
        assert!(demands("", &["a ".repeat(MOST_DEMANDS + 1).as_bytes()]).is_err());
    }

    #[test]
    fn no_two_subjects_look_alike_in_a_header() {
        assert_eq!(percent_encode("user_42@example"), "user_42@example");
        let subjects = ["a b", "a%20b", " a", "a", "a ", "é", "%C3%A9"];
        let encoded: std::collections::HashSet<String> =
            subjects.iter().map(|subject| percent_encode(subject)).collect();
        assert_eq!(encoded.len(), subjects.len());
        assert!(encoded.iter().all(|text| text.bytes().all(|b| b.is_ascii_graphic())));
    }
}
