//! How many key sets are fetched at once: in all, and for the partners of each organization, so that the
//! slow servers of one organization leave fetches to the others, and those of all organizations some to
//! `default`.
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

/// The fetches that run, by organization.
#[derive(Debug, Default)]
pub(super) struct FetchSlots(Mutex<HashMap<OrgId, usize>>);

/// The right to one fetch, until it is dropped.
#[derive(Debug)]
pub(super) struct FetchSlot {
    slots: Arc<FetchSlots>,
    org_id: OrgId,
}

impl FetchSlots {
    /// A fetch for a partner of this organization; `None` if too many run.
    pub(super) fn take(self: &Arc<Self>, org_id: &OrgId) -> Option<FetchSlot> {
        let mut running = self.running();
        let of_this = running.get(org_id).copied().unwrap_or_default();
        let all: usize = running.values().sum();
        let of_default = running.get(&OrgId::default()).copied().unwrap_or_default();
        let is_full = if org_id.is_default() {
            all >= MAX_FETCHES
        } else {
            of_this >= MAX_FETCHES_PER_ORG
                || all.saturating_sub(of_default) >= MAX_FETCHES_OF_OTHERS
                || all >= MAX_FETCHES
        };
        if is_full {
            return None;
        }
        running.insert(org_id.clone(), of_this.saturating_add(1));
        Some(FetchSlot {
            slots: Arc::clone(self),
            org_id: org_id.clone(),
        })
    }

    fn running(&self) -> MutexGuard<'_, HashMap<OrgId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FetchSlot {
    fn drop(&mut self) {
        let mut running = self.slots.running();
        let left = running.get(&self.org_id).copied().unwrap_or_default();
        match left.saturating_sub(1) {
            0 => drop(running.remove(&self.org_id)),
            left => drop(running.insert(self.org_id.clone(), left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(slots: &Arc<FetchSlots>, org: &str, most: usize) -> Vec<FetchSlot> {
        let org_id = OrgId::parse(org).unwrap();
        (0..most).map_while(|_| slots.take(&org_id)).collect()
    }

    #[test]
    fn no_organization_takes_the_fetches_of_others() {
        let slots = Arc::new(FetchSlots::default());
        let a = taken(&slots, "a", 99);
        let b = taken(&slots, "b", 99);
        let c = taken(&slots, "c", 99);
        assert_eq!((a.len(), b.len(), c.len()), (4, 4, 4));
        assert_eq!(taken(&slots, "d", 99).len(), 0);
        let own = taken(&slots, "default", 99);
        assert_eq!(own.len(), 4);
        drop((a, own));
        assert_eq!(taken(&slots, "d", 99).len(), 4);
        let own = taken(&slots, "default", 99);
        assert_eq!(own.len(), 8);
        drop((b, c, own));
        let own = taken(&slots, "default", 99);
        assert_eq!((own.len(), taken(&slots, "a", 99).len()), (16, 0));
        drop(own);
        assert!(slots.running().is_empty());
    }
}
