//! Acknowledging that a backup was restored: nothing that was issued before is alive afterwards, so
//! nothing that was killed after the backup is.
//!
//! Owns what an acknowledgement does, and in which order. Must not know how a backup is made.

use std::sync::Arc;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::act::Act;
use crate::domain::tree::verifier_key::KeyName;
use crate::store::{AgentChange, Change, GenerationChange, Outcome, Records, Store, Write};

use super::error::{Cause, Error};

/// How many agents' tokens are killed in one commit.
const BATCH_AGENTS: i64 = 100;

/// Acknowledges restores of one store.
pub struct Restores {
    store: Arc<dyn Store>,
    records: Arc<dyn Records>,
    clock: Arc<StoreClock>,
    issuer: String,
}

/// A restore that was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    /// The generation that began.
    pub generation: i64,
    /// How many agents' tokens were killed.
    pub agents: u64,
}

/// Whether a store without any sign of a restore is taken for a restored one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmarked {
    /// No.
    Refuse,
    /// Yes: the operator says so.
    Accept,
}

impl Restores {
    /// `issuer` is a part of the name of the log that begins.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        records: Arc<dyn Records>,
        clock: Arc<StoreClock>,
        issuer: String,
    ) -> Self {
        Self {
            store,
            records,
            clock,
            issuer,
        }
    }

    /// Kills all tokens of all agents, and then begins a generation. `None` if the store has no sign
    /// of a restore and `unmarked` refuses that. If it fails, or its process ends, the store stays
    /// a restored one, and the next call does everything again.
    pub async fn acknowledge(
        &self,
        act: &Act,
        unmarked: Unmarked,
    ) -> Result<Option<Acknowledged>, Error> {
        let found = self.records.generation().await?;
        if !found.is_restored() && unmarked == Unmarked::Refuse {
            return Ok(None);
        }
        // Servers stop serving from a marked store until the last commit of this function.
        let (from, generation) = (found.number, found.number);
        self.commit(
            act,
            vec![Change::Generation(GenerationChange::Mark { generation })],
        )
        .await?;
        let agents = self.kill_all(act).await?;
        // No two lives of one backup have the same number: they are acknowledged at different times.
        let to = from.saturating_add(1).max(self.clock.moment().0);
        let origin = u64::try_from(to)
            .map_err(|error| Error::Fault(Arc::new(error)))
            .and_then(|to| {
                KeyName::of_log(&self.issuer, to).map_err(|rule| Error::Fault(Arc::new(rule)))
            })?;
        let begin = GenerationChange::Begin {
            from,
            to,
            origin: origin.as_str().to_owned(),
        };
        let outcomes = self.commit(act, vec![Change::Generation(begin)]).await?;
        if outcomes != [Outcome::Applied] {
            return Err(Error::Unavailable(Arc::new(Cause(
                "another process acknowledged the restore meanwhile".to_owned(),
            ))));
        }
        Ok(Some(Acknowledged {
            generation: to,
            agents,
        }))
    }

    /// Kills all tokens of all agents, in the order of their ids. An agent that is made meanwhile has
    /// no older tokens.
    async fn kill_all(&self, act: &Act) -> Result<u64, Error> {
        let (mut after, mut killed) = (None, 0_u64);
        loop {
            let page = self.records.agents(after.as_ref(), BATCH_AGENTS).await?;
            let Some(last) = page.last() else {
                return Ok(killed);
            };
            after = Some(last.agent_id.clone());
            let kill = |agent_id| Change::Agent(AgentChange::RevokeTokens(agent_id));
            let kills = page.into_iter().map(|agent| kill(agent.agent_id)).collect();
            let outcomes = self.commit(act, kills).await?;
            let applied = outcomes.iter().filter(|one| **one == Outcome::Applied);
            killed = killed.saturating_add(u64::try_from(applied.count()).unwrap_or(u64::MAX));
        }
    }

    async fn commit(&self, act: &Act, changes: Vec<Change>) -> Result<Vec<Outcome>, Error> {
        let act = act.committed_at(self.clock.moment());
        let write = |change| Write::new(act.clone(), change);
        let writes = changes.into_iter().map(write).collect();
        Ok(self.store.commit(writes).await?)
    }
}
