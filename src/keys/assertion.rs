//! Client assertions (RFC 7521, RFC 7523): JWTs with which clients authenticate, signed with keys of
//! their own.
//!
//! Owns the checks of the text, and of its signature under the keys of one client. Must not know who
//! the client is, or whether the assertion was used before. Nothing in a header chooses a key but
//! its `kid` among the client's own keys (RFC 8725 §3.10).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::domain::assertion::AssertionRef;
use crate::domain::id::AgentId;
use crate::domain::time::Timestamp;

use super::claims::MAX_TOKEN_BYTES;
use super::client_algorithm::ClientAlgorithm;
use super::client_key::ClientKey;
use super::client_signature::{is_signed_by, stand_in};
use super::unique_json::read_unique;

/// How many seconds an assertion may expire from now at most.
pub(crate) const MAX_ASSERTION_TTL: i64 = 300;

/// How many seconds the clock of a client may be ahead: for `iat` and `nbf`.
pub(crate) const MAX_CLIENT_SKEW: i64 = 30;

/// The longest `jti` in bytes.
const MAX_JTI_BYTES: usize = 255;

/// How many keys are tried at most. A refused assertion costs so many verifications, whatever keys
/// its client has, so that the response time does not tell which clients and keys exist.
const TRIED_KEYS: usize = 2;

/// A check of an assertion that failed, as the reasons of refusals name it.
pub(crate) type FailedCheck = &'static str;

/// The `aud` of the request, the client that it names besides the assertion, and the time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'e> {
    /// This server's issuer.
    pub issuer: &'e str,
    /// The `client_id` parameter, if the request has one.
    pub client_id: Option<&'e str>,
    /// The time, by the store's clock.
    pub now: Timestamp,
}

/// An assertion that has the shape of one. Nothing in it is proven yet.
pub(crate) struct Assertion {
    /// Header and claims as they were signed.
    signed: Box<str>,
    signature: Vec<u8>,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Assertion(redacted)")
    }
}

impl Assertion {
    /// Reads the compact serialization (RFC 7515 §3.1). `None` if the text is too long, has other
    /// than three parts, or a part that is not what it must be.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if text.len() > MAX_TOKEN_BYTES || text.bytes().filter(|b| *b == b'.').count() != 2 {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let object = |part: &str| match read_unique(&URL_SAFE_NO_PAD.decode(part).ok()?) {
            Ok(Value::Object(members)) => Some(members),
            _ => None,
        };
        Some(Self {
            header: object(header)?,
            claims: object(claims)?,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
            signed: signed.into(),
        })
    }

    /// The client that the assertion names.
    pub(crate) fn subject(&self) -> Option<&str> {
        self.claim("sub")
    }

    /// What is kept of it once it was exchanged. `None` if it has no `jti` or `exp` that the checks
    /// accept.
    pub(crate) fn reference(&self, agent_id: &AgentId) -> Option<AssertionRef> {
        let (jti, expires_at) = (self.jti()?, Timestamp(self.time("exp")??));
        Some(AssertionRef::new(agent_id, jti, expires_at))
    }

    /// Checks all but the signature and the single use (RFC 7523 §3).
    pub(crate) fn check(&self, expected: &Expected<'_>) -> Result<(), FailedCheck> {
        let demand = |holds: bool, check| if holds { Ok(()) } else { Err(check) };
        // RFC 7515 §4.1.11: this server understands no extension.
        demand(!self.header.contains_key("crit"), "header")?;
        // RFC 7515 §4.1.4: a `kid` is a string.
        let kid = self.header.get("kid");
        demand(kid.is_none_or(Value::is_string), "header")?;
        demand(self.algorithm().is_some(), "algorithm")?;
        demand(self.has_fitting_type(), "type")?;
        let subject = self.subject().ok_or("subject")?;
        demand(self.claim("iss") == Some(subject), "issuer")?;
        demand(expected.client_id.is_none_or(|id| id == subject), "subject")?;
        demand(self.is_for(expected.issuer), "audience")?;
        let now = expected.now.0;
        let latest = now.saturating_add(MAX_ASSERTION_TTL);
        let exp = self.time("exp").flatten().ok_or("expiry")?;
        demand(now < exp && exp <= latest, "expiry")?;
        for name in ["iat", "nbf"] {
            let begins = self.time(name).ok_or("time")?;
            let latest = now.saturating_add(MAX_CLIENT_SKEW);
            demand(begins.is_none_or(|begins| begins <= latest), "time")?;
        }
        demand(self.jti().is_some(), "jti")
    }

    /// Verifies the signature under one of the keys, the newest first, each with what its key set is
    /// registered as. Returns what the key is registered as.
    pub(crate) fn verify<'k, T>(
        &self,
        keys: impl Iterator<Item = (&'k ClientKey, T)>,
    ) -> Option<T> {
        let algorithm = self.algorithm();
        let fitting: Vec<(&ClientKey, T)> = keys
            .filter(|(key, _)| Some(key.algorithm) == algorithm)
            .collect();
        let kid = self.header.get("kid").and_then(Value::as_str);
        let is_named = |key: &ClientKey| {
            kid.is_some() && (key.kid.as_deref() == kid || Some(&*key.thumbprint) == kid)
        };
        let names_one = fitting.iter().any(|(key, _)| is_named(key));
        let mut tried = 0;
        for (key, registered) in fitting {
            // A `kid` that no key has may be the client's own name for a key without one.
            let is_candidate = if names_one {
                is_named(key)
            } else {
                kid.is_none() || key.kid.is_none()
            };
            if is_candidate && tried < TRIED_KEYS {
                tried += 1;
                if self.is_signed_by(key) {
                    return Some(registered);
                }
            }
        }
        let stand_in = stand_in(algorithm.unwrap_or(ClientAlgorithm::Es256));
        while tried < TRIED_KEYS {
            tried += 1;
            let _ = std::hint::black_box(stand_in.is_some_and(|key| self.is_signed_by(key)));
        }
        None
    }

    fn is_signed_by(&self, key: &ClientKey) -> bool {
        is_signed_by(key, self.signed.as_bytes(), &self.signature)
    }

    fn algorithm(&self) -> Option<ClientAlgorithm> {
        ClientAlgorithm::parse(self.header.get("alg")?.as_str()?)
    }

    /// What common libraries write, and what rfc7523bis recommends, without regard to letter case
    /// and with or without `application/` (RFC 7515 §4.1.9).
    fn has_fitting_type(&self) -> bool {
        match self.header.get("typ") {
            None => true,
            Some(Value::String(typ)) => {
                let typ = typ.to_ascii_lowercase();
                let typ = typ.strip_prefix("application/").unwrap_or(&typ);
                matches!(typ, "jwt" | "client-authentication+jwt")
            }
            Some(_) => false,
        }
    }

    /// Whether this server is the only audience (rfc7523bis).
    fn is_for(&self, issuer: &str) -> bool {
        match self.claims.get("aud") {
            Some(Value::String(aud)) => aud == issuer,
            Some(Value::Array(all)) => matches!(&all[..], [Value::String(aud)] if aud == issuer),
            _ => false,
        }
    }

    fn jti(&self) -> Option<&str> {
        self.claim("jti")
            .filter(|jti| (1..=MAX_JTI_BYTES).contains(&jti.len()))
    }

    fn claim(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// A time in whole seconds (RFC 7519 §2, `NumericDate`; a fraction is dropped). `Some(None)` if
    /// there is none, `None` if it is no time.
    #[expect(
        clippy::option_option,
        reason = "a wrong time is told apart from an absent one"
    )]
    fn time(&self, name: &str) -> Option<Option<i64>> {
        let Some(value) = self.claims.get(name) else {
            return Some(None);
        };
        let Value::Number(number) = value else {
            return None;
        };
        let whole = number.as_i64().or_else(|| {
            let seconds = number.as_f64().filter(|seconds| seconds.abs() < 1e12)?;
            format!("{:.0}", seconds.floor()).parse().ok()
        });
        whole.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn encode(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    fn assertion(header: &Value, claims: &Value) -> Assertion {
        Assertion::read(&format!("{}.{}.AA", encode(header), encode(claims))).unwrap()
    }

    fn header() -> Value {
        json!({ "alg": "ES256" })
    }

    fn claims() -> Value {
        json!({ "iss": "a", "sub": "a", "aud": "https://as.example", "exp": 1_060, "jti": "1" })
    }

    fn checked(header: &Value, claims: &Value) -> Result<(), FailedCheck> {
        let expected = Expected {
            issuer: "https://as.example",
            client_id: None,
            now: Timestamp(1_000),
        };
        assertion(header, claims).check(&expected)
    }

    #[test]
    fn what_libraries_write_is_accepted() {
        let accepted = [
            ("exp", json!(1_001)),
            ("exp", json!(1_300)),
            ("exp", json!(1_060.5)),
            ("iat", json!(1_008)),
            ("nbf", json!(1_030)),
            ("iat", json!(0)),
            ("aud", json!(["https://as.example"])),
            ("jti", json!("j".repeat(255))),
            ("other", json!({})),
        ];
        for (name, value) in accepted {
            let mut with = claims();
            with[name] = value;
            assert_eq!(checked(&header(), &with), Ok(()), "{with}");
        }
        for typ in [
            "JWT",
            "jwt",
            "client-authentication+jwt",
            "application/Client-Authentication+JWT",
        ] {
            let header =
                json!({ "alg": "ES256", "typ": typ, "jku": "https://evil.example", "jwk": {} });
            assert_eq!(checked(&header, &claims()), Ok(()), "{typ}");
        }
    }

    #[test]
    fn every_check_refuses_what_it_is_for() {
        let refused = [
            ("iss", json!("b"), "issuer"),
            ("iss", Value::Null, "issuer"),
            ("sub", json!(1), "subject"),
            ("aud", json!("https://as.example/"), "audience"),
            ("aud", json!("https://as.example/api/v1/token"), "audience"),
            (
                "aud",
                json!(["https://as.example", "https://b.example"]),
                "audience",
            ),
            ("aud", json!([]), "audience"),
            ("exp", json!(1_000), "expiry"),
            ("exp", json!(700), "expiry"),
            ("exp", json!(1_301), "expiry"),
            ("exp", json!("never"), "expiry"),
            ("exp", json!([]), "expiry"),
            ("exp", json!(-1), "expiry"),
            ("exp", json!(1.5), "expiry"),
            ("exp", json!(1e300), "expiry"),
            ("exp", json!(i64::MAX), "expiry"),
            ("exp", json!(u64::MAX), "expiry"),
            ("exp", Value::Null, "expiry"),
            ("iat", json!(1_061), "time"),
            ("iat", json!("1"), "time"),
            ("nbf", json!(1_061), "time"),
            ("nbf", Value::Null, "time"),
            ("jti", json!(""), "jti"),
            ("jti", json!(1), "jti"),
            ("jti", json!("j".repeat(256)), "jti"),
        ];
        for (name, value, check) in refused {
            let mut with = claims();
            with[name] = value;
            assert_eq!(checked(&header(), &with), Err(check), "{with}");
        }
        for (name, check) in [
            ("iss", "issuer"),
            ("sub", "subject"),
            ("aud", "audience"),
            ("exp", "expiry"),
            ("jti", "jti"),
        ] {
            let mut without = claims();
            without.as_object_mut().unwrap().remove(name);
            assert_eq!(checked(&header(), &without), Err(check), "{name}");
        }
        for (header, check) in [
            (json!({ "alg": "none" }), "algorithm"),
            (json!({ "alg": "HS256" }), "algorithm"),
            (json!({ "alg": "es256" }), "algorithm"),
            (json!({}), "algorithm"),
            (json!({ "alg": "ES256", "crit": ["exp"] }), "header"),
            (json!({ "alg": "ES256", "typ": "at+jwt" }), "type"),
            (json!({ "alg": "ES256", "typ": 1 }), "type"),
        ] {
            assert_eq!(checked(&header, &claims()), Err(check), "{header}");
        }
    }

    #[test]
    fn what_has_not_the_shape_of_an_assertion_is_not_read() {
        let (header, claims) = (encode(&header()), encode(&claims()));
        let twice = URL_SAFE_NO_PAD.encode(r#"{"sub":"a","sub":"b"}"#);
        for bad in [
            String::new(),
            "..".to_owned(),
            format!("{header}.{claims}"),
            format!("{header}.{claims}.AA.AA.AA"),
            format!("{header}.{claims}.="),
            format!("{header}.{twice}.AA"),
            format!("{header}.{}.AA", encode(&json!([]))),
            format!("{header}.{claims}.{}", "A".repeat(MAX_TOKEN_BYTES)),
            ".".repeat(1_000_000),
        ] {
            assert!(Assertion::read(&bad).is_none(), "{}", bad.len());
        }
    }
}
