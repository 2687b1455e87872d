//! The `Authorization` header field, and how a client authenticates by that field or by the body.
//!
//! Owns the rules of RFC 6749 and contract D15. Must not know what the client wants.

use std::borrow::Cow;
use std::net::IpAddr;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};

use crate::domain::id::ClientId;
use crate::domain::refusal::Refusal;
use crate::service::clients::credentials::ClientCredentials;

use super::parameters::Parameters;
use super::urlencoded::decode;

const TWO_METHODS: Refusal =
    Refusal::InvalidRequest("More than one client authentication method is used.");

/// What the `Authorization` header field holds.
pub(crate) enum Authorization {
    /// The field is absent.
    Absent,
    /// `Basic`, decoded; `None` if decoding failed.
    Basic(Option<Basic>),
    /// `Bearer` and its token.
    Bearer(String),
    /// Any other scheme.
    Unknown,
}

impl Authorization {
    /// Whether this field authenticates no client, so that the body must hold the client's
    /// credentials. A Bearer token names the holder of a token and is not a method of client
    /// authentication (RFC 6749 §2.3): a program that sends a Bearer token with all its requests
    /// authenticates by the body.
    pub(crate) fn names_no_client(&self) -> bool {
        matches!(self, Self::Absent | Self::Bearer(_))
    }
}

/// The credentials of HTTP Basic.
pub(crate) struct Basic {
    id: String,
    secret: String,
    /// The secret without decoding, if decoding changes it.
    raw_secret: Option<String>,
}

/// Reads the `Authorization` header field. Several fields are refused, unless all of them are
/// empty: then they count as absent (contract D15). Clients with an unset variable send an empty
/// field beside the credentials that they mean. An empty field beside a filled one is refused,
/// because nobody can say which of the two the service behind a gateway reads.
pub(crate) fn authorization(headers: &HeaderMap) -> Result<Authorization, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(Authorization::Absent),
        (Some(value), None) if value.is_empty() => return Ok(Authorization::Absent),
        (Some(value), None) => value,
        (Some(one), Some(other)) => {
            let mut all = values.chain([one, other]);
            return if all.all(HeaderValue::is_empty) {
                Ok(Authorization::Absent)
            } else {
                Err(TWO_METHODS)
            };
        }
    };
    // A scheme counts as tried, whatever follows it. RFC 9110 §11.4: only spaces separate the
    // scheme from the rest. A tab therefore stays in front of the rest, which is then not a valid
    // token. The same is true of bytes that are not UTF-8.
    let end = value
        .as_bytes()
        .iter()
        .position(|b| matches!(b, b' ' | b'\t'))
        .unwrap_or(value.len());
    let (scheme, rest) = value.as_bytes().split_at(end);
    let rest = String::from_utf8_lossy(rest);
    let rest = rest.trim_matches(' ');
    Ok(if scheme.eq_ignore_ascii_case(b"basic") {
        Authorization::Basic(decode_basic(rest))
    } else if scheme.eq_ignore_ascii_case(b"bearer") {
        Authorization::Bearer(rest.to_owned())
    } else {
        Authorization::Unknown
    })
}

/// The Bearer token of a path that accepts nothing else (RFC 6750 §2.1). `otherwise` is the refusal
/// for a request that uses another scheme.
pub(crate) fn bearer(headers: &HeaderMap, otherwise: Refusal) -> Result<String, Refusal> {
    match authorization(headers)? {
        Authorization::Bearer(token) => Ok(token),
        Authorization::Absent => Err(Refusal::MissingToken),
        Authorization::Basic(_) | Authorization::Unknown => Err(otherwise),
    }
}

/// RFC 6749 §2.3.1: id and secret are form-encoded, joined by a colon, then base64. Missing padding
/// is accepted. Clients that do not form-encode are served as well: an id or a secret that is not
/// valid form encoding is taken as it is. If such a secret is valid form encoding by chance, only
/// the agent's credential can tell which of the two readings is meant.
fn decode_basic(text: &str) -> Option<Basic> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let text = String::from_utf8(LENIENT.decode(text).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let half = |raw: &str| decode(raw.as_bytes()).map_or_else(|| raw.to_owned(), Cow::into_owned);
    if id.is_empty() {
        return None;
    }
    let decoded = half(secret);
    let raw_secret = (decoded != secret).then(|| secret.to_owned());
    Some(Basic {
        id: half(id),
        secret: decoded,
        raw_secret,
    })
}

/// The client's credentials by either method (contract D15).
///
/// `Ok(None)` means that the request has no credentials. Malformed Basic of any kind is a failed
/// authentication, so that the client cannot tell it from an unknown id.
pub(crate) fn client_credentials(
    authorization: &Authorization,
    form: &Parameters<'_>,
    peer: Option<IpAddr>,
) -> Result<Option<ClientCredentials>, Refusal> {
    let id = form.one("client_id")?;
    let secret = form.one("client_secret")?;
    let assertion = form
        .one("client_assertion")?
        .or(form.one("client_assertion_type")?);
    match authorization {
        Authorization::Absent | Authorization::Bearer(_) => {
            // RFC 6749 §2.3: one authentication method a request.
            if secret.is_some() && assertion.is_some() {
                return Err(TWO_METHODS);
            }
            Ok(id
                .zip(secret)
                .map(|(id, secret)| ClientCredentials::new(ClientId::parse(id), secret, peer)))
        }
        _ if secret.is_some() || assertion.is_some() => Err(TWO_METHODS),
        Authorization::Basic(Some(basic)) => {
            // RFC 6749 §3.2.1: beside Basic, the same client_id is fine and a different one is a
            // contradiction.
            if id.is_some_and(|id| id != basic.id) {
                return Err(Refusal::InvalidRequest(
                    "The client_id differs from the one in the Authorization header.",
                ));
            }
            let credentials =
                ClientCredentials::new(ClientId::parse(&basic.id), &basic.secret, peer);
            Ok(Some(
                credentials.with_raw_secret(basic.raw_secret.as_deref()),
            ))
        }
        Authorization::Basic(None) | Authorization::Unknown => Err(Refusal::InvalidClient),
    }
}

/// The value of `client_assertion_type` (RFC 7523 §2.2).
pub(crate) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The client's credentials if it authenticates by an assertion (RFC 7521 §4.2), on a path that
/// accepts assertions. `None` if it does not.
pub(crate) fn client_assertion(
    authorization: &Authorization,
    form: &Parameters<'_>,
    peer: Option<IpAddr>,
) -> Result<Option<ClientCredentials>, Refusal> {
    let assertion = form.one("client_assertion")?;
    let kind = form.one("client_assertion_type")?;
    if assertion.is_none() && kind.is_none() {
        return Ok(None);
    }
    if !authorization.names_no_client() || form.one("client_secret")?.is_some() {
        return Err(TWO_METHODS);
    }
    let kind = kind.ok_or(Refusal::MissingParameter("client_assertion_type"))?;
    let assertion = assertion.ok_or(Refusal::MissingParameter("client_assertion"))?;
    if kind != ASSERTION_TYPE {
        return Err(Refusal::InvalidRequest(
            "The client_assertion_type is not urn:ietf:params:oauth:client-assertion-type:jwt-bearer.",
        ));
    }
    let client_id = form.one("client_id")?;
    Ok(Some(ClientCredentials::by_assertion(
        assertion, client_id, peer,
    )))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(text: &str) -> Option<(String, String)> {
        decode_basic(text).map(|basic| (basic.id, basic.secret))
    }

    fn basic(text: &str) -> Option<(String, String)> {
        decoded(&base64::engine::general_purpose::STANDARD.encode(text))
    }

    #[test]
    fn the_raw_secret_is_kept_where_decoding_changes_it() {
        let raw = |text: &str| {
            let encoded = base64::engine::general_purpose::STANDARD.encode(text);
            decode_basic(&encoded).and_then(|basic| basic.raw_secret)
        };
        assert_eq!(raw("id:a+b").as_deref(), Some("a+b"));
        assert_eq!(raw("id:p%25q").as_deref(), Some("p%25q"));
        for same in ["id:secret", "id:100%", "a+b:secret"] {
            assert_eq!(raw(same), None, "{same}");
        }
    }

    #[test]
    fn basic_is_form_decoded_and_split_at_the_first_colon() {
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(basic("a%3Ab~c:p%25q%2Br"), pair("a:b~c", "p%q+r"));
        assert_eq!(basic("id:a:b"), pair("id", "a:b"));
        assert_eq!(basic("id:100%"), pair("id", "100%"));
        assert_eq!(basic(":secret"), None);
        assert_eq!(basic("no colon"), None);
        assert_eq!(decoded("aWQ6cw"), pair("id", "s"));
        assert_eq!(decoded("***"), None);
        assert_eq!(decoded("/////w=="), None);
    }

    proptest! {
        #[test]
        fn no_header_panics(header in "[ -~]{0,100}") {
            let _ = decode_basic(&header);
        }
    }
}
