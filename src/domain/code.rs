//! Authorization codes (contract §6): what a code was made for, and whether the agent may still use
//! it. Must not know how a code is sealed, or the clock.

use super::agent::{Profile, UserId};
use super::id::CodeId;
use super::refusal::Refusal;
use super::time::Timestamp;

/// The lifetime of a code in seconds: it is expired from this second on, without leeway.
pub const CODE_TTL: i64 = 60;

/// What is kept of a code after its exchange: its id, and when it would have expired anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeRef {
    /// Which code.
    pub id: CodeId,
    /// The code is expired from this second on.
    pub expires_at: Timestamp,
}

/// A code that was opened, with what it was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Its id and its expiry.
    pub reference: CodeRef,
    /// The redirect URI to which it was sent.
    pub redirect_uri: String,
    /// The user on whose behalf the agent acts, if any.
    pub user: Option<String>,
}

impl Code {
    /// The user that the token is about. The agent's current lists decide at the exchange, as they
    /// decided when the code was made: a redirect URI or a user that was removed since is refused.
    /// Both are compared as text, byte by byte (RFC 9700 §2.1).
    pub fn user<'a>(&self, profile: &'a Profile) -> Result<Option<&'a UserId>, Refusal> {
        let terms = &profile.terms;
        if !terms
            .redirect_uris
            .iter()
            .any(|known| known.as_str() == self.redirect_uri)
        {
            return Err(Refusal::InvalidCode);
        }
        let Some(user) = &self.user else {
            return Ok(None);
        };
        let known = terms.user_ids.iter().find(|known| known.as_str() == user);
        known.map(Some).ok_or(Refusal::InvalidCode)
    }
}
