//! The algorithms with which clients may sign. Must not know any key.

/// An algorithm with which a client may sign (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

use ClientAlgorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};

impl ClientAlgorithm {
    /// All of them, in the order in which metadata names them.
    pub(crate) const ALL: [Self; 9] = [
        Rs256, Rs384, Rs512, Ps256, Ps384, Ps512, Es256, Es384, EdDsa,
    ];

    /// The name in `alg`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Rs256 => "RS256",
            Rs384 => "RS384",
            Rs512 => "RS512",
            Ps256 => "PS256",
            Ps384 => "PS384",
            Ps512 => "PS512",
            Es256 => "ES256",
            Es384 => "ES384",
            EdDsa => "EdDSA",
        }
    }

    /// The algorithm with this name. `Ed25519` (RFC 9864 §2.2) is the same as `EdDSA` here, since
    /// there is no other curve.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|one| one.as_str() == name);
        found.or((name == "Ed25519").then_some(EdDsa))
    }
}
