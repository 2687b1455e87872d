//! The newest entry of the list, by which a list recognises the store that it was read from. Must
//! not know when anything is read.

use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::time::Timestamp;
use crate::store::Revocations;

use super::Entries;
use super::entry::Entry;

/// The newest entry that the store still has, unless the store was wound back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::service::revocations) struct Newest {
    /// The version that made it.
    pub version: i64,
    /// The agent that was killed, or `None` for a revoked token or key. A later kill of the same agent
    /// replaces the entry.
    pub agent_id: Option<AgentId>,
    /// The organization that was killed. A later kill of it replaces the entry too.
    pub org_id: Option<OrgId>,
}

impl Newest {
    /// The version after which the entry is read again.
    pub(in crate::service::revocations) fn before(&self) -> i64 {
        self.version.saturating_sub(1)
    }

    /// Whether the entry, or what replaced it, is in the news.
    pub(in crate::service::revocations) fn is_in(&self, news: &Revocations) -> bool {
        if let Some(agent_id) = &self.agent_id {
            return news.agents.iter().any(|agent| agent.agent_id == *agent_id);
        }
        if let Some(org_id) = &self.org_id {
            return news.orgs.iter().any(|org| org.org_id == *org_id);
        }
        let tokens = news.tokens.iter().map(|token| token.version);
        let keys = news.keys.iter().map(|key| key.version);
        tokens.chain(keys).any(|version| version == self.version)
    }
}

impl Entries {
    /// The newest entry that the store still has at `now`, if it lists agents killed after
    /// `kills_after`.
    pub(in crate::service::revocations) fn newest(
        &self,
        now: Timestamp,
        kills_after: Timestamp,
    ) -> Option<Newest> {
        let newest = self.by_version.iter().rev().find(|(_, entry)| match entry {
            Entry::Token { expires_at, .. } => *expires_at > now,
            Entry::Agent(killed) => killed.agent.killed_at > kills_after,
            Entry::Org(killed) => killed.org.killed_at > kills_after,
            Entry::Keys(keys) => keys.revoked_at > kills_after,
        });
        newest.map(|(version, entry)| Newest {
            version: *version,
            agent_id: entry.agent().map(|agent| agent.agent_id.clone()),
            org_id: entry.org().map(|org| org.org_id.clone()),
        })
    }
}
