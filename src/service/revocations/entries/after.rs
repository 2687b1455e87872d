//! What came after a version, for the feed. Must not know how it is written down.

use crate::domain::agent::Epoch;
use crate::domain::id::{AgentId, Jti, Kid};
use crate::domain::org::{OrgEpoch, OrgId};
use crate::domain::time::Timestamp;

use super::Entries;
use super::entry::Entry;

/// The entries after a version, each with the second from which a verifier can forget it. The tokens
/// of a killed agent are left out: the agent's entry covers them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::service::revocations) struct Delta {
    /// The version after which these entries came. `None` if these are all entries.
    pub since: Option<i64>,
    /// The version of the list.
    pub version: i64,
    /// Tokens that were revoked individually.
    pub tokens: Vec<(Jti, Timestamp)>,
    /// Agents, each with the epoch below which its tokens are dead.
    pub agents: Vec<(AgentId, Epoch, Timestamp)>,
    /// Organizations, each with the epoch below which the tokens of its agents are dead.
    pub orgs: Vec<(OrgId, OrgEpoch, Timestamp)>,
    /// Signing keys that leaked.
    pub keys: Vec<(Kid, Timestamp)>,
    /// The second from which one of these entries has expired.
    pub valid_until: Timestamp,
}

impl Delta {
    /// How many entries there are.
    pub(in crate::service::revocations) fn len(&self) -> usize {
        self.tokens.len().saturating_add(self.agents.len())
    }
}

impl Entries {
    /// Whether the list had this version, so that whoever holds it needs only what came after it.
    /// Version 0 has no entries, and so says nothing about who holds it.
    pub(in crate::service::revocations) fn knows(&self, version: i64) -> bool {
        version != 0
            && (version == self.version
                || self.by_version.contains_key(&version)
                || self.gone.contains(&version))
    }

    /// What came after this version and has not expired at `now`; all entries if the version is
    /// unknown.
    pub(in crate::service::revocations) fn after(&self, version: i64, now: Timestamp) -> Delta {
        let since = Some(version).filter(|version| self.knows(*version));
        let mut delta = Delta {
            since,
            version: self.version,
            tokens: vec![],
            agents: vec![],
            orgs: vec![],
            keys: vec![],
            valid_until: Timestamp(i64::MAX),
        };
        let first = since.map_or(i64::MIN, |since| since.saturating_add(1));
        for entry in self.by_version.range(first..).map(|(_, entry)| entry) {
            let until = entry.listed_until();
            if until <= now {
                continue;
            }
            delta.valid_until = delta.valid_until.min(until);
            match entry {
                Entry::Token { jti, .. } => delta.tokens.push((*jti, until)),
                Entry::Agent(killed) => {
                    let agent = &killed.agent;
                    delta
                        .agents
                        .push((agent.agent_id.clone(), agent.epoch, until));
                }
                Entry::Org(killed) => {
                    let org = &killed.org;
                    delta.orgs.push((org.org_id.clone(), org.epoch, until));
                }
                Entry::Keys(keys) => {
                    let kids = keys.kids.iter().cloned();
                    delta.keys.extend(kids.map(|kid| (kid, until)));
                }
            }
        }
        delta
    }
}
