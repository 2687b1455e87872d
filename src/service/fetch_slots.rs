//! How many key sets are fetched at once: in all, and for the partners of each organization, so that the
//! slow servers of some organizations leave fetches to the others, and those of all organizations some
//! to `default`.
//!
//! An organization gets one more only while more are free than it has: the first ones that ask do not
//! take them all. That alone would not do, since several organizations together still could, each with
//! servers that say nothing for the whole time of a fetch. So an organization is slow for a minute
//! after such a fetch: then it has one at most, and all slow ones together have half of the fetches. The
//! other half stays for those whose servers answer, however many organizations are slow.
//!
//! Must not know what is fetched.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::org::OrgId;

/// How many fetches run at once.
const MAX_FETCHES: usize = 16;

/// How many of them run for all organizations but `default` together. The partners of `default` serve
/// everybody, and always find a free one.
const MAX_FETCHES_OF_OTHERS: usize = 12;

/// How many of them run for one organization other than `default`.
const MAX_FETCHES_PER_ORG: usize = 4;

/// How many of them run for all slow organizations together.
const MAX_FETCHES_OF_SLOW: usize = 6;

/// How many milliseconds a fetch takes at least that makes its organization a slow one.
const SLOW_FETCH: i64 = 2_000;

/// For how many milliseconds after such a fetch it is one.
const SLOW_TIME: i64 = 60_000;

/// The fetches that run, and whose were slow. Times are milliseconds of the steady clock.
#[derive(Debug, Default)]
pub(super) struct FetchSlots(Mutex<FetchUse>);

#[derive(Debug, Default)]
struct FetchUse {
    /// How many fetches run for each organization that has any.
    running: HashMap<OrgId, usize>,
    /// Until when an organization is slow.
    slow_until: HashMap<OrgId, i64>,
}

/// The right to one fetch, until it is dropped.
#[derive(Debug)]
pub(super) struct FetchSlot {
    slots: Arc<FetchSlots>,
    org_id: OrgId,
    began_at: i64,
}

impl FetchUse {
    fn of(&self, org_id: &OrgId) -> usize {
        self.running.get(org_id).copied().unwrap_or_default()
    }

    /// Whether no further fetch may begin for this organization.
    fn is_full(&self, org_id: &OrgId) -> bool {
        let all: usize = self.running.values().sum();
        if org_id.is_default() || all >= MAX_FETCHES {
            return all >= MAX_FETCHES;
        }
        let own = self.of(org_id);
        let of_others = all.saturating_sub(self.of(&OrgId::default()));
        let free = MAX_FETCHES_OF_OTHERS.saturating_sub(of_others);
        if own >= free.min(MAX_FETCHES_PER_ORG) {
            return true;
        }
        let of_slow: usize = self.slow_until.keys().map(|slow| self.of(slow)).sum();
        let is_slow = self.slow_until.contains_key(org_id);
        is_slow && (own > 0 || of_slow >= MAX_FETCHES_OF_SLOW)
    }
}

impl FetchSlots {
    /// A fetch for a partner of this organization that begins at `now`; `None` if too many run.
    pub(super) fn take(self: &Arc<Self>, org_id: &OrgId, now: i64) -> Option<FetchSlot> {
        let mut used = self.used();
        used.slow_until.retain(|_, until| now < *until);
        if used.is_full(org_id) {
            return None;
        }
        let own = used.of(org_id).saturating_add(1);
        used.running.insert(org_id.clone(), own);
        Some(FetchSlot {
            slots: Arc::clone(self),
            org_id: org_id.clone(),
            began_at: now,
        })
    }

    fn used(&self) -> MutexGuard<'_, FetchUse> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FetchSlot {
    /// The fetch is over at `now`, whatever came of it.
    pub(super) fn end(self, now: i64) {
        let is_slow = now.saturating_sub(self.began_at) >= SLOW_FETCH;
        if is_slow && !self.org_id.is_default() {
            let (org_id, until) = (self.org_id.clone(), now.saturating_add(SLOW_TIME));
            self.slots.used().slow_until.insert(org_id, until);
        }
    }
}

impl Drop for FetchSlot {
    fn drop(&mut self) {
        let mut used = self.slots.used();
        match used.of(&self.org_id).saturating_sub(1) {
            0 => drop(used.running.remove(&self.org_id)),
            left => drop(used.running.insert(self.org_id.clone(), left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many fetches as this organization gets at `now`.
    fn taken(slots: &Arc<FetchSlots>, org: &str, now: i64) -> Vec<FetchSlot> {
        let org_id = OrgId::parse(org).unwrap();
        (0..99).map_while(|_| slots.take(&org_id, now)).collect()
    }

    fn end(fetches: Vec<FetchSlot>, now: i64) {
        for fetch in fetches {
            fetch.end(now);
        }
    }

    #[test]
    fn no_organization_takes_the_fetches_of_others() {
        let slots = Arc::new(FetchSlots::default());
        let mut held = vec![];
        let mut counts = vec![];
        for org in ["a", "b", "c", "d", "e", "f", "default"] {
            let fetches = taken(&slots, org, 0);
            counts.push(fetches.len());
            held.push(fetches);
        }
        assert_eq!(counts, [4, 4, 2, 1, 1, 0, 4]);
        // What one gives back, those get first that have none.
        held.remove(0);
        assert_eq!(taken(&slots, "b", 0).len(), 0);
        assert_eq!(taken(&slots, "f", 0).len(), 2);
        drop(held);
        let own = taken(&slots, "default", 0);
        assert_eq!((own.len(), taken(&slots, "a", 0).len()), (16, 0));
        drop(own);
        assert!(slots.used().running.is_empty());
    }

    #[test]
    fn slow_organizations_leave_half_of_the_fetches_to_the_others() {
        let slots = Arc::new(FetchSlots::default());
        let silent: Vec<String> = (0..20).map(|number| format!("silent-{number}")).collect();
        for org in &silent {
            let fetches = taken(&slots, org, 0);
            assert_eq!(fetches.len(), 4);
            end(fetches, SLOW_FETCH);
        }
        let mut now = SLOW_FETCH;
        for _ in 0..3 {
            let held: Vec<_> = silent.iter().map(|org| taken(&slots, org, now)).collect();
            let counts: Vec<usize> = held.iter().map(Vec::len).collect();
            assert_eq!(counts[..7], [1, 1, 1, 1, 1, 1, 0]);
            assert_eq!(counts.iter().sum::<usize>(), MAX_FETCHES_OF_SLOW);
            let fetches = taken(&slots, "good", now);
            assert_eq!(fetches.len(), 3);
            end(fetches, now + SLOW_FETCH - 1);
            now += 5_000;
            for fetches in held {
                end(fetches, now);
            }
        }
        // Nobody is slow for ever, and `default` never is.
        assert_eq!(taken(&slots, "silent-0", now).len(), 1);
        assert_eq!(taken(&slots, "silent-0", now + SLOW_TIME).len(), 4);
        assert!(slots.used().slow_until.is_empty());
        end(taken(&slots, "default", 0), 5_000);
        assert_eq!(taken(&slots, "default", 5_000).len(), 16);
        let left = slots.used();
        assert!(left.running.is_empty() && left.slow_until.is_empty());
    }
}
