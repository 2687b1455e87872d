//! Credentials as stored: never a secret, only what can verify one. Must not know how hashes are
//! computed.

use std::fmt;
use std::sync::Arc;

use super::Invalid;
use super::id::{AgentId, CredentialId};
use super::partner::federation::Federation;
use super::time::Timestamp;

/// A password hash in PHC or modular-crypt form. `Debug` shows nothing of it. The text is shared,
/// because the memory of proven secrets holds it too.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SecretHash(pub Arc<str>);

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(redacted)")
    }
}

/// The part of a hash before its salt: the algorithm and its cost, as in `$2b$10$` or
/// `$argon2id$v=19$m=19456,t=2,p=1$`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashCost(pub Box<str>);

/// The keyed tag inside a generated secret. It tells a real secret of this agent from junk without
/// computing a hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Tag(pub Box<str>);

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag(redacted)")
    }
}

/// What a credential is checked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// A secret that client and server share.
    Secret,
    /// A public key of the client.
    PublicKey,
    /// A token of a partner.
    Federated,
}

impl CredentialKind {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::PublicKey => "publicKey",
            Self::Federated => "federated",
        }
    }
}

impl CredentialKind {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Secret, Self::PublicKey, Self::Federated];

    /// Reads the word.
    pub fn parse(word: &str) -> Result<Self, Invalid> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == word);
        known.ok_or(Invalid(
            "a credential's kind is `secret`, `publicKey` or `federated`",
        ))
    }
}

/// The public keys of a client: a JWK Set that was checked when it was registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeys(pub Arc<str>);

/// What an operator calls a credential. It need not be unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialLabel(Box<str>);

impl CredentialLabel {
    /// Accepts 1–200 characters without control characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.trim().is_empty()
            || text.chars().count() > 200
            || text.chars().any(char::is_control)
        {
            return Err(Invalid(
                "a label is 1 to 200 characters without control characters",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One stored credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its id, which may be shown.
    pub credential_id: CredentialId,
    /// The agent that it belongs to.
    pub agent_id: AgentId,
    /// The hash that verifies the secret; empty if it is no secret.
    pub hash: SecretHash,
    /// The tag of a generated secret; `None` for an imported one. Empty if it is no secret, and no
    /// secret has such a tag.
    pub tag: Option<Tag>,
    /// The keys that verify the client's assertions, if it has keys.
    pub keys: Option<PublicKeys>,
    /// What the agent trusts of a partner, if a partner's tokens prove it.
    pub federation: Option<Arc<Federation>>,
    /// What people tell credentials apart by: the first characters of a generated secret, the
    /// thumbprints of public keys, the subject of a partner's tokens, and otherwise nothing.
    pub prefix: Box<str>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The credential is expired from this second on; `None` means that it does not expire.
    pub expires_at: Option<Timestamp>,
    /// Whether its client sends it unencoded in HTTP Basic, and not form-encoded (RFC 6749 §2.3.1).
    pub raw_basic: bool,
}

impl Credential {
    /// What it is checked with.
    pub fn kind(&self) -> CredentialKind {
        match (&self.keys, &self.federation) {
            (Some(_), _) => CredentialKind::PublicKey,
            (None, Some(_)) => CredentialKind::Federated,
            (None, None) => CredentialKind::Secret,
        }
    }

    /// Whether it is a secret.
    pub fn is_secret(&self) -> bool {
        self.kind() == CredentialKind::Secret
    }

    /// Whether the credential is valid at `now`. Only the clock decides, so no clean-up has to run.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_short_line() {
        for good in ["x", "CI of \u{1f600}", &"\u{1f600}".repeat(200)] {
            assert_eq!(CredentialLabel::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", " ", "a\nb", "a\0", &"x".repeat(201)] {
            assert!(CredentialLabel::parse(bad).is_err(), "{bad:?}");
        }
    }
}
