//! Counts of refused requests: kept in memory, and written as events once a minute.
//!
//! Owns how many different counts there may be. Must not know why a request is refused, or what
//! its client is told. A refusal never writes on its own request, so a flood of refused requests
//! costs the store a few rows a minute.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::{Clock as _, StoreClock};
use crate::domain::act::Act;
use crate::domain::context::RequestContext;
use crate::domain::event::detail::split;
use crate::domain::event::reason::{RefusalCount, RefusalReason};
use crate::domain::event::source::EventSource;
use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::time::Timestamp;
use crate::store::{Change, Records, RefusedRequests, Store, Write};

use crate::telemetry::metrics;

use super::error::Error;

/// How many different counts are kept. Further ones are added to one count, whose reason is
/// [`RefusalReason::Other`].
const MAX_COUNTS: usize = 10_000;

/// How many of them may be about clients that did not authenticate. A flood of made-up ids leaves
/// room for the counts of others.
const MAX_UNPROVEN: usize = 5_000;

/// What is counted apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RefusalKey {
    /// The agent that authenticated, or that the request named.
    agent_id: Option<AgentId>,
    /// Whether the request only named the agent, which may not exist.
    is_unproven: bool,
    reason: RefusalReason,
    source: Option<EventSource>,
}

impl RefusalKey {
    const OTHER: Self = Self {
        agent_id: None,
        is_unproven: false,
        reason: RefusalReason::Other,
        source: None,
    };
}

#[derive(Debug, Default)]
struct Counts {
    counts: HashMap<RefusalKey, i64>,
    unproven: usize,
}

impl Counts {
    fn add(&mut self, counted: RefusalKey, count: i64) {
        let counted = if self.counts.contains_key(&counted) || self.has_room(&counted) {
            counted
        } else {
            RefusalKey::OTHER
        };
        let is_unproven = counted.is_unproven;
        let before = self.counts.len();
        let sum = self.counts.entry(counted).or_insert(0);
        *sum = sum.saturating_add(count);
        if is_unproven && self.counts.len() > before {
            self.unproven = self.unproven.saturating_add(1);
        }
    }

    /// One place is kept for the count of the others.
    fn has_room(&self, counted: &RefusalKey) -> bool {
        self.counts.len() < MAX_COUNTS - 1 && (!counted.is_unproven || self.unproven < MAX_UNPROVEN)
    }
}

/// The counts of this process.
pub struct Refusals {
    store: Arc<dyn Store>,
    records: Arc<dyn Records>,
    clock: Arc<StoreClock>,
    counts: Mutex<Counts>,
    /// The second from which the counts are. Locked while they are written.
    from: tokio::sync::Mutex<Timestamp>,
}

impl Refusals {
    /// No counts yet.
    pub fn new(store: Arc<dyn Store>, records: Arc<dyn Records>, clock: Arc<StoreClock>) -> Self {
        let from = tokio::sync::Mutex::new(clock.now());
        Self {
            store,
            records,
            clock,
            counts: Mutex::default(),
            from,
        }
    }

    /// Counts one refused request.
    pub fn count(&self, context: &RequestContext, reason: RefusalReason) {
        let named = (context.failed_proof() == Some(reason))
            .then(|| context.claimed_agent())
            .flatten();
        let counted = RefusalKey {
            agent_id: named.or(context.agent_id()).cloned(),
            is_unproven: named.is_some(),
            reason,
            source: context.source,
        };
        self.lock().add(counted, 1);
        metrics::refused_request(reason.as_str());
    }

    /// Records the counts as events. If this fails, the counts are kept for the next time.
    pub async fn write(&self) -> Result<(), Error> {
        let mut from = self.from.lock().await;
        let taken = mem::take(&mut *self.lock());
        let to = self.clock.now().max(*from);
        if taken.counts.is_empty() {
            *from = to;
            return Ok(());
        }
        let written = self.record(*from, to, &taken.counts).await;
        if written.is_ok() {
            *from = to;
        } else {
            let mut counts = self.lock();
            for (counted, count) in taken.counts {
                counts.add(counted, count);
            }
        }
        written
    }

    async fn record(
        &self,
        from: Timestamp,
        to: Timestamp,
        counts: &HashMap<RefusalKey, i64>,
    ) -> Result<(), Error> {
        let told: HashSet<&AgentId> = counts
            .keys()
            .filter_map(|counted| counted.agent_id.as_ref())
            .collect();
        let told: Vec<AgentId> = told.into_iter().cloned().collect();
        let orgs = self.records.agent_orgs(&told).await?;
        let mut writes = Vec::new();
        for (org_id, counts) in by_org(settle(counts, &orgs), &orgs) {
            let org_id = Some(org_id).filter(|org_id| *org_id != OrgId::default());
            writes.extend(split(counts).into_iter().map(|counts| {
                let org_id = org_id.clone();
                let refused = RefusedRequests {
                    from,
                    to,
                    counts,
                    org_id,
                };
                Write::new(Act::system(self.clock.moment()), Change::Refusals(refused))
            }));
        }
        self.store.commit(writes).await?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The counts of each organisation, so that no event tells one organisation the agents of another.
/// Counts without an agent belong to the first one.
fn by_org(
    counts: Vec<RefusalCount>,
    orgs: &HashMap<AgentId, OrgId>,
) -> BTreeMap<OrgId, Vec<RefusalCount>> {
    let mut parts: BTreeMap<OrgId, Vec<RefusalCount>> = BTreeMap::new();
    for count in counts {
        let org_id = count.agent_id.as_ref().and_then(|id| orgs.get(id));
        let org_id = org_id.cloned().unwrap_or_default();
        parts.entry(org_id).or_default().push(count);
    }
    parts
}

/// The counts in a fixed order, after the ids that requests named were looked up: an id that does
/// not exist is an unknown client and is not told.
fn settle(
    counts: &HashMap<RefusalKey, i64>,
    existing: &HashMap<AgentId, OrgId>,
) -> Vec<RefusalCount> {
    let mut settled: HashMap<(Option<&AgentId>, RefusalReason, Option<EventSource>), i64> =
        HashMap::new();
    for (counted, count) in counts {
        let (agent_id, reason) = match &counted.agent_id {
            Some(id) if counted.is_unproven && existing.contains_key(id) => {
                (Some(id), RefusalReason::WrongSecret)
            }
            Some(_) if counted.is_unproven => (None, RefusalReason::UnknownClient),
            agent_id => (agent_id.as_ref(), counted.reason),
        };
        let sum = settled
            .entry((agent_id, reason, counted.source))
            .or_insert(0);
        *sum = sum.saturating_add(*count);
    }
    let mut settled: Vec<_> = settled.into_iter().collect();
    settled.sort_unstable();
    settled
        .into_iter()
        .map(|((agent_id, reason, source), count)| RefusalCount {
            agent_id: agent_id.cloned(),
            reason,
            source,
            count,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(agent: &str, is_unproven: bool, reason: RefusalReason) -> RefusalKey {
        RefusalKey {
            agent_id: Some(AgentId::parse(agent).unwrap()),
            is_unproven,
            reason,
            source: None,
        }
    }

    #[test]
    fn a_flood_of_ids_fills_no_more_than_its_part_and_is_counted_whole() {
        let mut counts = Counts::default();
        let flood = i64::try_from(MAX_COUNTS).unwrap() * 2;
        for i in 0..flood {
            counts.add(
                counted(&format!("junk-{i}"), true, RefusalReason::WrongSecret),
                1,
            );
        }
        assert_eq!(counts.counts.len(), MAX_UNPROVEN + 1);
        let known = counted("known", false, RefusalReason::Quota);
        for _ in 0..2 {
            counts.add(known.clone(), 1);
        }
        assert_eq!(counts.counts[&known], 2);
        assert_eq!(counts.counts.values().sum::<i64>(), flood + 2);
        for i in 0..MAX_COUNTS {
            counts.add(counted(&format!("a-{i}"), false, RefusalReason::Rate), 1);
        }
        assert!(counts.counts.len() <= MAX_COUNTS);
        assert_eq!(
            counts.counts.values().sum::<i64>(),
            flood + 2 + i64::try_from(MAX_COUNTS).unwrap()
        );
    }

    #[test]
    fn a_named_agent_is_told_only_if_it_exists() {
        let counts = HashMap::from([
            (counted("real", true, RefusalReason::WrongSecret), 3),
            (counted("made-up", true, RefusalReason::WrongSecret), 4),
            (counted("gone", true, RefusalReason::UnknownClient), 5),
            (counted("proven", false, RefusalReason::Suspended), 6),
            (RefusalKey::OTHER, 7),
        ]);
        let existing = HashMap::from([(AgentId::parse("real").unwrap(), OrgId::default())]);
        let told: Vec<(Option<String>, String, i64)> = settle(&counts, &existing)
            .into_iter()
            .map(|count| {
                (
                    count.agent_id.map(|id| id.to_string()),
                    count.reason.as_str().into_owned(),
                    count.count,
                )
            })
            .collect();
        let agent = |id: &str| Some(id.to_owned());
        assert_eq!(
            told,
            [
                (None, "unknown_client".to_owned(), 9),
                (None, "other".to_owned(), 7),
                (agent("proven"), "suspended".to_owned(), 6),
                (agent("real"), "wrong_secret".to_owned(), 3),
            ]
        );
    }
}
