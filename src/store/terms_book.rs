//! What this process remembers of the terms that have a row of their own.
//!
//! Owns which terms are known, which are used, and which are seen often enough to get a row. Must
//! not know SQL.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;

use crate::domain::grant::Grant;
use crate::domain::id::AgentId;
use crate::domain::time::Timestamp;
use crate::domain::usage::Day;

use super::terms::{CommonTerms, TermsEdition};

/// How many terms without a row are counted at a time. When there are more, counting begins anew.
const MAX_MISSES: usize = 4_096;

/// How often terms must be seen to get a row.
const MIN_SEEN: u32 = 4;

/// The most terms that one step gives a row.
const MAX_NEW: usize = 256;

/// The terms of the grants of a batch.
#[derive(Debug)]
pub(in crate::store) struct BatchTerms {
    /// For each grant in the order of the batch, the row of its terms.
    ids: Vec<Option<i32>>,
    edition: Option<Arc<TermsEdition>>,
}

impl BatchTerms {
    /// The row that holds the terms of the grant at this place.
    pub(super) fn id(&self, place: usize) -> Option<i32> {
        self.ids.get(place).copied().flatten()
    }

    /// The number under which these rows were read, if any row is used. The statement that counts
    /// compares it; if it is not the store's, nothing may be counted.
    pub(super) fn number(&self) -> Option<i64> {
        self.edition.as_ref().map(|edition| edition.number())
    }

    /// Notes that nothing of the batch was counted. Another number in the store may be the reason.
    pub(super) fn doubt(&self) {
        if let Some(edition) = &self.edition {
            edition.set_usable(false);
        }
    }
}

/// What this process knows about the terms with a row. Empty until it was read once.
#[derive(Debug, Default)]
pub(in crate::store) struct TermsBook {
    edition: ArcSwapOption<TermsEdition>,
    misses: Mutex<Misses>,
}

/// Terms without a row.
#[derive(Debug, Default)]
struct Misses {
    seen: HashMap<CommonTerms, u32>,
    /// The agents that have as many rows as they may have.
    full: HashSet<AgentId>,
}

impl TermsBook {
    /// The terms of these grants, which are counted at about this time.
    pub(super) fn terms_of(&self, grants: &[Arc<Grant>], now: Timestamp) -> BatchTerms {
        let edition = self.edition.load_full();
        let usable = edition.filter(|edition| edition.is_usable());
        let Some(edition) = usable else {
            return BatchTerms {
                ids: Vec::new(),
                edition: None,
            };
        };
        let today = Day::of(now).0;
        let mut is_used = false;
        let id = |grant: &Arc<Grant>| {
            let row = edition.use_row(grant, today);
            if row.is_none() {
                self.miss(grant);
            }
            is_used |= row.is_some();
            row
        };
        let ids = grants.iter().map(id).collect();
        BatchTerms {
            ids,
            edition: is_used.then_some(edition),
        }
    }

    fn miss(&self, grant: &Grant) {
        let mut misses = self.misses();
        let is_full = misses.full.contains(grant.agent_id());
        let Some(terms) = CommonTerms::of(grant).filter(|_| !is_full) else {
            return;
        };
        if misses.seen.len() >= MAX_MISSES {
            misses.seen.clear();
        }
        let seen = misses.seen.entry(terms).or_default();
        *seen = seen.saturating_add(1);
    }

    /// Whether the edition at hand has this number. If so, it may be used again.
    pub(super) fn is_current(&self, number: i64) -> bool {
        let edition = self.edition.load();
        let Some(edition) = edition
            .as_ref()
            .filter(|edition| edition.number() == number)
        else {
            return false;
        };
        edition.set_usable(true);
        true
    }

    /// Replaces the edition.
    pub(super) fn publish(&self, edition: TermsEdition) {
        self.edition.store(Some(Arc::new(edition)));
        self.misses().full.clear();
    }

    /// The terms that were seen often. They are counted anew from now on.
    pub(super) fn take_frequent(&self) -> Vec<CommonTerms> {
        let mut misses = self.misses();
        let often = misses.seen.iter().filter(|(_, seen)| **seen >= MIN_SEEN);
        let often: Vec<CommonTerms> = often
            .map(|(terms, _)| terms.clone())
            .take(MAX_NEW)
            .collect();
        for terms in &often {
            misses.seen.remove(terms);
        }
        often
    }

    /// Stops counting the terms of those agents of whom some got no row.
    pub(super) fn skip_full(&self, wanted: &[CommonTerms]) {
        let edition = self.edition.load();
        let Some(edition) = edition.as_ref() else {
            return;
        };
        let mut misses = self.misses();
        if misses.full.len() >= MAX_MISSES {
            misses.full.clear();
        }
        for terms in wanted.iter().filter(|terms| !edition.holds(terms)) {
            misses.full.insert(terms.agent_id.clone());
        }
    }

    /// The rows that were used on a later day than the store knows: id and day.
    pub(super) fn used(&self) -> Vec<(i32, i64)> {
        let edition = self.edition.load();
        edition
            .as_ref()
            .map_or_else(Vec::new, |edition| edition.used())
    }

    /// Notes that the store knows these days of use.
    pub(super) fn note_stored(&self, used: &[(i32, i64)]) {
        if let Some(edition) = self.edition.load().as_ref() {
            edition.note_stored(used);
        }
    }

    fn misses(&self) -> MutexGuard<'_, Misses> {
        self.misses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
