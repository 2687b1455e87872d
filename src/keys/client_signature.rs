//! Signatures of clients, and what verifying one costs. Must not know what was signed.

use std::sync::LazyLock;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::json;

use super::client_algorithm::ClientAlgorithm::{
    self, EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512,
};
use super::client_jwk::{KeyMaterial, RSA_BYTES, RSA_EXPONENT};
use super::client_key::{ClientKey, ClientKeySet};

/// What verifies signatures. One verification costs the same for all of one algorithm and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VerifyingKey<'k> {
    algorithm: ClientAlgorithm,
    /// The modulus of an RSA key, an uncompressed point, or the 32 bytes of an Ed25519 key.
    public: &'k [u8],
}

/// As many bytes as the longest RSA modulus has. Each is odd and has its first bit set, so that a
/// part of any length is an odd number of this length.
static MODULUS: [u8; *RSA_BYTES.end()] = {
    let (mut bytes, mut drawn, mut at) = ([0; *RSA_BYTES.end()], 1_u32, 0);
    while at < bytes.len() {
        drawn = drawn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes[at] = drawn.to_be_bytes()[0] | 0x81;
        at += 1;
    }
    bytes
};

/// The keys of RFC 7517 appendix A.1 and RFC 8037 appendix A.2, and one that was drawn.
static POINTS: LazyLock<Vec<ClientKey>> = LazyLock::new(|| {
    let keys = json!({ "keys": [
        {
            "kty": "EC", "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        },
        {
            "kty": "EC", "crv": "P-384",
            "x": "ndEdUhYBvvPs7Lzp5CLB8TK8D6_qEIsW8qZTDQ_PmWysPgVWfZHaxIM87HhumxKu",
            "y": "kEQzZpfpfRt25OW8bXux3_emi-bCDVeMm7dd6R-UMakeJNLc_bOn_iPhyIVfidSe",
        },
        { "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" },
    ] });
    ClientKeySet::parse(&keys).map_or_else(|_| vec![], |set| set.keys().to_vec())
});

impl<'k> VerifyingKey<'k> {
    /// The key of a client.
    pub(super) fn of(key: &'k ClientKey) -> Self {
        let (KeyMaterial::Rsa { n: public } | KeyMaterial::Point(public)) = &key.material;
        Self {
            algorithm: key.algorithm,
            public,
        }
    }

    /// Whether a signature of this length can be one of this key: an RSA signature has the length
    /// of its modulus (RFC 8017 §8.1.2, §8.2.2).
    pub(super) fn fits(&self, signature_bytes: usize) -> bool {
        rsa(self.algorithm).is_none() || self.public.len() == signature_bytes
    }

    /// A key that nobody has, for the verification that an assertion of an unknown client costs
    /// too. `None` if no key can verify a signature of this length, which is found out without any.
    pub(super) fn stand_in(
        algorithm: ClientAlgorithm,
        signature_bytes: usize,
    ) -> Option<VerifyingKey<'static>> {
        if rsa(algorithm).is_some() {
            let public = RSA_BYTES
                .contains(&signature_bytes)
                .then(|| MODULUS.get(..signature_bytes))??;
            return Some(VerifyingKey { algorithm, public });
        }
        let key = POINTS.iter().find(|key| key.algorithm == algorithm)?;
        Some(VerifyingKey::of(key))
    }

    /// Whether the owner of this key signed the message, with the algorithm that the key is
    /// registered with.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let at_point = |curve: &'static dyn VerificationAlgorithm| {
            let key = UnparsedPublicKey::new(curve, self.public);
            key.verify(message, signature).is_ok()
        };
        let rsa = match self.algorithm {
            Es256 => return at_point(&ECDSA_P256_SHA256_FIXED),
            Es384 => return at_point(&ECDSA_P384_SHA384_FIXED),
            EdDsa => return at_point(&ED25519),
            algorithm => rsa(algorithm),
        };
        let key = RsaPublicKeyComponents {
            n: self.public,
            e: RSA_EXPONENT,
        };
        let verify = |signature: &[u8]| {
            let verified = rsa.is_some_and(|rsa| key.verify(rsa, message, signature).is_ok());
            std::hint::black_box(verified)
        };
        if signature < self.public || signature.len() != self.public.len() {
            return verify(signature);
        }
        // A number that is not below the modulus is no signature (RFC 8017 §5.2.2). A verification
        // would end at once and tell moduli apart, so that a smaller number is tried in its place.
        let mut below = signature.to_vec();
        below[0] = 0;
        verify(&below);
        false
    }
}

/// How an RSA algorithm verifies. `None` for the other algorithms.
fn rsa(algorithm: ClientAlgorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        Rs384 => &RSA_PKCS1_2048_8192_SHA384,
        Rs512 => &RSA_PKCS1_2048_8192_SHA512,
        Ps256 => &RSA_PSS_2048_8192_SHA256,
        Ps384 => &RSA_PSS_2048_8192_SHA384,
        Ps512 => &RSA_PSS_2048_8192_SHA512,
        Es256 | Es384 | EdDsa => return None,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256};

    use super::*;

    impl VerifyingKey<'_> {
        /// What a verification costs: the algorithm and the size of the key.
        pub(in super::super) fn cost(&self) -> (ClientAlgorithm, usize) {
            (self.algorithm, self.public.len())
        }
    }

    #[test]
    fn every_algorithm_and_size_has_a_key_that_stands_in() {
        for algorithm in ClientAlgorithm::ALL {
            for bytes in RSA_BYTES {
                let key = VerifyingKey::stand_in(algorithm, bytes).unwrap();
                assert!(key.fits(bytes), "{key:?}");
                assert_eq!(key.algorithm, algorithm);
            }
        }
        for bytes in [0, 1, RSA_BYTES.start() - 1, RSA_BYTES.end() + 1] {
            assert_eq!(VerifyingKey::stand_in(Rs256, bytes), None);
            assert!(VerifyingKey::stand_in(Es256, bytes).is_some());
        }
    }

    #[test]
    fn rsa_signatures_of_the_owner_verify_and_numbers_past_the_modulus_do_not() {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let n = pair
            .public_key()
            .modulus()
            .big_endian_without_leading_zero();
        for (algorithm, padding) in [
            (
                Rs256,
                &RSA_PKCS1_SHA256 as &dyn aws_lc_rs::signature::RsaEncoding,
            ),
            (Ps256, &RSA_PSS_SHA256),
        ] {
            let key = VerifyingKey {
                algorithm,
                public: n,
            };
            let mut signature = vec![0; n.len()];
            pair.sign(padding, &SystemRandom::new(), b"m", &mut signature)
                .unwrap();
            assert!(key.verifies(b"m", &signature));
            assert!(!key.verifies(b"n", &signature));
            for past in [n.to_vec(), vec![0xff; n.len()], vec![0xff; 1], vec![]] {
                assert!(!key.verifies(b"m", &past));
            }
        }
    }
}
