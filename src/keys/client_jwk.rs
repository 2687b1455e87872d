//! The members of a JSON Web Key that hold its public part, for each type of key (RFC 7518 §6, RFC
//! 8037 §2).
//!
//! Must not know what else a key says, or whose it is.

use std::borrow::Cow;
use std::ops::RangeInclusive;

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
const RSA_BITS: RangeInclusive<usize> = 2_048..=4_096;

/// The sizes of an RSA modulus in bytes.
pub(super) const RSA_BYTES: RangeInclusive<usize> = *RSA_BITS.start() / 8..=*RSA_BITS.end() / 8;

/// The only exponent: 65537. A larger one would make verifications take longer for one agent than
/// for others, and a smaller one is below what FIPS 186-5 allows.
pub(super) const RSA_EXPONENT: &[u8] = &[1, 0, 1];

/// The five points of Ed25519 whose order divides 8, by their y: for one of these as a key,
/// signatures can be made without any private key.
const SMALL_ORDER: [[u8; 32]; 5] = {
    let (mut one, mut minus_one) = ([0; 32], [0xff; 32]);
    one[0] = 1;
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    [
        [0; 32],
        one,
        minus_one,
        *b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\
           \xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
        *b"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\
           \x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
    ]
};

/// The public part of a key, as a library reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyMaterial {
    /// An RSA key with the exponent 65537.
    Rsa {
        /// The modulus, big-endian and without leading zeros.
        n: Vec<u8>,
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
    if bytes(members, "e").is_none_or(|e| e != RSA_EXPONENT) {
        rules.push(("/e", "must be the exponent 65537: `AQAB`".into()));
    }
    match n {
        Some(n) if rules.is_empty() => {
            let hashed = json!({
                "e": URL_SAFE_NO_PAD.encode(RSA_EXPONENT), "kty": "RSA", "n": URL_SAFE_NO_PAD.encode(&n),
            });
            let fitting = &[Rs256, Rs384, Rs512, Ps256, Ps384, Ps512];
            Ok((KeyMaterial::Rsa { n }, fitting, hashed))
        }
        _ => Err(rules),
    }
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
    if has_small_order(&x) {
        let why = "is a point of small order: anybody could sign for it";
        return Err(vec![("/x", why.into())]);
    }
    let hashed = json!({ "crv": "Ed25519", "kty": "OKP", "x": URL_SAFE_NO_PAD.encode(&x) });
    Ok((KeyMaterial::Point(x), &[EdDsa], hashed))
}

/// Whether anybody can sign for this Ed25519 key (RFC 8032 §5.1.7): its order divides 8, or its y is
/// not below the prime, as in other encodings of two of these points.
fn has_small_order(x: &[u8]) -> bool {
    let mut y: Vec<u8> = x.to_vec();
    // The first bit of the last byte is the sign of the other coordinate.
    if let Some(last) = y.last_mut() {
        *last &= 0x7f;
    }
    let is_past_prime = y.first().is_some_and(|first| *first >= 0xed)
        && y.get(1..31)
            .is_some_and(|middle| middle.iter().all(|byte| *byte == 0xff))
        && y.last() == Some(&0x7f);
    is_past_prime || SMALL_ORDER.iter().any(|small| y == small)
}

/// A member that is a text.
pub(super) fn text<'m>(members: &'m Map<String, Value>, name: &str) -> Option<&'m str> {
    members.get(name).and_then(Value::as_str)
}

fn bytes(members: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text(members, name)?).ok()
}
