//! The public keys of clients (RFC 7517, RFC 7518): what is accepted when a key is registered.
//!
//! Owns which keys and algorithms there are, and the form in which a key set is stored. Must not
//! know whose keys they are.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::domain::digest::sha256;

use super::client_algorithm::ClientAlgorithm;
use super::client_jwk::{KeyMaterial, MemberRule, read_ec, read_okp, read_rsa, text};

/// The most keys of one set.
pub(crate) const MAX_KEYS: usize = 8;

/// The longest `kid` in bytes.
const MAX_KID_BYTES: usize = 255;

/// The members of a JWK that hold a private part (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// One public key, which signs with one algorithm only (RFC 8725 §3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientKey {
    /// The name that its owner gave it.
    pub kid: Option<String>,
    /// Its RFC 7638 thumbprint.
    pub thumbprint: String,
    /// The algorithm: the key's `alg` or, without one, that of its type. RSA means RS256.
    pub algorithm: ClientAlgorithm,
    /// The public part.
    pub material: KeyMaterial,
    /// The JWK, with the members that this server uses and no others.
    jwk: Value,
}

/// The keys of one credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientKeySet(Vec<ClientKey>);

/// A rule that a key set breaks: the place as a JSON Pointer within the set, and the rule.
pub(crate) type KeyRule = (String, Cow<'static, str>);

impl ClientKeySet {
    /// Reads a JWK Set that is to be registered. Every fault is told. Of the keys of one algorithm
    /// one may be without a `kid`: assertions without one are tried with few keys.
    pub(crate) fn parse(set: &Value) -> Result<Self, Vec<KeyRule>> {
        let read = Self::read(set)?;
        let mut rules = vec![];
        for (index, key) in read.0.iter().enumerate() {
            let earlier = read.0.iter().take(index);
            let is_second =
                |other: &ClientKey| other.kid.is_none() && other.algorithm == key.algorithm;
            if key.kid.is_none() && earlier.into_iter().any(is_second) {
                let why = "is missing: of several keys of one algorithm, one may be without a kid";
                rules.push((format!("/keys/{index}/kid"), why.into()));
            }
        }
        if rules.is_empty() {
            Ok(read)
        } else {
            Err(rules)
        }
    }

    fn read(set: &Value) -> Result<Self, Vec<KeyRule>> {
        let rule = |at: &str, why: &'static str| (at.to_owned(), Cow::from(why));
        let Some(members) = set.as_object() else {
            return Err(vec![rule("", "must be a JSON Web Key Set: an object")]);
        };
        let Some(keys) = members.get("keys") else {
            return Err(vec![rule(
                "/keys",
                "is missing: a key set is {\"keys\":[…]}",
            )]);
        };
        let keys = keys.as_array().map(Vec::as_slice).unwrap_or_default();
        if keys.is_empty() || keys.len() > MAX_KEYS {
            return Err(vec![rule(
                "/keys",
                "must be an array of 1 to 8 public keys",
            )]);
        }
        let (mut read, mut rules): (Vec<ClientKey>, _) = (vec![], vec![]);
        for (index, key) in keys.iter().enumerate() {
            let at = format!("/keys/{index}");
            match ClientKey::parse(key) {
                Ok(key) => {
                    let is_twice = |other: &ClientKey| {
                        other.thumbprint == key.thumbprint
                            || other.kid.is_some() && other.kid == key.kid
                    };
                    if read.iter().any(is_twice) {
                        rules.push(rule(
                            &at,
                            "is in the set twice, or has the kid of another key",
                        ));
                    }
                    read.push(key);
                }
                Err(found) => {
                    rules.extend(
                        found
                            .into_iter()
                            .map(|(inner, why)| (at.clone() + inner, why)),
                    );
                }
            }
        }
        if rules.is_empty() {
            Ok(Self(read))
        } else {
            Err(rules)
        }
    }

    /// Reads a set in its stored form. `None` for anything that this server never stored.
    pub(crate) fn of_stored(text: &str) -> Option<Self> {
        Self::read(&serde_json::from_str(text).ok()?).ok()
    }

    /// The stored form: a JWK Set with the members that this server uses.
    pub(crate) fn to_text(&self) -> String {
        let keys: Vec<&Value> = self.0.iter().map(|key| &key.jwk).collect();
        json!({ "keys": keys }).to_string()
    }

    /// The thumbprints of the keys, joined by spaces.
    pub(crate) fn thumbprints(&self) -> String {
        let all: Vec<&str> = self.0.iter().map(|key| &*key.thumbprint).collect();
        all.join(" ")
    }

    /// The keys, in order.
    pub(crate) fn keys(&self) -> &[ClientKey] {
        &self.0
    }
}

impl ClientKey {
    fn parse(key: &Value) -> Result<Self, Vec<MemberRule>> {
        let Some(members) = key.as_object() else {
            return Err(vec![("", "must be a JSON Web Key: an object".into())]);
        };
        let mut rules: Vec<MemberRule> = vec![];
        if let Some(name) = PRIVATE_MEMBERS
            .iter()
            .find(|name| members.contains_key(**name))
        {
            let why = format!(
                "holds the private member `{name}`: keep it, and register the public part only"
            );
            // Nothing else is told of a key that is compromised now.
            return Err(vec![("", why.into())]);
        }
        if members.get("use").is_some_and(|use_| use_ != "sig") {
            rules.push(("/use", "must be `sig`, or left out".into()));
        }
        if members
            .get("key_ops")
            .is_some_and(|ops| *ops != json!(["verify"]))
        {
            rules.push(("/key_ops", "must be [\"verify\"], or left out".into()));
        }
        let kid = match members.get("kid") {
            None => None,
            Some(Value::String(kid)) if (1..=MAX_KID_BYTES).contains(&kid.len()) => {
                Some(kid.clone())
            }
            Some(_) => {
                rules.push(("/kid", "must be a text of 1 to 255 bytes".into()));
                None
            }
        };
        let read = match text(members, "kty") {
            Some("RSA") => read_rsa(members),
            Some("EC") => read_ec(members),
            Some("OKP") => read_okp(members),
            _ => Err(vec![("/kty", "must be `RSA`, `EC` or `OKP`".into())]),
        };
        let (material, fitting, mut jwk) = match read {
            Ok(read) => read,
            Err(found) => {
                rules.extend(found);
                return Err(rules);
            }
        };
        let algorithm = match members.get("alg") {
            None => fitting.first().copied(),
            Some(name) => {
                let named = name.as_str().and_then(ClientAlgorithm::parse);
                named.filter(|named| fitting.contains(named))
            }
        };
        let Some(algorithm) = algorithm.filter(|_| rules.is_empty()) else {
            if algorithm.is_none() {
                let names: Vec<&str> = fitting.iter().map(|one| one.as_str()).collect();
                rules.push((
                    "/alg",
                    format!("must be one of {}", names.join(", ")).into(),
                ));
            }
            return Err(rules);
        };
        // RFC 7638 §3: the required members in the order of their names, without white space.
        let thumbprint = URL_SAFE_NO_PAD.encode(sha256(jwk.to_string().as_bytes()));
        if let Some(members) = jwk.as_object_mut() {
            members.insert("alg".to_owned(), algorithm.as_str().into());
            members.extend(kid.clone().map(|kid| ("kid".to_owned(), kid.into())));
        }
        Ok(Self {
            kid,
            thumbprint,
            algorithm,
            material,
            jwk,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::client_algorithm::ClientAlgorithm::{EdDsa, Rs256};
    use super::*;

    /// The key of RFC 7638 §3.1, whose thumbprint is given there.
    const RSA_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    /// The P-256 key of RFC 7517 appendix A.1.
    const EC_X: &str = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
    const EC_Y: &str = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";
    /// The key of RFC 8037 appendix A.2.
    const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn rsa() -> Value {
        json!({ "kty": "RSA", "n": RSA_N, "e": "AQAB" })
    }

    fn ec() -> Value {
        json!({ "kty": "EC", "crv": "P-256", "x": EC_X, "y": EC_Y })
    }

    fn with(mut key: Value, name: &str, value: impl Into<Value>) -> Value {
        key[name] = value.into();
        key
    }

    #[test]
    fn thumbprints_are_those_of_the_rfcs() {
        let ed = json!({ "kty": "OKP", "crv": "Ed25519", "x": ED_X });
        for (key, algorithm, thumbprint) in [
            (rsa(), Rs256, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
            (ed, EdDsa, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
        ] {
            let set = ClientKeySet::parse(&json!({ "keys": [key] })).unwrap();
            assert_eq!(set.thumbprints(), thumbprint);
            assert_eq!(set.keys()[0].algorithm, algorithm);
            assert_eq!(ClientKeySet::of_stored(&set.to_text()), Some(set));
        }
    }

    #[test]
    fn what_a_key_says_beside_its_public_part_is_not_kept() {
        let key = with(
            with(with(ec(), "kid", "k1"), "x5u", "https://a.example"),
            "ext",
            true,
        );
        let set = ClientKeySet::parse(&json!({ "keys": [with(key, "use", "sig")] })).unwrap();
        let expected = with(with(ec(), "kid", "k1"), "alg", "ES256");
        let stored: Value = serde_json::from_str(&set.to_text()).unwrap();
        assert_eq!(stored, json!({ "keys": [expected] }));
    }

    #[test]
    fn every_fault_of_a_key_is_told_at_its_place() {
        let short = URL_SAFE_NO_PAD.encode([0xff; 128]);
        let off = URL_SAFE_NO_PAD.encode([7; 32]);
        let cases = [
            (with(rsa(), "n", short), "/n"),
            (with(rsa(), "n", URL_SAFE_NO_PAD.encode([0xff; 513])), "/n"),
            (with(rsa(), "n", URL_SAFE_NO_PAD.encode([0xfe; 256])), "/n"),
            (with(rsa(), "n", "A".to_owned() + RSA_N), "/n"),
            (with(rsa(), "n", "!"), "/n"),
            (with(rsa(), "e", "Aw"), "/e"),
            (with(rsa(), "e", "AAEAAQ"), "/e"),
            (with(rsa(), "e", "AQAA"), "/e"),
            (with(rsa(), "alg", "ES256"), "/alg"),
            (with(rsa(), "alg", "HS256"), "/alg"),
            (with(rsa(), "alg", "none"), "/alg"),
            (with(rsa(), "alg", 1), "/alg"),
            (with(rsa(), "use", "enc"), "/use"),
            (
                with(rsa(), "key_ops", json!(["sign", "verify"])),
                "/key_ops",
            ),
            (with(rsa(), "kid", ""), "/kid"),
            (with(rsa(), "kid", "k".repeat(256)), "/kid"),
            (with(ec(), "x", off), ""),
            (with(ec(), "x", URL_SAFE_NO_PAD.encode([1; 31])), "/x"),
            (with(ec(), "crv", "P-521"), "/crv"),
            (with(ec(), "crv", "secp256k1"), "/crv"),
            (with(ec(), "kty", "oct"), "/kty"),
            (json!({ "kty": "OKP", "crv": "X25519", "x": ED_X }), "/crv"),
            (json!({ "kty": "OKP", "crv": "Ed25519", "x": "AA" }), "/x"),
            (json!({}), "/kty"),
            (json!(1), ""),
        ];
        for (key, place) in cases {
            let found = ClientKeySet::parse(&json!({ "keys": [ec(), key] })).unwrap_err();
            let places: Vec<&str> = found.iter().map(|(at, _)| &**at).collect();
            assert_eq!(places, [format!("/keys/1{place}")], "{key}");
        }
        for name in PRIVATE_MEMBERS {
            let found = ClientKeySet::parse(&json!({ "keys": [with(rsa(), name, "AQ")] }));
            let (at, why) = &found.unwrap_err()[0];
            assert!(at == "/keys/0" && why.contains("private"), "{name}");
        }
    }

    #[test]
    fn a_point_of_small_order_is_no_key() {
        let mut points: Vec<String> = [
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU",
            "xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o",
            "7P_______________________________________38",
            "7f_______________________________________38",
            "7v_______________________________________38",
        ]
        .map(str::to_owned)
        .to_vec();
        for point in points.clone() {
            let mut bytes = URL_SAFE_NO_PAD.decode(point).unwrap();
            bytes[31] |= 0x80;
            points.push(URL_SAFE_NO_PAD.encode(bytes));
        }
        for x in points {
            let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
            let rules = ClientKeySet::parse(&json!({ "keys": [key] })).unwrap_err();
            assert_eq!(rules[0].0, "/keys/0/x", "{x}");
        }
    }

    #[test]
    fn one_key_of_an_algorithm_may_be_without_a_kid() {
        let other = json!({
            "kty": "EC", "crv": "P-256",
            "x": "NX-3f47bKoCZW4Fs6IEOPMWcaGSmzDrEvdxMujUzMtc",
            "y": "8Hf2iwMxS9l9ot4yzPgC3ir-iiOgz6yo6-p_utZ6WxU",
        });
        let set = |keys: [&Value; 3]| json!({ "keys": keys });
        let unnamed = set([&ec(), &rsa(), &other]);
        let found = ClientKeySet::parse(&unnamed).unwrap_err();
        assert_eq!(found[0].0, "/keys/2/kid");
        // Such a set that is stored goes on to be read.
        assert!(ClientKeySet::of_stored(&unnamed.to_string()).is_some());
        let named = with(other, "kid", "k");
        assert!(ClientKeySet::parse(&set([&ec(), &rsa(), &named])).is_ok());
        assert!(ClientKeySet::parse(&set([&named, &rsa(), &ec()])).is_ok());
    }

    #[test]
    fn a_set_has_one_to_eight_different_keys() {
        let named = |n: usize| with(ec(), "kid", n.to_string());
        for bad in [
            json!([]),
            json!({}),
            json!({ "keys": [] }),
            json!({ "keys": {} }),
            json!({ "keys": vec![ec(); 9] }),
            json!({ "keys": [named(1), named(2)] }),
            json!({ "keys": [with(ec(), "kid", "a"), with(rsa(), "kid", "a")] }),
        ] {
            assert!(ClientKeySet::parse(&bad).is_err(), "{bad}");
        }
        assert!(ClientKeySet::parse(&json!({ "keys": [ec(), rsa()] })).is_ok());
    }
}
