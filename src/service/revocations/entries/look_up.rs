//! The tokens of killed agents, for clients that read only `revoked_jtis`: which kills must still be
//! looked up, and what was found. Must not know when anything is read.

use crate::domain::agent::Epoch;
use crate::domain::id::AgentId;
use crate::domain::org::{OrgEpoch, OrgId};
use crate::domain::ttl::Ttl;
use crate::store::{KilledAgentQuery, KilledOrg, KilledTokens};

use super::Entries;
use super::entry::Entry;

/// The kills to look up, each with its entry's version, and the position in the record of events
/// after which to look.
#[derive(Default)]
pub(in crate::service::revocations) struct Kills {
    pub kills: Vec<(KilledAgentQuery, i64)>,
    pub after: Option<i64>,
}

/// A killed organization whose agents' tokens must be looked up.
pub(in crate::service::revocations) struct SoughtOrg {
    pub org: KilledOrg,
    /// The position in the record of events after which to look.
    pub after: Option<i64>,
}

impl SoughtOrg {
    /// The look-up of its agents, each with the longest custom lifetime that it ever had: no further
    /// back than its longest token lives.
    pub(in crate::service::revocations) fn queries(
        &self,
        members: Vec<(AgentId, i64)>,
        default_ttl: Ttl,
    ) -> Vec<KilledAgentQuery> {
        let query = |(agent_id, longest): (AgentId, i64)| KilledAgentQuery {
            agent_id,
            below: Epoch(i64::MIN),
            org_below: self.org.epoch,
            issued_from: self
                .org
                .killed_at
                .saturating_add(-longest.max(default_ttl.secs())),
        };
        members.into_iter().map(query).collect()
    }
}

impl Entries {
    /// The kills whose tokens must be looked up: those of which nothing is known, and the others.
    pub(in crate::service::revocations) fn sought(&self, default_ttl: Ttl) -> (Kills, Kills) {
        let (mut first, mut further) = (Kills::default(), Kills::default());
        for (version, entry) in &self.by_version {
            let Entry::Agent(killed) = entry else {
                continue;
            };
            let hits = &killed.hits;
            if hits.looks == 0 {
                continue;
            }
            let agent = &killed.agent;
            // No further back than the agent's longest token lives.
            let longest = agent.longest_ttl.max(default_ttl.secs());
            let sought = KilledAgentQuery {
                agent_id: agent.agent_id.clone(),
                below: agent.epoch,
                org_below: OrgEpoch::default(),
                issued_from: agent.killed_at.saturating_add(-longest),
            };
            let into = if hits.known_to.is_some() {
                &mut further
            } else {
                &mut first
            };
            into.kills.push((sought, *version));
            into.after = into.after.into_iter().chain(hits.known_to).min();
        }
        (first, further)
    }

    /// The killed organizations whose agents' tokens must be looked up.
    pub(in crate::service::revocations) fn sought_orgs(&self) -> Vec<SoughtOrg> {
        let sought = |entry: &Entry| match entry {
            Entry::Org(killed) if killed.hits.looks > 0 => Some(SoughtOrg {
                org: killed.org.clone(),
                after: killed.hits.known_to,
            }),
            _ => None,
        };
        self.by_version.values().filter_map(sought).collect()
    }

    /// Stores what was found for the kill of that version, unless a later kill has replaced it.
    /// `settled` is a position in the record of events up to which every transaction has ended, if
    /// such a position is known.
    pub(in crate::service::revocations) fn put_tokens(
        &mut self,
        version: i64,
        found: KilledTokens,
        settled: Option<i64>,
        most: usize,
    ) {
        let Some(killed) = self.by_version.get_mut(&version).and_then(Entry::hits_mut) else {
            return;
        };
        if killed.known_to.is_none() {
            self.has_moved |= killed.tokens.tokens != found.tokens;
            killed.tokens = found;
        } else if found.tokens.is_empty() {
            // Nearly every later look-up finds nothing, and the known tokens keep their order.
            killed.tokens.omitted = killed.tokens.omitted.max(found.omitted);
        } else {
            let (before, omitted) = (
                killed.tokens.tokens.clone(),
                killed.tokens.omitted.max(found.omitted),
            );
            killed.tokens.tokens.extend(found.tokens);
            killed.tokens.omitted = 0;
            killed.tokens.settle(most);
            killed.tokens.omitted = killed.tokens.omitted.max(omitted);
            self.has_moved |= killed.tokens.tokens != before;
        }
        killed.looks = killed.looks.saturating_sub(1);
        killed.known_to = settled.or(killed.known_to);
    }

    /// Warns once for each kill whose tokens do not all fit. Returns how many tokens do not fit in
    /// total.
    pub(in crate::service::revocations) fn warn_of_unlisted(&mut self, most: usize) -> u64 {
        let mut all: u64 = 0;
        for entry in self.by_version.values_mut() {
            let (agent_id, org_id) = (
                entry.agent().map(|agent| agent.agent_id.clone()),
                entry.org().map(|org| org.org_id.clone()),
            );
            let Some(hits) = entry.hits_mut() else {
                continue;
            };
            let omitted = hits.tokens.omitted;
            all = all.saturating_add(omitted);
            if omitted > 0 && !hits.is_warned_of {
                hits.is_warned_of = true;
                let (agent_id, org_id) = (
                    agent_id.as_ref().map(AgentId::as_str),
                    org_id.as_ref().map(OrgId::as_str),
                );
                tracing::warn!(
                    agent_id,
                    org_id,
                    omitted,
                    listed = most,
                    "a killed agent has more live tokens than revoked_jtis lists: verifiers that read no \
                     revoked_agents accept the rest until they expire; raise limits.listed_tokens"
                );
            }
        }
        all
    }
}
