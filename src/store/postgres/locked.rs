//! Agents whose counters another transaction holds. They are left out of a batch, so that the other
//! agents do not wait with them.
//!
//! Owns which agents were found locked a moment ago. Must not know what is counted.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;

use crate::domain::id::AgentId;
use crate::store::token::Batch;

/// Another transaction's new counter cannot be seen; a statement can only wait for it. For this
/// long, no statement tries.
const UNSEEN_TTL: Duration = Duration::from_millis(500);

/// Beyond this number, all agents found earlier are forgotten. Finding one again costs one wait.
const MAX_KNOWN: usize = 1_024;

/// How long an agent that was seen locked is believed to be locked, without looking again.
const LOOK_TTL: Duration = Duration::from_millis(20);

/// When an agent was found locked, and when it was last seen locked.
#[derive(Debug, Clone, Copy)]
struct Found {
    since: Instant,
    seen: Instant,
}

/// The agents that were found locked.
#[derive(Debug, Default)]
pub(super) struct LockedAgents(Mutex<HashMap<AgentId, Found>>);

impl LockedAgents {
    fn known(&self) -> MutexGuard<'_, HashMap<AgentId, Found>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether each token of the batch is for an agent that was seen locked a moment ago. Then the
    /// batch need not wait in line for the same answer. Many such batches would keep the line busy
    /// for all others.
    pub(super) fn all_were_just_now(&self, batch: &Batch) -> bool {
        let known = self.known();
        let was = |id: &AgentId| {
            known
                .get(id)
                .is_some_and(|found| found.seen.elapsed() < LOOK_TTL)
        };
        !known.is_empty()
            && !batch.grants.is_empty()
            && batch.grants.iter().all(|grant| was(grant.agent_id()))
    }

    /// Those of the batch's agents that were found locked and still are. The database is not asked
    /// while no agent is known to be locked.
    pub(super) async fn still(
        &self,
        conn: &mut PgConnection,
        batch: &Batch,
    ) -> sqlx::Result<HashSet<AgentId>> {
        if self.known().is_empty() {
            return Ok(HashSet::new());
        }
        let suspects: HashMap<AgentId, Found> = {
            let known = self.known();
            let of = |id: &AgentId| known.get(id).map(|found| (id.clone(), *found));
            batch
                .grants
                .iter()
                .filter_map(|grant| of(grant.agent_id()))
                .collect()
        };
        if suspects.is_empty() {
            return Ok(HashSet::new());
        }
        let counters = look(conn, suspects.keys()).await?;
        let is_locked = |id: &AgentId, found: &Found| {
            counters
                .get(id.as_str())
                .map_or(found.since.elapsed() < UNSEEN_TTL, |is_free| !is_free)
        };
        let (locked, free): (Vec<_>, Vec<_>) = suspects
            .into_iter()
            .partition(|(id, found)| is_locked(id, found));
        let mut known = self.known();
        for (id, _) in free {
            known.remove(&id);
        }
        for (id, found) in &locked {
            known.insert(
                id.clone(),
                Found {
                    seen: Instant::now(),
                    ..*found
                },
            );
        }
        Ok(locked.into_iter().map(|(id, _)| id).collect())
    }

    /// The agents that may have kept the batch waiting: those whose counter can be seen but not
    /// locked, or else those without a visible counter.
    pub(super) async fn find(
        &self,
        conn: &mut PgConnection,
        batch: &Batch,
    ) -> sqlx::Result<HashSet<AgentId>> {
        let agents: HashSet<&AgentId> = batch.grants.iter().map(|grant| grant.agent_id()).collect();
        let counters = look(conn, agents.iter().copied()).await?;
        let mut found: HashSet<AgentId> = HashSet::new();
        for wanted in [Some(false), None] {
            if found.is_empty() {
                let of_kind = agents
                    .iter()
                    .filter(|id| counters.get(id.as_str()).copied() == wanted);
                found.extend(of_kind.map(|id| (*id).clone()));
            }
        }
        let mut known = self.known();
        if known.len() + found.len() > MAX_KNOWN {
            known.clear();
        }
        let now = Instant::now();
        known.extend(found.iter().map(|id| {
            (
                id.clone(),
                Found {
                    since: now,
                    seen: now,
                },
            )
        }));
        Ok(found)
    }
}

/// This month's visible counters of these agents, and whether each can be locked.
async fn look(
    conn: &mut PgConnection,
    agents: impl Iterator<Item = &AgentId>,
) -> sqlx::Result<HashMap<String, bool>> {
    let ids: Vec<&str> = agents.map(AgentId::as_str).collect();
    // Takes the same lock as the counting statement, and releases it at once.
    let sql = "with month as (
                   select (extract(year from t) * 100 + extract(month from t))::bigint as key
                   from (select now() at time zone 'UTC' as t) as moment
               ),
               free as (
                   select agent_id from quota
                   where agent_id = any($1) and month = (select key from month)
                   for no key update skip locked
               )
               select q.agent_id, f.agent_id is not null
               from quota q
               left join free f on f.agent_id = q.agent_id
               where q.agent_id = any($1) and q.month = (select key from month)";
    let rows: Vec<(String, bool)> = sqlx::query_as(sql).bind(ids).fetch_all(conn).await?;
    Ok(rows.into_iter().collect())
}
