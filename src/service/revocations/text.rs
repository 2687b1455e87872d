//! The list as text (contract §4). New entries are written after the existing ones, and hashed
//! likewise, so that one more revocation costs the same on a long list as on a short one.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::document::{Document, TagHash, text_digest};
use crate::domain::id::{AgentId, Jti};
use crate::domain::time::Timestamp;
use crate::store::KilledAgent;

/// The expiry of an empty list: it holds nothing that time could make untrue.
const FOR_EVER: Timestamp = Timestamp(i64::MAX);
const HEAD: &str = "{\"revoked_jtis\":[";

/// The list as it was written at one version.
#[derive(Debug)]
pub struct Listing {
    /// The list's bytes and their entity tag.
    pub document: Arc<Document>,
    /// The second from which an entry has expired and the document is no longer right.
    pub(super) valid_until: Timestamp,
    /// If two lists have the same edition, the longer one begins with this many bytes of the
    /// shorter one.
    pub(super) lasting: usize,
    /// The number of the complete writing that this list continues.
    pub(super) edition: u64,
}

/// The parts to which entries are only added, and the hash of the first part.
pub(super) struct Text {
    jtis: String,
    hash: TagHash,
    listed: HashSet<Jti>,
    agents: String,
    valid_until: Timestamp,
    edition: u64,
}

impl Default for Text {
    fn default() -> Self {
        Self::with_room(0, 0, 0)
    }
}

impl Text {
    fn with_room(tokens: usize, agents: usize, edition: u64) -> Self {
        let mut jtis = String::with_capacity(HEAD.len().saturating_add(tokens.saturating_mul(39)));
        jtis.push_str(HEAD);
        let mut hash = TagHash::default();
        hash.update(HEAD);
        Self {
            jtis,
            hash,
            listed: HashSet::with_capacity(tokens),
            agents: String::with_capacity(agents),
            valid_until: FOR_EVER,
            edition,
        }
    }

    /// An empty text that replaces this one, with room for as many entries.
    pub(super) fn next(&self) -> Self {
        Self::with_room(
            self.listed.len(),
            self.agents.len(),
            self.edition.wrapping_add(1),
        )
    }

    /// Adds a token, unless the text has it.
    pub(super) fn add_token(&mut self, jti: Jti, expires_at: Timestamp) {
        if !self.listed.insert(jti) {
            return;
        }
        let from = self.jtis.len();
        if from > HEAD.len() {
            self.jtis.push(',');
        }
        self.jtis.push('"');
        self.jtis.push_str(
            jti.0
                .hyphenated()
                .encode_lower(&mut uuid::Uuid::encode_buffer()),
        );
        self.jtis.push('"');
        self.hash.update(&self.jtis[from..]);
        self.valid_until = self.valid_until.min(expires_at);
    }

    /// Adds an agent that stays listed for `listed_for` seconds after its kill.
    pub(super) fn add_agent(&mut self, killed: &KilledAgent, listed_for: i64) {
        let comma = if self.agents.is_empty() { "" } else { "," };
        let (agent, epoch) = (hashed(&killed.agent_id), killed.epoch.0);
        // Writing to a `String` cannot fail.
        let _ = write!(
            self.agents,
            "{comma}{{\"agent\":\"{agent}\",\"epoch\":{epoch}}}"
        );
        self.valid_until = self
            .valid_until
            .min(killed.killed_at.saturating_add(listed_for));
    }

    /// The second from which an entry has expired.
    pub(super) fn valid_until(&self) -> Timestamp {
        self.valid_until
    }

    /// Removes all agents, so that they can be added anew.
    pub(super) fn clear_agents(&mut self) {
        self.agents.clear();
    }

    /// The whole list at this version.
    pub(super) fn write_down(&self, version: i64) -> Listing {
        let tail = format!(
            "],\"revoked_agents\":[{}],\"version\":{version}}}",
            self.agents
        );
        let mut body = String::with_capacity(self.jtis.len().saturating_add(tail.len()));
        body.push_str(&self.jtis);
        body.push_str(&tail);
        let mut hash = self.hash.clone();
        hash.update(&tail);
        let document = Arc::new(Document::hashed(body, hash));
        let (valid_until, edition) = (self.valid_until, self.edition);
        Listing {
            document,
            valid_until,
            lasting: self.jtis.len(),
            edition,
        }
    }
}

/// The list does not reveal an agent's id, but somebody who guesses an id can confirm it here.
fn hashed(agent_id: &AgentId) -> String {
    text_digest(agent_id.as_str())
}
