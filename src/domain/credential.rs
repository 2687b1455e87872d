//! Credentials as stored: never a secret, only what can check one. Must not know how hashes are computed.

use std::fmt;

use super::id::{AgentId, CredentialId};
use super::time::Timestamp;

/// A password hash in PHC or modular-crypt form. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHash(pub Box<str>);

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(redacted)")
    }
}

/// What a hash says before its salt: how it is computed and what that costs, as in `$2b$10$` or
/// `$argon2id$v=19$m=19456,t=2,p=1$`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashCost(pub Box<str>);

/// The keyed tag inside a generated secret: it tells a real secret of this agent from junk without a hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Tag(pub Box<str>);

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag(redacted)")
    }
}

/// One stored credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its id, which may be shown.
    pub credential_id: CredentialId,
    /// Whose it is.
    pub agent_id: AgentId,
    /// What checks the secret.
    pub hash: SecretHash,
    /// The tag of a generated secret; `None` for an imported one.
    pub tag: Option<Tag>,
    /// The first characters of a generated secret, for people to tell credentials apart; else empty.
    pub prefix: Box<str>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From this second on it opens nothing; `None` is without end.
    pub expires_at: Option<Timestamp>,
    /// Whether its client sends it in HTTP Basic as it is, and not form-encoded (RFC 6749 §2.3.1).
    pub raw_basic: bool,
}

impl Credential {
    /// Whether it opens anything at `now`. Nothing but the clock decides: no clean-up has to run.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}
