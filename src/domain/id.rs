//! Identifiers. Owns their alphabets and lengths; must not know how they are drawn.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use super::Invalid;
use super::time::Timestamp;

/// An agent's id, which is its `client_id` (contract D10): 1–128 characters of
/// `[A-Za-z0-9._~:-]`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgentId(Arc<str>);

impl AgentId {
    /// Accepts `text` if it has the alphabet and the length.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._~:-".contains(&b);
        if text.is_empty() || text.len() > 128 || !text.bytes().all(allowed) {
            return Err(Invalid(
                "an agent id is 1 to 128 characters of A-Z a-z 0-9 . _ ~ : -",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The id that is the position of a cursor.
    pub(crate) fn from_position(bytes: &[u8]) -> Option<Self> {
        Self::parse(std::str::from_utf8(bytes).ok()?).ok()
    }

    /// The id as sent in `client_id`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A `client_id` as a request sends it (contract D10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientId {
    /// A valid agent id.
    Agent(AgentId),
    /// A text that no agent can have as its id, so the client is unknown. The text is kept, so that
    /// this request costs the same work as one with a valid agent id.
    Unknown(String),
}

impl ClientId {
    /// Takes any text.
    pub fn parse(text: &str) -> Self {
        AgentId::parse(text).map_or_else(|_| Self::Unknown(text.to_owned()), Self::Agent)
    }

    /// The text as it was sent.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Agent(agent_id) => agent_id.as_str(),
            Self::Unknown(text) => text,
        }
    }

    /// The agent id, if the text is a valid one.
    pub fn agent_id(&self) -> Option<&AgentId> {
        match self {
            Self::Agent(agent_id) => Some(agent_id),
            Self::Unknown(_) => None,
        }
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

uuid_id! {
    /// A token's `jti` (RFC 7519 §4.1.7): a UUID of version 7, so that rows made together are
    /// stored together. It names a token and is not a secret.
    Jti
}
uuid_id! {
    /// One stored credential of an agent.
    CredentialId
}
uuid_id! {
    /// One authorization code.
    CodeId
}
uuid_id! {
    /// One group commit. A batch that is sent twice with one id counts once.
    BatchId
}
uuid_id! {
    /// One reader of the events in one process. It tells whose a lease is.
    HolderId
}
uuid_id! {
    /// One run of a server.
    ProcessId
}

impl CredentialId {
    /// Accepts a UUID in hyphenated form.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let id = Uuid::try_parse(text).map_err(|_| Invalid("a credential's id is a UUID"))?;
        if text.len() == 36 {
            Ok(Self(id))
        } else {
            Err(Invalid("a credential's id is a UUID"))
        }
    }
}

impl Jti {
    /// Accepts a UUID of any version, in hyphenated form.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let id = Uuid::try_parse(text).map_err(|_| Invalid("a jti is a UUID"))?;
        // `Uuid` also reads the braced, urn and simple forms, which this server's tokens never
        // carry.
        if text.len() == 36 {
            Ok(Self(id))
        } else {
            Err(Invalid("a jti is a UUID"))
        }
    }

    /// The second in which the id was drawn. Its first 48 bits tell this (RFC 9562 §5.7). `None` for
    /// an id of another version, which this server's tokens never have.
    pub fn drawn_at(self) -> Option<Timestamp> {
        if self.0.get_version_num() != 7 {
            return None;
        }
        let (seconds, _) = self.0.get_timestamp()?.to_unix();
        i64::try_from(seconds).ok().map(Timestamp)
    }
}

/// A signing key's id: the RFC 7638 SHA-256 thumbprint of its public part, base64url.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kid(pub String);

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
