//! Client assertions (RFC 7523): what is kept of one after it was exchanged for a token. Must not
//! know how an assertion is verified.

use super::digest::sha256;
use super::id::AgentId;
use super::time::Timestamp;

/// The hash of an agent's id and the `jti` of one of its assertions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AssertionHash(pub [u8; 32]);

/// An assertion that a token costs: which one, and when it would have expired anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssertionRef {
    /// Which assertion.
    pub hash: AssertionHash,
    /// The assertion is expired from this second on.
    pub expires_at: Timestamp,
}

impl AssertionRef {
    /// The assertion of this agent with this `jti`, which is unique among the agent's own (RFC 7523
    /// §3). No id of an agent holds a zero byte, so no two pairs have the same text.
    pub fn new(agent_id: &AgentId, jti: &str, expires_at: Timestamp) -> Self {
        let text = [agent_id.as_str().as_bytes(), b"\0", jti.as_bytes()].concat();
        Self {
            hash: AssertionHash(sha256(&text)),
            expires_at,
        }
    }
}
