//! The revocation list (contract §4) that clients poll: kept in memory, read by version, served even
//! while the database is away.
//!
//! Owns what is on the list and its exact bytes. Must not know HTTP.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::clock::{Clock as _, StoreClock};
use crate::document::Document;
use crate::domain::id::{AgentId, Jti};
use crate::domain::time::Timestamp;
use crate::domain::ttl::{self, Ttl};
use crate::store::{IssuedToken, KilledAgent, REVOCATION_GRACE, Revocations, RevokedToken, Store};

use super::Error;

/// An agent stays listed until the longest token that the kill can have hit has expired: its life,
/// and the time that a batch may have waited on a lock while the kill was committed.
const KILL_LISTED: i64 = ttl::LONGEST + REVOCATION_GRACE;

/// For so many seconds after a kill its tokens are looked up again, since a batch that was under way
/// may be committed after it.
const KILL_SETTLES: i64 = 15;

/// At most so many of a killed agent's tokens are listed one by one; its entry covers the rest.
const MOST_JTIS: i64 = 10_000;

/// The list as it was last written down.
#[derive(Debug)]
struct Rendered {
    document: Arc<Document>,
    /// From this second on an entry has expired and the document is no longer true.
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
    /// Whether the document lags behind the entries.
    dirty: bool,
}

/// The list of this process.
pub struct RevocationList {
    store: Arc<dyn Store>,
    clock: Arc<StoreClock>,
    default_ttl: Ttl,
    /// Held while the news are read, so that they are read once and in order.
    reading: tokio::sync::Mutex<()>,
    /// Never held across an await: an outage must not keep anybody from the list.
    state: Mutex<State>,
    rendered: ArcSwap<Rendered>,
}

impl RevocationList {
    /// An empty list; [`RevocationList::refresh`] fills it.
    pub fn new(store: Arc<dyn Store>, clock: Arc<StoreClock>, default_ttl: Ttl) -> Self {
        let rendered = ArcSwap::from_pointee(State::default().render());
        let (reading, state) = (tokio::sync::Mutex::default(), Mutex::default());
        Self { store, clock, default_ttl, reading, state, rendered }
    }

    /// Reads what changed since the last time and looks up the tokens of killed agents. Run once a
    /// second.
    pub async fn refresh(&self) -> Result<(), Error> {
        self.catch_up().await?;
        self.settle().await
    }

    /// Reads what changed since the last time. Versions are handed out under a row lock, so what was
    /// read up to a version is complete up to it. Run after each revocation of this process too, so it
    /// reads nothing but the news.
    pub async fn catch_up(&self) -> Result<(), Error> {
        let _one = self.reading.lock().await;
        let since = self.state().version;
        let now = self.clock.now();
        let news = self.store.revocations(since, now, now.saturating_add(-KILL_LISTED)).await?;
        let mut state = self.state();
        state.apply(news);
        self.write_down(&mut state, now);
        Ok(())
    }

    /// Looks up the tokens of recently killed agents, for clients that read only `revoked_jtis`; again
    /// and again until no batch that was under way at the kill can still be committed.
    async fn settle(&self) -> Result<(), Error> {
        let unsettled = self.state().unsettled();
        for killed in unsettled {
            let now = self.clock.now();
            // No further back than the agent's longest token can live.
            let longest = killed.longest_ttl.max(self.default_ttl.secs());
            let from = killed.killed_at.saturating_add(-longest);
            let found =
                self.store.killed_tokens(&killed.agent_id, killed.epoch, from, now, MOST_JTIS).await?;
            let mut state = self.state();
            state.put_tokens(&killed, found, killed.killed_at.saturating_add(KILL_SETTLES) <= now);
            self.write_down(&mut state, now);
        }
        Ok(())
    }

    /// The list as it is now. Reads nothing: an expired entry is dropped from memory alone.
    pub fn current(&self) -> Arc<Document> {
        let now = self.clock.now();
        if self.rendered.load().valid_until <= now {
            self.write_down(&mut self.state(), now);
        }
        Arc::clone(&self.rendered.load().document)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renders the list when it lags behind. What made it lag is remembered in the state, so that a
    /// step which failed half-way loses nothing.
    fn write_down(&self, state: &mut State, now: Timestamp) {
        state.expire(now);
        if state.dirty || self.rendered.load().valid_until <= now {
            self.rendered.store(Arc::new(state.render()));
            state.dirty = false;
        }
    }
}

#[derive(Serialize)]
struct List {
    revoked_jtis: Vec<uuid::fmt::Hyphenated>,
    revoked_agents: Vec<AgentLine>,
    version: i64,
}

#[derive(Serialize)]
struct AgentLine {
    agent: String,
    epoch: i64,
}

impl State {
    fn apply(&mut self, news: Revocations) {
        self.dirty |= news.version != self.version;
        self.version = news.version;
        for token in news.tokens {
            self.entries.insert(token.version, Entry::Token(token));
        }
        for killed in news.agents {
            // The tokens of an earlier kill are dead all the same.
            let old = self.agents.insert(killed.agent_id.clone(), killed.version);
            let tokens = match old.and_then(|version| self.entries.remove(&version)) {
                Some(Entry::Agent { tokens, .. }) => tokens,
                _ => Vec::new(),
            };
            self.entries.insert(killed.version, Entry::Agent { killed, tokens, settled: false });
        }
    }

    fn unsettled(&self) -> Vec<KilledAgent> {
        let of = |entry: &Entry| match entry {
            Entry::Agent { killed, settled: false, .. } => Some(killed.clone()),
            _ => None,
        };
        self.entries.values().filter_map(of).collect()
    }

    /// Files what was found for a kill, unless a later one has taken its place.
    fn put_tokens(&mut self, of: &KilledAgent, found: Vec<IssuedToken>, is_settled: bool) {
        if let Some(Entry::Agent { tokens, settled, .. }) = self.entries.get_mut(&of.version) {
            self.dirty |= *tokens != found;
            *tokens = found;
            *settled = is_settled;
        }
    }

    fn expire(&mut self, now: Timestamp) {
        let before = self.entries.len();
        let mut gone = Vec::new();
        let mut shrunk = false;
        self.entries.retain(|_, entry| match entry {
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
            self.agents.remove(&agent_id);
        }
        self.dirty |= shrunk || self.entries.len() != before;
    }

    /// In version order, each token once: it may have been revoked by itself and with its agent.
    fn render(&self) -> Rendered {
        let mut list = List { revoked_jtis: vec![], revoked_agents: vec![], version: self.version };
        let mut seen: HashSet<Jti> = HashSet::new();
        let mut valid_until = Timestamp(i64::MAX);
        for entry in self.entries.values() {
            let listed: &mut dyn Iterator<Item = (Jti, Timestamp)> = match entry {
                Entry::Token(token) => &mut std::iter::once((token.jti, token.expires_at)),
                Entry::Agent { killed, tokens, .. } => {
                    let agent = hashed(&killed.agent_id);
                    list.revoked_agents.push(AgentLine { agent, epoch: killed.epoch.0 });
                    valid_until = valid_until.min(killed.killed_at.saturating_add(KILL_LISTED));
                    &mut tokens.iter().map(|t| (t.jti, t.expires_at))
                }
            };
            for (jti, expires_at) in listed.filter(|(jti, _)| seen.insert(*jti)) {
                list.revoked_jtis.push(jti.0.hyphenated());
                valid_until = valid_until.min(expires_at);
            }
        }
        // Strings and integers always serialise.
        let body = serde_json::to_string(&list).unwrap_or_default();
        Rendered { document: Arc::new(Document::new(body)), valid_until }
    }
}

/// `base64url(SHA-256(client_id))`: whoever holds a token of the agent can find it, nobody else learns
/// which agents exist.
fn hashed(agent_id: &AgentId) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, agent_id.as_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::agent::Epoch;

    fn jti(n: u128) -> Jti {
        Jti(Uuid::from_u128(n))
    }

    fn token(n: u128, expires_at: i64, version: i64) -> RevokedToken {
        RevokedToken { jti: jti(n), expires_at: Timestamp(expires_at), version }
    }

    fn killed(epoch: i64, version: i64) -> KilledAgent {
        let agent_id = AgentId::parse("a").unwrap();
        KilledAgent { agent_id, epoch: Epoch(epoch), killed_at: Timestamp(100), longest_ttl: 0, version }
    }

    fn issued(n: u128, expires_at: i64) -> IssuedToken {
        let agent_id = AgentId::parse("a").unwrap();
        IssuedToken { jti: jti(n), agent_id, expires_at: Timestamp(expires_at) }
    }

    fn text(state: &State) -> String {
        String::from_utf8(state.render().document.body.to_vec()).unwrap()
    }

    #[test]
    fn entries_stand_in_version_order_and_go_when_they_expire() {
        let mut state = State::default();
        state.apply(Revocations {
            version: 3,
            tokens: vec![token(3, 300, 3), token(1, 200, 1)],
            agents: vec![],
        });
        let body = text(&state);
        assert!(body.find(&jti(1).to_string()) < body.find(&jti(3).to_string()), "{body}");
        assert_eq!(state.render().valid_until, Timestamp(200));
        state.dirty = false;
        state.expire(Timestamp(199));
        assert!(!state.dirty);
        state.expire(Timestamp(200));
        assert!(state.dirty && !text(&state).contains(&jti(1).to_string()));
    }

    #[test]
    fn a_later_kill_takes_the_place_of_an_earlier_one_and_keeps_its_tokens() {
        let mut state = State::default();
        state.apply(Revocations { version: 1, tokens: vec![], agents: vec![killed(1, 1)] });
        state.put_tokens(&killed(1, 1), vec![issued(7, 900)], true);
        assert!(state.unsettled().is_empty());
        state.apply(Revocations { version: 2, tokens: vec![], agents: vec![killed(2, 2)] });
        let body = text(&state);
        assert!(body.contains(&jti(7).to_string()) && body.contains("\"epoch\":2"), "{body}");
        assert_eq!(body.matches("\"agent\"").count(), 1);
        // What was looked up for the earlier kill comes too late to matter.
        state.put_tokens(&killed(1, 1), vec![], true);
        assert_eq!(state.unsettled().len(), 1);
    }

    #[test]
    fn a_token_revoked_by_itself_and_with_its_agent_is_listed_once() {
        let mut state = State::default();
        state.apply(Revocations { version: 2, tokens: vec![token(7, 900, 1)], agents: vec![killed(1, 2)] });
        state.put_tokens(&killed(1, 2), vec![issued(7, 900)], false);
        assert_eq!(text(&state).matches(&jti(7).to_string()).count(), 1);
    }

    #[test]
    fn a_look_up_with_as_many_tokens_but_others_is_news() {
        let mut state = State::default();
        state.apply(Revocations { version: 1, tokens: vec![], agents: vec![killed(1, 1)] });
        state.put_tokens(&killed(1, 1), vec![issued(7, 900)], false);
        state.dirty = false;
        state.put_tokens(&killed(1, 1), vec![issued(8, 900)], false);
        assert!(state.dirty);
    }
}
