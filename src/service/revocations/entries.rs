//! Owns what is on the list: each entry under the version that made it, and which killed agents' tokens
//! must still be looked up. Must not know the store, or when anything is read.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::time::Timestamp;
use crate::store::{KilledOrg, KilledTokens, Revocations, RevokedKey};

use super::text::{Listing, Text};

pub(super) mod after;
pub(super) mod entry;
mod look_up;
pub(super) mod newest;

use entry::{Entry, Hits, KILL_LISTED, Killed, KilledMembers, RevokedKeys};

/// How often a kill's tokens are looked up, one second apart: a batch that was in progress may be
/// committed after the kill.
pub(super) const MAX_LOOK_UPS: usize = 16;

/// A kill that is older than this many seconds when this process reads it is looked up only once:
/// every batch that was in progress has long been committed.
const RECENT_KILL_TTL: i64 = 60;

/// How many versions are remembered whose entries are gone.
const MAX_GONE: usize = 10_000;

/// All entries.
#[derive(Default)]
pub(super) struct Entries {
    version: i64,
    by_version: BTreeMap<i64, Entry>,
    /// Versions that this list had and whose entries have expired or were replaced, the newest ones.
    gone: BTreeSet<i64>,
    /// The versions of revoked keys.
    keys: BTreeSet<i64>,
    /// The version of each agent's entry, because a later kill replaces the entry.
    agents: HashMap<AgentId, i64>,
    /// The version of each organization's entry.
    orgs: HashMap<OrgId, i64>,
    /// The tokens of killed agents from before [`Entries::forget`], for the next news.
    forgotten: HashMap<AgentId, KilledTokens>,
    /// Those of killed organizations.
    forgotten_orgs: HashMap<OrgId, KilledTokens>,
    /// The entries as text, without what has moved since.
    text: Text,
    /// Whether tokens came or went in the middle of the text, where nothing can be added.
    has_moved: bool,
}

impl Entries {
    /// The second from which an entry has expired.
    pub(super) fn valid_until(&self) -> Timestamp {
        self.text.valid_until()
    }

    /// The version up to which the news are known.
    pub(super) fn version(&self) -> i64 {
        self.version
    }

    /// How many entries of tokens, agents, organizations and keys there are.
    pub(super) fn count(&self) -> [usize; 4] {
        let (agents, orgs, keys) = (self.agents.len(), self.orgs.len(), self.keys.len());
        let kills = agents.saturating_add(orgs).saturating_add(keys);
        let tokens = self.by_version.len().saturating_sub(kills);
        [tokens, agents, orgs, keys]
    }

    /// Forgets everything, because the entries differ from what the store holds. The tokens of
    /// killed agents are kept for the next news: clients that read only `revoked_jtis` must not
    /// miss them until they are looked up again.
    pub(super) fn forget(&mut self) {
        self.version = 0;
        self.gone.clear();
        self.agents.clear();
        self.orgs.clear();
        self.keys.clear();
        for entry in std::mem::take(&mut self.by_version).into_values() {
            match entry {
                Entry::Agent(killed) => {
                    let (id, tokens) = (killed.agent.agent_id, killed.hits.tokens);
                    self.forgotten.insert(id, tokens);
                }
                Entry::Org(killed) => {
                    let (id, tokens) = (killed.org.org_id, killed.hits.tokens);
                    self.forgotten_orgs.insert(id, tokens);
                }
                Entry::Token { .. } | Entry::Keys(_) => {}
            }
        }
        self.rewrite();
    }

    /// Applies the news. Returns whether there were any.
    pub(super) fn apply(&mut self, news: Revocations, now: Timestamp) -> bool {
        let changed = news.version != self.version;
        if changed {
            // A version may have had no entry of its own, or one that had expired already.
            self.gone.insert(self.version);
        }
        self.version = news.version;
        for token in news.tokens {
            let (jti, expires_at) = (token.jti, token.expires_at);
            self.by_version
                .insert(token.version, Entry::Token { jti, expires_at });
            self.text.add_token(jti, expires_at);
        }
        let mut replaced = false;
        for mut agent in news.agents {
            // A clock may have been ahead at the kill. The kill cannot have hit tokens of the
            // future.
            agent.killed_at = agent.killed_at.min(now);
            // The tokens of an earlier kill stay dead. They keep their place in the text until the
            // tokens of this kill are known.
            let old = self.agents.insert(agent.agent_id.clone(), agent.version);
            self.gone.extend(old);
            let tokens = match old.and_then(|version| self.by_version.remove(&version)) {
                Some(Entry::Agent(killed)) => killed.hits.tokens,
                _ => self.forgotten.remove(&agent.agent_id).unwrap_or_default(),
            };
            replaced |= old.is_some();
            self.has_moved |= !tokens.tokens.is_empty();
            self.text.add_agent(&agent, KILL_LISTED);
            let version = agent.version;
            let hits = hits(tokens, agent.killed_at, now);
            let killed = Killed { agent, hits };
            self.by_version
                .insert(version, Entry::Agent(Box::new(killed)));
        }
        for org in news.orgs {
            self.add_org(org, now);
        }
        for key in news.keys {
            self.add_key(key);
        }
        self.forgotten.clear();
        self.forgotten_orgs.clear();
        self.forget_oldest_gone();
        if replaced {
            self.text.clear_agents();
            for agent in self.by_version.values().filter_map(Entry::agent) {
                self.text.add_agent(agent, KILL_LISTED);
            }
        }
        changed
    }

    /// Removes expired entries and writes all others anew.
    pub(super) fn expire(&mut self, now: Timestamp) {
        let (agents, orgs) = (&mut self.agents, &mut self.orgs);
        let (keys, gone) = (&mut self.keys, &mut self.gone);
        self.by_version.retain(|version, entry| {
            if let Some(hits) = entry.hits_mut() {
                hits.tokens.expire(now);
            }
            let stays = now < entry.listed_until();
            if !stays {
                gone.insert(*version);
                keys.remove(version);
                if let Some(agent) = entry.agent()
                    && agents.get(&agent.agent_id) == Some(version)
                {
                    agents.remove(&agent.agent_id);
                }
                if let Some(org) = entry.org()
                    && orgs.get(&org.org_id) == Some(version)
                {
                    orgs.remove(&org.org_id);
                }
            }
            stays
        });
        self.forget_oldest_gone();
        self.rewrite();
    }

    /// As for an agent. The list of contract §4 names no organization: its readers get the tokens.
    fn add_org(&mut self, mut org: KilledOrg, now: Timestamp) {
        org.killed_at = org.killed_at.min(now);
        let (org_id, version) = (org.org_id.clone(), org.version);
        let old = self.orgs.insert(org_id.clone(), version);
        self.gone.extend(old);
        let tokens = match old.and_then(|version| self.by_version.remove(&version)) {
            Some(Entry::Org(killed)) => killed.hits.tokens,
            _ => self.forgotten_orgs.remove(&org_id).unwrap_or_default(),
        };
        self.has_moved |= !tokens.tokens.is_empty();
        let hits = hits(tokens, org.killed_at, now);
        let killed = KilledMembers { org, hits };
        self.by_version
            .insert(version, Entry::Org(Box::new(killed)));
    }

    /// Keys that were revoked together have one version.
    fn add_key(&mut self, key: RevokedKey) {
        self.keys.insert(key.version);
        if let Some(Entry::Keys(known)) = self.by_version.get_mut(&key.version) {
            if !known.kids.contains(&key.kid) {
                known.kids.push(key.kid);
            }
            return;
        }
        let keys = RevokedKeys {
            kids: vec![key.kid],
            revoked_at: key.revoked_at,
        };
        self.by_version
            .insert(key.version, Entry::Keys(Box::new(keys)));
    }

    fn forget_oldest_gone(&mut self) {
        while self.gone.len() > MAX_GONE {
            self.gone.pop_first();
        }
    }

    /// Writes all entries anew if tokens came or went in the middle. Returns whether they did.
    pub(super) fn rewrite_if_moved(&mut self) -> bool {
        let moved = self.has_moved;
        if moved {
            self.rewrite();
        }
        moved
    }

    /// In the order of versions, each token once: a token may have been revoked by itself and with
    /// its agent.
    fn rewrite(&mut self) {
        self.has_moved = false;
        let mut text = self.text.next();
        for entry in self.by_version.values() {
            match entry {
                Entry::Token { jti, expires_at } => text.add_token(*jti, *expires_at),
                Entry::Agent(killed) => {
                    text.add_agent(&killed.agent, KILL_LISTED);
                    for token in &killed.hits.tokens.tokens {
                        text.add_token(token.jti, token.expires_at);
                    }
                }
                Entry::Org(killed) => {
                    for token in &killed.hits.tokens.tokens {
                        text.add_token(token.jti, token.expires_at);
                    }
                }
                // The list of contract §4 names no keys: its readers take them from the JWKS.
                Entry::Keys(_) => {}
            }
        }
        self.text = text;
    }

    /// The list as the text has it.
    pub(super) fn write_down(&self) -> Listing {
        self.text.write_down(self.version)
    }
}

/// The known tokens of a kill that was read now, and how often they must be looked up.
fn hits(tokens: KilledTokens, killed_at: Timestamp, now: Timestamp) -> Hits {
    let looks = if killed_at.saturating_add(RECENT_KILL_TTL) <= now {
        1
    } else {
        MAX_LOOK_UPS
    };
    Hits {
        tokens,
        looks,
        known_to: None,
        is_warned_of: false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use uuid::Uuid;

    use super::super::gzip::Packer;
    use super::after::Delta;
    use super::*;
    use crate::domain::agent::Epoch;
    use crate::domain::id::Jti;
    use crate::domain::ttl::Ttl;
    use crate::store::{KilledAgent, KilledToken, RevokedToken};

    const NOW: Timestamp = Timestamp(100);
    const MAX: usize = 10;

    fn jti(n: u128) -> Jti {
        Jti(Uuid::from_u128(n))
    }

    fn token(n: u128, expires_at: i64, version: i64) -> RevokedToken {
        RevokedToken {
            jti: jti(n),
            expires_at: Timestamp(expires_at),
            version,
        }
    }

    fn killed(agent_id: &str, epoch: i64, version: i64) -> KilledAgent {
        let agent_id = AgentId::parse(agent_id).unwrap();
        KilledAgent {
            agent_id,
            epoch: Epoch(epoch),
            killed_at: NOW,
            longest_ttl: 0,
            version,
        }
    }

    fn found(tokens: &[(u128, i64)]) -> KilledTokens {
        let mut found = KilledTokens::default();
        for (n, expires_at) in tokens {
            found.add(
                KilledToken {
                    jti: jti(*n),
                    expires_at: Timestamp(*expires_at),
                },
                MAX,
            );
        }
        found.settle(MAX);
        found
    }

    fn with(tokens: Vec<RevokedToken>, agents: Vec<KilledAgent>) -> Entries {
        let mut entries = Entries::default();
        add(&mut entries, tokens, agents);
        entries
    }

    fn add(entries: &mut Entries, tokens: Vec<RevokedToken>, agents: Vec<KilledAgent>) -> bool {
        let of_tokens = tokens.iter().map(|t| t.version);
        let version = of_tokens
            .chain(agents.iter().map(|a| a.version))
            .max()
            .unwrap_or(entries.version());
        entries.apply(
            Revocations {
                version,
                tokens,
                agents,
                orgs: vec![],
                keys: vec![],
            },
            NOW,
        )
    }

    fn text(entries: &Entries) -> String {
        String::from_utf8(entries.write_down().document.body.to_vec()).unwrap()
    }

    /// Adding to the text must give the same as writing the whole list.
    fn is_as_written_anew(entries: &mut Entries) {
        let before = entries.write_down().document;
        entries.rewrite();
        let after = entries.write_down().document;
        assert_eq!(
            (text(entries), &before.etag),
            (
                String::from_utf8(before.body.to_vec()).unwrap(),
                &after.etag
            )
        );
    }

    fn looks_left(entries: &Entries) -> (usize, usize) {
        let (first, further) = entries.sought(Ttl::DEFAULT);
        (first.kills.len(), further.kills.len())
    }

    #[test]
    fn entries_stand_in_version_order_and_go_when_they_expire() {
        let mut entries = with(vec![token(1, 200, 1)], vec![]);
        assert!(add(
            &mut entries,
            vec![token(3, 300, 3)],
            vec![killed("a", 1, 2)]
        ));
        assert!(!add(&mut entries, vec![], vec![]));
        let body = text(&entries);
        assert!(
            body.find(&jti(1).to_string()) < body.find(&jti(3).to_string()),
            "{body}"
        );
        assert_eq!(entries.write_down().valid_until, Timestamp(200));
        is_as_written_anew(&mut entries);
        entries.expire(Timestamp(199));
        assert_eq!(text(&entries), body);
        entries.expire(Timestamp(200));
        assert!(!text(&entries).contains(&jti(1).to_string()));
        entries.expire(Timestamp(NOW.0 + KILL_LISTED));
        assert_eq!(
            text(&entries),
            r#"{"revoked_jtis":[],"revoked_agents":[],"version":3}"#
        );
    }

    /// What a release without the feed served of these revocations, byte for byte, with its tag.
    #[test]
    fn the_list_of_contract_4_is_as_it_was() {
        let entries = with(
            vec![token(1, 200, 1), token(3, 300, 3)],
            vec![killed("a", 1, 2)],
        );
        let listing = entries.write_down();
        assert_eq!(
            text(&entries),
            concat!(
                r#"{"revoked_jtis":["00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000003"],"#,
                r#""revoked_agents":[{"agent":"ypeBEsobvcr6wjGzmiPcTaeG7_gUfE5yuYB3ha_uSLs","epoch":1}],"version":3}"#
            )
        );
        assert_eq!(listing.document.etag, "\"XOfrHK6d-SpFdG2NL-olpg\"");
    }

    fn since(entries: &Entries, version: i64, now: i64) -> Delta {
        entries.after(version, Timestamp(now))
    }

    #[test]
    fn a_delta_has_what_came_after_a_version_that_was_given() {
        let mut entries = with(vec![token(1, 200, 10)], vec![killed("a", 1, 20)]);
        add(&mut entries, vec![token(2, 300, 30)], vec![]);
        let delta = since(&entries, 10, 100);
        assert_eq!((delta.since, delta.version), (Some(10), 30));
        assert_eq!(delta.tokens, [(jti(2), Timestamp(300))]);
        assert_eq!(delta.agents.len(), 1);
        assert_eq!(delta.valid_until, Timestamp(300));
        for unknown in [0, 1, 11, 29, 31, i64::MAX] {
            let whole = since(&entries, unknown, 100);
            assert_eq!((whole.since, whole.len()), (None, 3), "{unknown}");
        }
        let nothing = since(&entries, 30, 100);
        assert_eq!((nothing.since, nothing.len()), (Some(30), 0));
        // What has expired is left out before it is removed, and its version is known afterwards.
        assert_eq!(since(&entries, 20, 300).len(), 0);
        entries.expire(Timestamp(300));
        assert_eq!(since(&entries, 10, 300).since, Some(10));
        // A later kill takes the place of an earlier one.
        add(&mut entries, vec![], vec![killed("a", 2, 40)]);
        let later = since(&entries, 20, 300);
        assert_eq!(later.since, Some(20));
        assert_eq!(later.agents[0].1, Epoch(2));
        assert_eq!(later.agents.len(), 1);
        // Another store's versions are not known.
        entries.forget();
        add(&mut entries, vec![token(7, 900, 50)], vec![]);
        assert_eq!(since(&entries, 40, 300).since, None);
    }

    #[test]
    fn of_the_versions_whose_entries_are_gone_the_newest_are_known() {
        let mut entries = Entries::default();
        let last = i64::try_from(MAX_GONE).unwrap() + 5;
        for version in 1..=last {
            let expires_at = if version % 2 == 0 { NOW.0 + 1 } else { 900 };
            add(&mut entries, vec![token(1, expires_at, version)], vec![]);
        }
        entries.expire(Timestamp(900));
        assert!(entries.gone.len() <= MAX_GONE);
        assert!(!entries.knows(1) && entries.knows(last - 1) && entries.knows(last));
    }

    #[test]
    fn a_list_that_is_read_anew_keeps_the_tokens_of_those_who_are_killed_still() {
        let mut entries = with(
            vec![token(9, 900, 3)],
            vec![killed("a", 1, 1), killed("b", 1, 2)],
        );
        entries.put_tokens(1, found(&[(7, 900)]), None, MAX);
        entries.put_tokens(2, found(&[(8, 900)]), None, MAX);
        entries.forget();
        assert_eq!(
            text(&entries),
            r#"{"revoked_jtis":[],"revoked_agents":[],"version":0}"#
        );
        add(&mut entries, vec![], vec![killed("a", 1, 1)]);
        assert!(entries.rewrite_if_moved());
        let body = text(&entries);
        assert!(body.contains(&jti(7).to_string()), "{body}");
        assert!(
            ![8, 9].iter().any(|n| body.contains(&jti(*n).to_string())),
            "{body}"
        );
    }

    #[test]
    fn a_later_kill_takes_the_place_of_an_earlier_one_and_keeps_its_tokens() {
        let mut entries = with(vec![], vec![killed("a", 1, 1), killed("b", 1, 2)]);
        entries.put_tokens(1, found(&[(7, 900)]), None, MAX);
        assert!(entries.rewrite_if_moved());
        add(&mut entries, vec![], vec![killed("a", 2, 3)]);
        let body = text(&entries);
        assert!(
            body.contains(&jti(7).to_string()) && body.contains("\"epoch\":2"),
            "{body}"
        );
        assert_eq!(body.matches("\"agent\"").count(), 2);
        // The result for the earlier kill comes too late to be used.
        entries.put_tokens(1, found(&[]), Some(5), MAX);
        assert_eq!(looks_left(&entries), (2, 0));
        entries.put_tokens(3, found(&[(7, 900), (8, 900)]), None, MAX);
        assert!(entries.rewrite_if_moved());
        assert!(
            text(&entries).contains(&format!("\"{}\",\"{}\"", jti(8), jti(7))),
            "{}",
            text(&entries)
        );
        is_as_written_anew(&mut entries);
    }

    #[test]
    fn a_token_revoked_by_itself_and_with_its_agent_is_listed_once() {
        let mut entries = with(vec![token(7, 900, 1)], vec![killed("a", 1, 2)]);
        entries.put_tokens(2, found(&[(7, 900), (8, 900)]), None, MAX);
        entries.rewrite_if_moved();
        add(&mut entries, vec![token(8, 900, 3)], vec![]);
        for n in [7, 8] {
            assert_eq!(text(&entries).matches(&jti(n).to_string()).count(), 1);
        }
        is_as_written_anew(&mut entries);
    }

    #[test]
    fn a_kill_is_looked_up_whole_once_and_then_for_what_is_new() {
        let mut entries = with(vec![], vec![killed("a", 1, 1)]);
        // While no settled position is known, each look-up reads all events.
        entries.put_tokens(1, found(&[(7, 900)]), None, MAX);
        assert_eq!(looks_left(&entries), (1, 0));
        entries.put_tokens(1, found(&[(7, 900)]), Some(40), MAX);
        assert!(entries.rewrite_if_moved());
        let (_, further) = entries.sought(Ttl::DEFAULT);
        assert_eq!((further.kills.len(), further.after), (1, Some(40)));
        entries.put_tokens(1, found(&[(7, 900)]), Some(41), MAX);
        assert!(!entries.rewrite_if_moved(), "nothing new was found");
        entries.put_tokens(1, found(&[(8, 900)]), Some(42), MAX);
        assert!(entries.rewrite_if_moved());
        assert!(text(&entries).contains(&format!("\"{}\",\"{}\"", jti(8), jti(7))));
        for place in 43..=(43 + 11) {
            assert_eq!(looks_left(&entries), (0, 1));
            entries.put_tokens(1, found(&[]), Some(place), MAX);
        }
        assert_eq!(looks_left(&entries), (0, 0));
    }

    #[test]
    fn a_kill_of_long_ago_is_looked_up_once() {
        let news = Revocations {
            version: 1,
            tokens: vec![],
            agents: vec![killed("a", 1, 1)],
            orgs: vec![],
            keys: vec![],
        };
        let mut entries = Entries::default();
        entries.apply(news, Timestamp(NOW.0 + RECENT_KILL_TTL));
        entries.put_tokens(1, found(&[]), None, MAX);
        assert_eq!(looks_left(&entries), (0, 0));
    }

    #[test]
    fn tokens_without_room_are_counted_until_they_expire() {
        let mut entries = with(vec![], vec![killed("a", 1, 1)]);
        let many: Vec<(u128, i64)> = (0..25).map(|n| (n, 300)).collect();
        entries.put_tokens(1, found(&many), None, MAX);
        assert_eq!(entries.warn_of_unlisted(MAX), 15);
        entries.rewrite_if_moved();
        assert_eq!(text(&entries).matches('-').count(), 10 * 4);
        entries.expire(Timestamp(300));
        assert_eq!(entries.warn_of_unlisted(MAX), 0);
    }

    /// Run with `--nocapture` for the times: 200,000 revoked tokens and one more.
    #[test]
    fn one_more_revocation_costs_far_less_than_the_whole_list() {
        const LISTED: u128 = 200_000;
        let drawn =
            |n: u128| 0x0192_0000_0000_7000_8000_0000_0000_0000 + n * 0x9e37_79b9_7f4a_7c15_f39c;
        let version = |n: u128| i64::try_from(n).unwrap();
        let mut entries = with(
            (1..=LISTED)
                .map(|n| token(drawn(n), 9_000, version(n)))
                .collect(),
            vec![],
        );
        let timed = |what: &str, work: &mut dyn FnMut()| {
            let began = Instant::now();
            work();
            println!("{what}: {:?}", began.elapsed());
            began.elapsed()
        };
        let (mut gzip, mut whole, mut one_more) = (Packer::default(), Duration::MAX, Duration::MAX);
        let mut least = (Duration::MAX, Duration::MAX);
        for n in 1..=3 {
            whole = whole.min(timed("the whole list", &mut || {
                entries.rewrite();
                entries.write_down();
            }));
            let listing = entries.write_down();
            least.0 = least.0.min(timed("the whole list packed", &mut || {
                drop(gzip.pack(&listing));
            }));
            one_more = one_more.min(timed("one more", &mut || {
                add(
                    &mut entries,
                    vec![token(n, 9_000, version(LISTED + n))],
                    vec![],
                );
                entries.write_down();
            }));
            let listing = entries.write_down();
            least.1 = least
                .1
                .min(timed("one more packed", &mut || drop(gzip.pack(&listing))));
            println!(
                "{} bytes, packed {}",
                listing.document.body.len(),
                gzip.pack(&listing).unwrap().body.len()
            );
        }
        assert!(one_more * 3 < whole, "{one_more:?} and {whole:?}");
        assert!(least.1 * 3 < least.0, "{least:?}");
    }
}
