//! A token as it is signed, and as it is read back. Must not know the keys.

use crate::domain::id::Kid;
use crate::domain::time::Timestamp;

use super::claims::Claims;

/// The `typ` header of minted tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokenTyp {
    /// `at+jwt` (RFC 9068 §2.1).
    #[default]
    AtJwt,
    /// `JWT`, for verifiers that refuse `at+jwt`.
    Jwt,
}

impl TokenTyp {
    /// The header's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AtJwt => "at+jwt",
            Self::Jwt => "JWT",
        }
    }
}

/// A signed token, and what a token response says about it.
pub struct SignedToken {
    /// The compact serialisation (RFC 7515 §3.1).
    pub jwt: String,
    /// Its lifetime in seconds.
    pub expires_in: i64,
    /// Its `exp`.
    pub expires_at: Timestamp,
    /// The granted scopes.
    pub scope: String,
}

impl std::fmt::Debug for SignedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignedToken(redacted)")
    }
}

/// The result of verifying a token.
#[derive(Debug)]
pub enum Verified {
    /// Signed by a key of this store, for this issuer. Holds the key's id and the claims. Expiry,
    /// revocation and epoch are not checked.
    Genuine(Kid, Box<Claims>),
    /// The token names a key that this process does not know. Another process may have made that
    /// key.
    UnknownKey,
    /// Malformed, forged, or from another issuer.
    Rejected,
}
