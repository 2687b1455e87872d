//! A token as it is signed and as it is read back. Must not know the keys.

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

/// A signed token and what a reply says of it.
pub struct SignedToken {
    /// The compact serialisation (RFC 7515 §3.1).
    pub jwt: String,
    /// Seconds it lives.
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

/// What became of a token that was presented.
#[derive(Debug)]
pub enum Verified {
    /// Signed by a key of this store, for this issuer: which key, and what it says. Nothing is said of its
    /// time or standing.
    Genuine(Kid, Box<Claims>),
    /// Names a key that this process does not know: another process may have made it.
    UnknownKey,
    /// Malformed, forged or foreign.
    Rejected,
}
