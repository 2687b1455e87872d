//! The members of a JSON Web Key that hold its public part, for each type of key (RFC 7518 §6, RFC
//! 8037 §2).
//!
//! Must not know what else a key says, or whose it is.

use std::borrow::Cow;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::client_algorithm::ClientAlgorithm::{
    self, EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512,
};

/// The sizes of an RSA modulus in bits. A longer one would make a wrong signature expensive.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;

/// The public part of a key, as a library reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyMaterial {
    /// An RSA key, as big-endian numbers without leading zeros.
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The exponent.
        e: Vec<u8>,
    },
    /// An uncompressed point, or the 32 bytes of an Ed25519 key.
    Point(Vec<u8>),
}

/// A rule that a key breaks: the place within the key, and the rule.
pub(super) type MemberRule = (&'static str, Cow<'static, str>);

/// What the type of a key says: its public part, the algorithms that it may be used with, the usual
/// one first, and the members that RFC 7638 §3.2 hashes.
pub(super) type TypedKey = (KeyMaterial, &'static [ClientAlgorithm], Value);

/// An RSA key (RFC 7518 §6.3.1).
pub(super) fn read_rsa(members: &Map<String, Value>) -> Result<TypedKey, Vec<MemberRule>> {
    let mut rules: Vec<MemberRule> = vec![];
    let n = bytes(members, "n").filter(|n| n.first().is_some_and(|first| *first != 0));
    let is_modulus = |n: &Vec<u8>| {
        let zeros = n.first().map_or(0, |first| first.leading_zeros());
        let bits = n
            .len()
            .saturating_mul(8)
            .saturating_sub(usize::try_from(zeros).unwrap_or(8));
        RSA_BITS.contains(&bits) && n.last().is_some_and(|last| last % 2 == 1)
    };
    if !n.as_ref().is_some_and(is_modulus) {
        let why = "must be a modulus of 2048 to 4096 bits in base64url, without leading zeros";
        rules.push(("/n", why.into()));
    }
    let e = bytes(members, "e").filter(|e| is_exponent(e));
    if e.is_none() {
        rules.push((
            "/e",
            "must be an odd exponent from 65537 (`AQAB`) to 2^32 in base64url".into(),
        ));
    }
    match (n, e) {
        (Some(n), Some(e)) if rules.is_empty() => {
            let hashed = json!({
                "e": URL_SAFE_NO_PAD.encode(&e), "kty": "RSA", "n": URL_SAFE_NO_PAD.encode(&n),
            });
            let fitting = &[Rs256, Rs384, Rs512, Ps256, Ps384, Ps512];
            Ok((KeyMaterial::Rsa { n, e }, fitting, hashed))
        }
        _ => Err(rules),
    }
}

fn is_exponent(e: &[u8]) -> bool {
    let is_long = e.len() <= 4 && e.first().is_some_and(|first| *first != 0);
    let value = e
        .iter()
        .fold(0_u64, |value, byte| value * 256 + u64::from(*byte));
    is_long && value >= 65_537 && value % 2 == 1
}

/// A key on a curve of NIST (RFC 7518 §6.2.1).
pub(super) fn read_ec(members: &Map<String, Value>) -> Result<TypedKey, Vec<MemberRule>> {
    let (crv, length, curve, fitting): (_, _, _, &'static [_]) = match text(members, "crv") {
        Some("P-256") => ("P-256", 32, &ECDSA_P256_SHA256_FIXED, &[Es256]),
        Some("P-384") => ("P-384", 48, &ECDSA_P384_SHA384_FIXED, &[Es384]),
        _ => return Err(vec![("/crv", "must be `P-256` or `P-384`".into())]),
    };
    let mut rules: Vec<MemberRule> = vec![];
    let mut point = vec![4];
    for (name, at) in [("x", "/x"), ("y", "/y")] {
        match bytes(members, name).filter(|bytes| bytes.len() == length) {
            Some(bytes) => point.extend(bytes),
            None => rules.push((at, format!("must be {length} bytes in base64url").into())),
        }
    }
    if rules.is_empty() && ParsedPublicKey::new(curve, &point).is_err() {
        rules.push(("", "is no point of its curve".into()));
    }
    if !rules.is_empty() {
        return Err(rules);
    }
    let half = |name| members.get(name).cloned().unwrap_or_default();
    let hashed = json!({ "crv": crv, "kty": "EC", "x": half("x"), "y": half("y") });
    Ok((KeyMaterial::Point(point), fitting, hashed))
}

/// An Ed25519 key (RFC 8037 §2).
pub(super) fn read_okp(members: &Map<String, Value>) -> Result<TypedKey, Vec<MemberRule>> {
    if text(members, "crv") != Some("Ed25519") {
        return Err(vec![("/crv", "must be `Ed25519`".into())]);
    }
    let is_key = |x: &Vec<u8>| x.len() == 32 && ParsedPublicKey::new(&ED25519, x).is_ok();
    let Some(x) = bytes(members, "x").filter(is_key) else {
        return Err(vec![(
            "/x",
            "must be the 32 bytes of an Ed25519 key in base64url".into(),
        )]);
    };
    let hashed = json!({ "crv": "Ed25519", "kty": "OKP", "x": URL_SAFE_NO_PAD.encode(&x) });
    Ok((KeyMaterial::Point(x), &[EdDsa], hashed))
}

/// A member that is a text.
pub(super) fn text<'m>(members: &'m Map<String, Value>, name: &str) -> Option<&'m str> {
    members.get(name).and_then(Value::as_str)
}

fn bytes(members: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text(members, name)?).ok()
}
