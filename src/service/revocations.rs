//! The revocation list (contract §4) that clients poll: kept in memory, read by version, served even
//! while the database is away.
//!
//! Owns what is on the list and its exact bytes. Must not know HTTP.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::domain::agent::Epoch;
use crate::domain::id::{AgentId, Jti};
use crate::domain::time::Timestamp;
use crate::domain::ttl::{self, Ttl};
use crate::keys::entity_tag;
use crate::store::{IssuedToken, KilledAgent, REVOCATION_GRACE, RevokedToken, Store};

use super::Error;

/// An agent stays listed until the longest token that the kill can have hit has expired: its life,
/// and the time that a batch may have waited on a lock while the kill was committed.
const KILL_LISTED: i64 = ttl::LONGEST + REVOCATION_GRACE;

/// For so many seconds after a kill its tokens are looked up again, since a batch that was under way
/// may be committed after it.
const KILL_SETTLES: i64 = 15;

/// At most so many of a killed agent's tokens are listed one by one; its entry covers the rest.
const MOST_JTIS: i64 = 10_000;

/// The list, ready to send.
#[derive(Debug)]
pub struct Rendered {
    /// The JSON document.
    pub body: Arc<str>,
    /// A strong entity tag, quotes included: equal lists have equal tags on every replica.
    pub etag: String,
    /// From this second on an entry has expired and the body is no longer true.
    valid_until: Timestamp,
}

/// One line of the list, filed under the version that made it.
enum Entry {
    Token(RevokedToken),
    Agent { killed: KilledAgent, tokens: Vec<IssuedToken>, settled: bool },
}

#[derive(Default)]
struct State {
    version: i64,
    entries: BTreeMap<i64, Entry>,
    /// Where an agent's entry is, since a later kill replaces it.
    agents: HashMap<AgentId, i64>,
}

/// The list of this process.
pub struct RevocationList {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    default_ttl: Ttl,
    state: Mutex<State>,
    rendered: ArcSwap<Rendered>,
    rendering: std::sync::Mutex<()>,
}

impl RevocationList {
    /// An empty list; [`RevocationList::catch_up`] fills it.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, default_ttl: Ttl) -> Self {
        let rendered = ArcSwap::from_pointee(render(&State::default(), Timestamp(0)));
        Self {
            store,
            clock,
            default_ttl,
            state: Mutex::new(State::default()),
            rendered,
            rendering: std::sync::Mutex::new(()),
        }
    }

    /// Reads what changed since the last time. Versions are handed out under a row lock, so what was
    /// read up to a version is complete up to it. Run once a second, and after each own revocation.
    pub async fn catch_up(&self) -> Result<(), Error> {
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        let kills_after = now.saturating_add(-KILL_LISTED);
        let news = self.store.revocations(state.version, now, kills_after).await?;
        let mut changed = news.version != state.version;
        for killed in news.agents {
            let tokens = self.tokens_of(&killed, now).await?;
            if let Some(old) = state.agents.insert(killed.agent_id.clone(), killed.version) {
                state.entries.remove(&old);
            }
            let version = killed.version;
            state.entries.insert(version, Entry::Agent { killed, tokens, settled: false });
        }
        for token in news.tokens {
            state.entries.insert(token.version, Entry::Token(token));
        }
        state.version = news.version;
        changed |= self.settle(&mut state, now).await?;
        changed |= expire(&mut state, now);
        if changed || self.rendered.load().valid_until <= now {
            self.rendered.store(Arc::new(render(&state, now)));
        }
        Ok(())
    }

    /// Looks once more for tokens that were counted while their agent was being killed.
    async fn settle(&self, state: &mut State, now: Timestamp) -> Result<bool, Error> {
        let mut changed = false;
        for entry in state.entries.values_mut() {
            if let Entry::Agent { killed, tokens, settled } = entry
                && !*settled
            {
                *settled = killed.killed_at.saturating_add(KILL_SETTLES) <= now;
                let found = self.tokens_of(killed, now).await?;
                changed |= found.len() > tokens.len();
                *tokens = found;
            }
        }
        Ok(changed)
    }

    /// The live tokens of a killed agent, newest first, from its events. No further back than its
    /// longest token can live.
    async fn tokens_of(&self, killed: &KilledAgent, now: Timestamp) -> Result<Vec<IssuedToken>, Error> {
        let longest = killed.longest_ttl.max(self.default_ttl.secs());
        let from = killed.killed_at.saturating_add(-longest);
        let tokens = self.store.killed_tokens(&killed.agent_id, killed.epoch, from, now, MOST_JTIS).await?;
        Ok(tokens)
    }

    /// The list as it is now. Reads nothing: an expired entry is dropped from memory alone.
    pub fn current(&self) -> Arc<Rendered> {
        let now = self.clock.now();
        let rendered = self.rendered.load_full();
        if now < rendered.valid_until {
            return rendered;
        }
        // A catch-up that holds the state will render it itself.
        let _one = self.rendering.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(mut state) = self.state.try_lock() {
            expire(&mut state, now);
            self.rendered.store(Arc::new(render(&state, now)));
        }
        self.rendered.load_full()
    }
}

/// Drops what has expired; says whether anything went.
fn expire(state: &mut State, now: Timestamp) -> bool {
    let before = state.entries.len();
    let mut gone = Vec::new();
    let mut shrunk = false;
    state.entries.retain(|_, entry| match entry {
        Entry::Token(token) => now < token.expires_at,
        Entry::Agent { killed, tokens, .. } => {
            let listed = tokens.len();
            tokens.retain(|t| now < t.expires_at);
            shrunk |= tokens.len() != listed;
            let stays = now < killed.killed_at.saturating_add(KILL_LISTED);
            if !stays {
                gone.push(killed.agent_id.clone());
            }
            stays
        }
    });
    for agent_id in gone {
        state.agents.remove(&agent_id);
    }
    shrunk || state.entries.len() != before
}

#[derive(Serialize)]
struct Document {
    revoked_jtis: Vec<ListedJti>,
    revoked_agents: Vec<AgentLine>,
    version: i64,
}

/// A jti in its hyphenated form.
#[derive(Serialize)]
struct ListedJti(uuid::fmt::Hyphenated);

#[derive(Serialize)]
struct AgentLine {
    agent: String,
    epoch: i64,
}

fn render(state: &State, now: Timestamp) -> Rendered {
    let mut document =
        Document { revoked_jtis: Vec::new(), revoked_agents: Vec::new(), version: state.version };
    let mut seen = std::collections::HashSet::new();
    let mut valid_until = Timestamp(i64::MAX);
    let mut list = |document: &mut Document, jti: Jti, expires_at: Timestamp| {
        if now < expires_at && seen.insert(jti) {
            document.revoked_jtis.push(ListedJti(jti.0.hyphenated()));
            valid_until = valid_until.min(expires_at);
        }
    };
    let mut kill_ends = Timestamp(i64::MAX);
    for entry in state.entries.values() {
        match entry {
            Entry::Token(token) => list(&mut document, token.jti, token.expires_at),
            Entry::Agent { killed, tokens, .. } => {
                for token in tokens {
                    list(&mut document, token.jti, token.expires_at);
                }
                let Epoch(epoch) = killed.epoch;
                document.revoked_agents.push(AgentLine { agent: hashed(&killed.agent_id), epoch });
                kill_ends = kill_ends.min(killed.killed_at.saturating_add(KILL_LISTED));
            }
        }
    }
    // Strings and integers always serialise.
    let body = serde_json::to_string(&document).unwrap_or_default();
    let etag = entity_tag(body.as_bytes());
    Rendered { body: body.into(), etag, valid_until: valid_until.min(kill_ends) }
}

/// base64url(SHA-256(client_id)): whoever holds a token of the agent can find it, nobody else learns
/// which agents exist.
fn hashed(agent_id: &AgentId) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, agent_id.as_str().as_bytes()))
}
