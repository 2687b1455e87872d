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
use crate::domain::digest::sha256;
use crate::domain::id::{AgentId, ClientId};
use crate::domain::time::Timestamp;

use super::claims::MAX_TOKEN_BYTES;
use super::client_algorithm::ClientAlgorithm;
use super::client_key::ClientKey;
use super::client_signature::VerifyingKey;
use super::unique_json::read_unique;

pub(crate) mod partner_token;

/// How many seconds an assertion may expire from now at most.
pub(crate) const MAX_ASSERTION_TTL: i64 = 300;

/// How many seconds the clock of a client may be ahead: for `iat` and `nbf`.
pub(crate) const MAX_CLIENT_SKEW: i64 = 30;

/// The longest `jti` in bytes.
const MAX_JTI_BYTES: usize = 255;

/// How many keys are tried at most. A refused assertion costs so many verifications of the size that
/// its own text says, whatever keys its client has, so that the response time does not tell which
/// clients and keys exist.
const TRIED_KEYS: usize = 2;

/// The `typ` of a client's own assertion: what common libraries write, and what rfc7523bis recommends.
const CLIENT_TYPES: [&str; 2] = ["jwt", "client-authentication+jwt"];

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

    /// The claims, unproven.
    pub(crate) fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The name of the key, unproven.
    pub(crate) fn kid(&self) -> Option<&str> {
        self.header.get("kid")?.as_str()
    }

    /// Whether the header has nothing that this server would have to understand (RFC 7515 §4.1.11),
    /// and a `kid` that is a string, if any (RFC 7515 §4.1.4).
    fn has_plain_header(&self) -> bool {
        let kid = self.header.get("kid");
        !self.header.contains_key("crit") && kid.is_none_or(Value::is_string)
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
        demand(self.has_plain_header(), "header")?;
        demand(self.algorithm().is_some(), "algorithm")?;
        demand(self.has_type_of(&CLIENT_TYPES), "type")?;
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
        for (key, registered) in self.tried(keys) {
            let verified = key.verifies(self.signed.as_bytes(), &self.signature);
            if std::hint::black_box(verified) && registered.is_some() {
                return registered;
            }
        }
        None
    }

    /// The keys that the signature is verified with, and what they are registered as: of these keys
    /// those that may have signed, the ones without a `kid` first, and stand-ins for the rest. How
    /// many there are, and of which algorithm and size, follows from the assertion alone.
    fn tried<'k, T>(
        &self,
        keys: impl Iterator<Item = (&'k ClientKey, T)>,
    ) -> Vec<(VerifyingKey<'k>, Option<T>)> {
        let (algorithm, length) = (self.algorithm(), self.signature.len());
        let mut fitting: Vec<(&ClientKey, T)> = keys
            .filter(|(key, _)| Some(key.algorithm) == algorithm)
            .collect();
        fitting.sort_by_key(|(key, _)| key.kid.is_some());
        let kid = self.kid();
        let is_named = |key: &ClientKey| {
            kid.is_some() && (key.kid.as_deref() == kid || Some(&*key.thumbprint) == kid)
        };
        let names_one = fitting.iter().any(|(key, _)| is_named(key));
        let is_candidate = |key: &ClientKey| {
            if names_one {
                is_named(key)
            } else {
                // A `kid` that no key has may be the client's own name for a key without one.
                kid.is_none() || key.kid.is_none()
            }
        };
        let mut tried: Vec<(VerifyingKey<'k>, Option<T>)> = fitting
            .into_iter()
            .filter(|(key, _)| is_candidate(key))
            .map(|(key, registered)| (VerifyingKey::of(key), Some(registered)))
            .filter(|(key, _)| key.fits(length))
            .take(TRIED_KEYS)
            .collect();
        let stand_in = VerifyingKey::stand_in(algorithm.unwrap_or(ClientAlgorithm::Es256), length);
        while tried.len() < TRIED_KEYS
            && let Some(stand_in) = stand_in
        {
            tried.push((stand_in, None));
        }
        tried
    }

    /// Tells this assertion, presented by this client, from every other.
    pub(crate) fn digest(&self, client_id: &ClientId) -> [u8; 32] {
        let parts = [client_id.as_str().as_bytes(), b"\n", self.signed.as_bytes()];
        sha256(&[&parts.concat()[..], b".", &self.signature].concat())
    }

    fn algorithm(&self) -> Option<ClientAlgorithm> {
        ClientAlgorithm::parse(self.header.get("alg")?.as_str()?)
    }

    /// Whether `typ` is one of these, without regard to letter case and with or without `application/`
    /// (RFC 7515 §4.1.9), or absent. So no token of another kind passes for one (RFC 8725 §3.11).
    fn has_type_of(&self, known: &[&str]) -> bool {
        match self.header.get("typ") {
            None => true,
            Some(Value::String(typ)) => {
                let typ = typ.to_ascii_lowercase();
                let typ = typ.strip_prefix("application/").unwrap_or(&typ);
                known.contains(&typ)
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

    use super::super::client_key::ClientKeySet;
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

    /// An assertion with this algorithm and a signature of so many bytes that nobody made.
    fn forged(alg: &str, kid: Option<&str>, signature_bytes: usize) -> Assertion {
        let mut header = json!({ "alg": alg });
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let signature = URL_SAFE_NO_PAD.encode(vec![7; signature_bytes]);
        let text = format!("{}.{}.{signature}", encode(&header), encode(&claims()));
        Assertion::read(&text).unwrap()
    }

    fn rsa_key(bits: usize, alg: &str, kid: Option<&str>) -> Value {
        let n = URL_SAFE_NO_PAD.encode(vec![0xf1; bits / 8]);
        let mut key = json!({ "kty": "RSA", "e": "AQAB", "alg": alg, "n": n });
        if let Some(kid) = kid {
            key["kid"] = kid.into();
        }
        key
    }

    /// The verifications that cost the same are those of one algorithm and size.
    #[test]
    fn a_forged_assertion_costs_the_same_whatever_keys_its_client_has() {
        let ec = json!({
            "kty": "EC", "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        });
        let p384 = json!({
            "kty": "EC", "crv": "P-384",
            "x": "ndEdUhYBvvPs7Lzp5CLB8TK8D6_qEIsW8qZTDQ_PmWysPgVWfZHaxIM87HhumxKu",
            "y": "kEQzZpfpfRt25OW8bXux3_emi-bCDVeMm7dd6R-UMakeJNLc_bOn_iPhyIVfidSe",
        });
        let ed = json!({
            "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        });
        let clients: Vec<Vec<Value>> = vec![
            vec![],
            vec![ec.clone()],
            vec![p384.clone()],
            vec![ed.clone()],
            vec![rsa_key(2_048, "RS256", None)],
            vec![rsa_key(3_072, "RS256", None)],
            vec![rsa_key(4_096, "RS256", Some("k"))],
            vec![rsa_key(2_048, "PS256", None)],
            vec![
                rsa_key(2_048, "RS256", Some("a")),
                rsa_key(3_072, "RS256", Some("b")),
                rsa_key(4_096, "RS256", Some("c")),
                rsa_key(4_088, "RS256", None),
                ec,
                p384,
                ed,
            ],
        ];
        for (alg, lengths) in [
            ("RS256", &[0, 64, 255, 256, 384, 511, 512, 513][..]),
            ("PS256", &[256, 384, 512]),
            ("ES256", &[0, 64, 96]),
            ("ES384", &[64, 96]),
            ("EdDSA", &[64, 65]),
            ("none", &[0, 64]),
        ] {
            for (length, kid) in lengths
                .iter()
                .zip([None, Some("a"), Some("k")].iter().cycle())
            {
                let forged = forged(alg, *kid, *length);
                let costs = clients.iter().map(|keys| {
                    let set = json!({ "keys": keys }).to_string();
                    let set = ClientKeySet::of_stored(&set);
                    let keys = set.iter().flat_map(ClientKeySet::keys).map(|key| (key, ()));
                    let tried = forged.tried(keys);
                    tried.iter().map(|(key, _)| key.cost()).collect()
                });
                let costs: Vec<Vec<_>> = costs.collect();
                assert!(
                    costs.iter().all(|one| *one == costs[0]),
                    "{alg} {length} {costs:?}"
                );
                let is_rsa = alg.ends_with("S256") && alg != "ES256";
                let none = is_rsa && !(256..=512).contains(length);
                assert_eq!(
                    costs[0].len(),
                    if none { 0 } else { TRIED_KEYS },
                    "{alg} {length}"
                );
            }
        }
    }

    #[test]
    fn without_a_kid_the_keys_without_one_are_tried_first() {
        let keys = [
            rsa_key(2_048, "RS256", Some("a")),
            rsa_key(2_048, "RS256", Some("b")),
            rsa_key(2_048, "RS256", Some("c")),
            rsa_key(2_048, "RS256", None),
        ];
        let mut keys = keys.to_vec();
        for (key, byte) in keys.iter_mut().zip(1_u8..) {
            let mut n = vec![0xf1; 256];
            n[1] = byte;
            key["n"] = URL_SAFE_NO_PAD.encode(n).into();
        }
        let set = ClientKeySet::parse(&json!({ "keys": keys })).unwrap();
        let places = |kid: Option<&str>| -> Vec<Option<usize>> {
            let numbered = set.keys().iter().zip(0..);
            let forged = forged("RS256", kid, 256);
            forged
                .tried(numbered)
                .into_iter()
                .map(|(_, at)| at)
                .collect()
        };
        assert_eq!(places(None), [Some(3), Some(0)]);
        assert_eq!(places(Some("b")), [Some(1), None]);
        assert_eq!(places(Some(&set.keys()[3].thumbprint)), [Some(3), None]);
        assert_eq!(places(Some("other")), [Some(3), None]);
    }
}
