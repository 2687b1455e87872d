//! Authorization codes (contract §6): what one stands for, and whose it still is. Must not know how
//! a code is sealed, or the clock.

use super::agent::{Profile, UserId};
use super::id::CodeId;
use super::refusal::Refusal;
use super::time::Timestamp;

/// Seconds that a code lives: it is dead from this second on, without leeway.
pub const LIFETIME: i64 = 60;

/// What stays of a code after its exchange: which one it was, and when it would have died anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeRef {
    /// Which code.
    pub id: CodeId,
    /// From this second on it is dead.
    pub expires_at: Timestamp,
}

/// A code that opened, with what it was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Which one, and how long it lives.
    pub reference: CodeRef,
    /// Where it was sent.
    pub redirect_uri: String,
    /// The user on whose behalf the agent acts, if any.
    pub user: Option<String>,
}

impl Code {
    /// The user that the token is about. The agent's lists hold at the exchange as they did when the
    /// code was made: whoever was taken off them since gets nothing. Both are compared as text, byte by
    /// byte (RFC 9700 §2.1).
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
