//! RS256 (RFC 7518 §3.3). Only this file signs tokens, and only this file names the libraries for
//! that.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, Jwk, KeyAlgorithm, PublicKeyUse, RSAKeyParameters,
    RSAKeyType, ThumbprintHash,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use zeroize::Zeroizing;

use crate::domain::id::Kid;

use super::base64url;
use super::claims::Claims;
use super::fault::KeyFault;

/// The size of a new RSA key. A size below 2,048 bits does not exist here (contract D11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RsaBits {
    /// 2,048 bits.
    #[default]
    B2048,
    /// 3,072 bits: three times the cost of a signature.
    B3072,
    /// 4,096 bits: six times the cost of a signature.
    B4096,
}

/// A key that was just made.
pub struct GeneratedKey {
    /// RFC 7638 thumbprint of the public part.
    pub kid: Kid,
    /// The public JWK as JSON.
    pub public_jwk: String,
    /// The private key in PKCS #8 DER.
    pub private_der: Zeroizing<Vec<u8>>,
}

/// Makes a key. This takes 50–2,000 ms of one core, so call it on a thread that serves no requests.
pub fn generate(bits: RsaBits) -> Result<GeneratedKey, KeyFault> {
    let size = match bits {
        RsaBits::B2048 => KeySize::Rsa2048,
        RsaBits::B3072 => KeySize::Rsa3072,
        RsaBits::B4096 => KeySize::Rsa4096,
    };
    let pair = KeyPair::generate(size).map_err(|_| KeyFault::Generation)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyFault::Generation)?;
    let (kid, public_jwk) = public_jwk(&pair)?;
    Ok(GeneratedKey {
        kid,
        public_jwk,
        private_der: Zeroizing::new(der.as_ref().to_vec()),
    })
}

/// The public JWK with RFC 7517 public members only, `use` and `alg` set, and the RFC 7638 SHA-256
/// thumbprint as `kid`.
fn public_jwk(pair: &KeyPair) -> Result<(Kid, String), KeyFault> {
    let public = pair.public_key();
    let mut jwk = Jwk {
        common: CommonParameters {
            public_key_use: Some(PublicKeyUse::Signature),
            key_algorithm: Some(KeyAlgorithm::RS256),
            ..CommonParameters::default()
        },
        algorithm: AlgorithmParameters::RSA(RSAKeyParameters {
            key_type: RSAKeyType::RSA,
            n: URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero()),
            e: URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero()),
        }),
    };
    let thumbprint = jwk
        .thumbprint(ThumbprintHash::SHA256)
        .map_err(|_| KeyFault::Generation)?;
    jwk.common.key_id = Some(thumbprint.clone());
    let json = serde_json::to_string(&jwk).map_err(|_| KeyFault::Generation)?;
    Ok((Kid(thumbprint), json))
}

/// A private key, parsed once. Parsing it for every signature would cost more than the signature.
pub struct PrivateKey {
    pair: KeyPair,
    /// The library's interface demands a random generator. Its implementation ignores the
    /// generator.
    random: SystemRandom,
}

impl PrivateKey {
    /// Reads PKCS #8 DER.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let pair = KeyPair::from_pkcs8(der).ok()?;
        Some(Self {
            pair,
            random: SystemRandom::new(),
        })
    }

    /// The thumbprint and the JWK of its public part.
    pub fn public_jwk(&self) -> Result<(Kid, String), KeyFault> {
        public_jwk(&self.pair)
    }

    /// Signs `text` and appends a dot and the signature (RFC 7515 §5.1).
    pub fn sign_onto(&self, text: &mut String) -> Result<(), KeyFault> {
        // The largest key has 4,096 bits.
        let mut buffer = [0u8; 512];
        let signature = buffer
            .get_mut(..self.pair.public_modulus_len())
            .ok_or(KeyFault::Signing)?;
        self.pair
            .sign(&RSA_PKCS1_SHA256, &self.random, text.as_bytes(), signature)
            .map_err(|_| KeyFault::Signing)?;
        text.push('.');
        base64url::append(signature, text);
        Ok(())
    }
}

/// A public key, parsed once. It verifies RS256 and nothing else (RFC 8725 §3.1).
pub(crate) struct PublicKey {
    key: DecodingKey,
    validation: Validation,
}

impl PublicKey {
    /// Reads a stored JWK and checks that `kid` is its thumbprint.
    pub(crate) fn from_jwk(kid: &Kid, json: &str) -> Result<Self, KeyFault> {
        let damaged = |why| KeyFault::Damaged(kid.clone(), why);
        let jwk: Jwk =
            serde_json::from_str(json).map_err(|_| damaged("its public part is no JWK"))?;
        if !matches!(jwk.algorithm, AlgorithmParameters::RSA(_)) {
            return Err(damaged("it is no RSA key"));
        }
        let thumbprint = jwk
            .thumbprint(ThumbprintHash::SHA256)
            .map_err(|_| damaged("it has no thumbprint"))?;
        if thumbprint != kid.0 {
            return Err(damaged("its kid is not its thumbprint"));
        }
        let key =
            DecodingKey::from_jwk(&jwk).map_err(|_| damaged("its public part is no RSA key"))?;
        let mut validation = Validation::new(Algorithm::RS256);
        // The library checks only the signature. This server checks times with its own clock, and
        // the keyring compares the issuer.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        Ok(Self { key, validation })
    }

    /// The claims of a token that this key signed.
    pub(crate) fn verify(&self, token: &str) -> Option<Claims> {
        jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .ok()
            .map(|data| data.claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kid_is_the_rfc_7638_thumbprint() {
        // The key and the thumbprint of RFC 7638 §3.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let kid = Kid("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs".to_owned());
        let json = format!(r#"{{"kty":"RSA","n":"{n}","e":"AQAB","alg":"RS256"}}"#);
        assert!(PublicKey::from_jwk(&kid, &json).is_ok());
        assert!(PublicKey::from_jwk(&Kid("other".to_owned()), &json).is_err());
    }

    #[test]
    fn a_generated_key_publishes_no_private_member() {
        let key = generate(RsaBits::B2048).unwrap();
        let jwk: serde_json::Value = serde_json::from_str(&key.public_jwk).unwrap();
        let mut members: Vec<&str> = jwk
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        members.sort_unstable();
        assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
    }
}
