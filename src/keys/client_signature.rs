//! Signatures of clients. Must not know what was signed.

use std::sync::LazyLock;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::json;

use super::client_algorithm::ClientAlgorithm;
use super::client_jwk::KeyMaterial;
use super::client_key::{ClientKey, ClientKeySet};

/// Whether the owner of this key signed the message, with the algorithm that the key is registered
/// with.
pub(super) fn is_signed_by(key: &ClientKey, message: &[u8], signature: &[u8]) -> bool {
    use ClientAlgorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
    let at_point = |curve: &'static dyn VerificationAlgorithm| match &key.material {
        KeyMaterial::Point(point) => UnparsedPublicKey::new(curve, point)
            .verify(message, signature)
            .is_ok(),
        KeyMaterial::Rsa { .. } => false,
    };
    let rsa: &RsaParameters = match key.algorithm {
        Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        Rs384 => &RSA_PKCS1_2048_8192_SHA384,
        Rs512 => &RSA_PKCS1_2048_8192_SHA512,
        Ps256 => &RSA_PSS_2048_8192_SHA256,
        Ps384 => &RSA_PSS_2048_8192_SHA384,
        Ps512 => &RSA_PSS_2048_8192_SHA512,
        Es256 => return at_point(&ECDSA_P256_SHA256_FIXED),
        Es384 => return at_point(&ECDSA_P384_SHA384_FIXED),
        EdDsa => return at_point(&ED25519),
    };
    let KeyMaterial::Rsa { n, e } = &key.material else {
        return false;
    };
    let key = RsaPublicKeyComponents { n, e };
    key.verify(rsa, message, signature).is_ok()
}

/// A key that nobody has, for the verification that an assertion of an unknown client costs too.
pub(super) fn stand_in(algorithm: ClientAlgorithm) -> Option<&'static ClientKey> {
    static KEYS: LazyLock<Vec<ClientKey>> = LazyLock::new(|| {
        use ClientAlgorithm::{EdDsa, Es256, Es384};
        let key = |algorithm: &ClientAlgorithm| match algorithm {
            // The keys of RFC 7517 appendix A.1, RFC 7638 §3.1 and RFC 8037 appendix A.2, and one
            // that was drawn.
            Es256 => json!({
                "kty": "EC", "crv": "P-256",
                "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
                "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
            }),
            Es384 => json!({
                "kty": "EC", "crv": "P-384",
                "x": "ndEdUhYBvvPs7Lzp5CLB8TK8D6_qEIsW8qZTDQ_PmWysPgVWfZHaxIM87HhumxKu",
                "y": "kEQzZpfpfRt25OW8bXux3_emi-bCDVeMm7dd6R-UMakeJNLc_bOn_iPhyIVfidSe",
            }),
            EdDsa => json!({
                "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            }),
            rsa => json!({
                "kty": "RSA", "e": "AQAB", "alg": rsa.as_str(),
                "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            }),
        };
        let read = |algorithm| ClientKeySet::parse(&json!({ "keys": [key(algorithm)] })).ok();
        let sets = ClientAlgorithm::ALL.iter().filter_map(read);
        sets.flat_map(|set| set.keys().to_vec()).collect()
    });
    KEYS.iter().find(|key| key.algorithm == algorithm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_has_a_key_that_stands_in() {
        for algorithm in ClientAlgorithm::ALL {
            assert_eq!(stand_in(algorithm).unwrap().algorithm, algorithm);
        }
    }
}
