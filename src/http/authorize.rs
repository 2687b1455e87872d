//! `GET /api/oauth2`: gives out an authorization code by redirect (contract §6).
//!
//! Must not know what a code holds. Nobody proves anything here, so a refusal tells nobody which
//! agents, addresses and users there are, and none is sent anywhere.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::{HeaderValue, LOCATION, REFERRER_POLICY};
use axum::response::{IntoResponse, Response};
use url::form_urlencoded::byte_serialize;

use crate::domain::refusal::Refusal;

use super::error::{Challenge, Failure};
use super::extract::Incoming;
use super::state::State;
use super::token::airisk::required;

/// The longest `state` that is handed back, in bytes.
const LONGEST_STATE: usize = 1_024;

const KNOWN: [&str; 4] = ["client_id", "redirect_uri", "state", "userid"];

/// `GET /api/oauth2`.
pub async fn authorize_agent(state: Arc<State>, incoming: Incoming) -> Result<Response, Failure> {
    let query = incoming.query_parameters(&KNOWN)?;
    let client_id = required(&query, "client_id")?;
    let redirect_uri = required(&query, "redirect_uri")?;
    let echo = query.one("state")?;
    let user = query.one("userid")?;
    if echo.is_some_and(|text| text.len() > LONGEST_STATE) {
        let refusal = Refusal::InvalidRequest("The state parameter is longer than 1,024 bytes.");
        return Err(Failure::Refused(refusal, Challenge::None));
    }
    let authorized = state.codes.authorize(client_id, redirect_uri, user).await;
    let code = authorized.map_err(|error| Failure::of(error, Challenge::None))?;
    // Equal to a registered one by now, which holds characters of a URI alone.
    let location = HeaderValue::from_str(&location(redirect_uri, &code, echo))
        .map_err(|error| Failure::fault(&error.to_string()))?;
    let mut response = StatusCode::FOUND.into_response();
    response.headers_mut().insert(LOCATION, location);
    // RFC 9700 §4.2.4: a page that the code arrives at must not hand it on in `Referer`.
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

/// The redirect URI with its own query, and behind it the code and the state (RFC 6749 §4.1.2).
fn location(redirect_uri: &str, code: &str, state: Option<&str>) -> String {
    let separator = match redirect_uri.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    let mut location = format!("{redirect_uri}{separator}code={code}");
    if let Some(state) = state {
        location.push_str("&state=");
        // A space as `%20`: readers of forms and of plain percent-encoding both understand it.
        for part in byte_serialize(state.as_bytes()) {
            location.push_str(if part == "+" { "%20" } else { part });
        }
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
            ("https://a.example/cb", "https://a.example/cb?code=C&state=s"),
            ("https://a.example/cb?", "https://a.example/cb?code=C&state=s"),
            ("https://a.example/cb?x=%2F", "https://a.example/cb?x=%2F&code=C&state=s"),
            ("https://a.example/cb?x=1&", "https://a.example/cb?x=1&code=C&state=s"),
            ("https://a.example/cb?x=?", "https://a.example/cb?x=?&code=C&state=s"),
        ] {
            assert_eq!(location(uri, "C", Some("s")), location_of_it);
        }
        assert_eq!(location("https://a.example/", "C", None), "https://a.example/?code=C");
    }

    proptest! {
        #[test]
        fn any_state_comes_back_as_it_was_and_adds_nothing_else(state in "\\PC{1,50}|[\\x00-\\x7f]{1,50}") {
            let text = location("https://a.example/cb?x=1", "C", Some(&state));
            prop_assert!(HeaderValue::from_str(&text).is_ok());
            prop_assert!(text.bytes().all(|b| b.is_ascii_graphic() && b != b'#'));
            let url = Url::parse(&text).unwrap();
            let pairs: Vec<_> = url.query_pairs().collect();
            prop_assert_eq!(pairs.len(), 3);
            prop_assert_eq!(&*pairs[2].1, state.as_str());
        }
    }
}
