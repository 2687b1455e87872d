//! `GET /api/oauth2`: issues an authorization code by redirect (contract §6).
//!
//! Must not know what a code holds. The client does not authenticate here. A refusal therefore does
//! not reveal which agents, redirect URIs and users exist, and is never sent by redirect.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::{HeaderValue, LOCATION, REFERRER_POLICY};
use axum::response::{IntoResponse, Response};
use url::form_urlencoded::byte_serialize;

use crate::domain::id::ClientId;
use crate::domain::refusal::Refusal;
use crate::keys::code::PkceChallenge;

use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::http::parameters::Parameters;
use crate::http::state::State;
use crate::http::urlencoded::values_in_query;

/// The longest `state` that is sent back, in bytes.
pub(crate) const MAX_STATE_BYTES: usize = 1_024;

const KNOWN: [&str; 6] = [
    "client_id",
    "redirect_uri",
    "state",
    "userid",
    "code_challenge",
    "code_challenge_method",
];

/// `GET /api/oauth2`.
pub(crate) async fn authorize_agent(
    state: Arc<State>,
    incoming: Incoming,
) -> Result<Response, Failure> {
    let query = incoming.query_parameters(&KNOWN)?;
    let client_id = ClientId::parse(query.required("client_id")?);
    let redirect_uri = query.required("redirect_uri")?;
    let echo = query.one("state")?;
    let user = query.one("userid")?;
    if echo.is_some_and(|text| text.len() > MAX_STATE_BYTES) {
        return Err(refused("The state parameter is longer than 1,024 bytes.").into());
    }
    let challenge = read_challenge(&query)?;
    // RFC 9207 §2: a client that uses PKCE gets `iss`, the issuer of the response. AIRisk's own
    // clients get only the parameters that they know.
    let issuer = challenge.as_ref().map(|_| state.metadata.issuer());
    if issuer.is_some() && names_issuer(redirect_uri) {
        return Err(refused("The redirect URI has an issuer of its own.").into());
    }
    let code = state
        .codes
        .authorize(&client_id, redirect_uri, user, challenge.as_ref())
        .await?;
    // By now the redirect URI equals a registered one, which holds only characters of a URI.
    let location = HeaderValue::from_str(&location(redirect_uri, &code, echo, issuer))?;
    let mut response = StatusCode::FOUND.into_response();
    response.headers_mut().insert(LOCATION, location);
    // RFC 9700 §4.2.4: the page that receives the code must not pass it on in `Referer`.
    response
        .headers_mut()
        .insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

/// The code challenge, if the client sends one (RFC 7636 §4.3). The exchange of the code then
/// requires the verifier. The method must be S256 and must be named: without a name it would be
/// `plain`, which does not protect against somebody who can read the request.
fn read_challenge(query: &Parameters<'_>) -> Result<Option<PkceChallenge>, Refusal> {
    match (
        query.one("code_challenge")?,
        query.one("code_challenge_method")?,
    ) {
        (None, None) => Ok(None),
        (Some(challenge), Some("S256")) => match PkceChallenge::parse(challenge) {
            Ok(challenge) => Ok(Some(challenge)),
            Err(rule) => Err(refused(rule.0)),
        },
        _ => Err(refused("A code challenge must be of the method S256.")),
    }
}

/// Whether the redirect URI's own query has an `iss`, which the client would take for this
/// server's.
fn names_issuer(redirect_uri: &str) -> bool {
    let query = redirect_uri.split_once('?').map_or("", |(_, query)| query);
    values_in_query(query, "iss").next().is_some()
}

fn refused(why: &'static str) -> Refusal {
    Refusal::InvalidRequest(why)
}

/// The redirect URI with its own query, followed by the code, the state (RFC 6749 §4.1.2) and the
/// issuer (RFC 9207 §2).
fn location(redirect_uri: &str, code: &str, state: Option<&str>, issuer: Option<&str>) -> String {
    let separator = match redirect_uri.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    let mut location = format!("{redirect_uri}{separator}code={code}");
    for (name, value) in [("state", state), ("iss", issuer)] {
        let Some(value) = value else { continue };
        location.extend(["&", name, "="]);
        // A space is written as `%20`, which both form decoding and plain percent-decoding
        // understand.
        location.extend(
            byte_serialize(value.as_bytes()).map(|part| if part == "+" { "%20" } else { part }),
        );
    }
    location
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    #[test]
    fn the_query_of_the_redirect_uri_is_kept() {
        for (uri, location_of_it) in [
            ("https://a.example", "https://a.example?code=C&state=s"),
            (
                "https://a.example/cb",
                "https://a.example/cb?code=C&state=s",
            ),
            (
                "https://a.example/cb?",
                "https://a.example/cb?code=C&state=s",
            ),
            (
                "https://a.example/cb?x=%2F",
                "https://a.example/cb?x=%2F&code=C&state=s",
            ),
            (
                "https://a.example/cb?x=1&",
                "https://a.example/cb?x=1&code=C&state=s",
            ),
            (
                "https://a.example/cb?x=?",
                "https://a.example/cb?x=?&code=C&state=s",
            ),
        ] {
            assert_eq!(location(uri, "C", Some("s"), None), location_of_it);
            assert_eq!(
                location(uri, "C", Some("s"), Some("i")),
                format!("{location_of_it}&iss=i")
            );
        }
        assert_eq!(
            location("https://a.example/", "C", None, None),
            "https://a.example/?code=C"
        );
    }

    proptest! {
        #[test]
        fn any_state_comes_back_as_it_was_and_adds_nothing_else(state in "\\PC{1,50}|[\\x00-\\x7f]{1,50}") {
            let text = location("https://a.example/cb?x=1", "C", Some(&state), None);
            prop_assert!(HeaderValue::from_str(&text).is_ok());
            prop_assert!(text.bytes().all(|b| b.is_ascii_graphic() && b != b'#'));
            let url = Url::parse(&text).unwrap();
            let pairs: Vec<_> = url.query_pairs().collect();
            prop_assert_eq!(pairs.len(), 3);
            prop_assert_eq!(&*pairs[2].1, state.as_str());
        }
    }
}
