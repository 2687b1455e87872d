//! Folding a batch: the tokens of one agent that were decided on the same rows become one slot,
//! which a store counts at once.
//!
//! Owns the order in which slots are counted and how counts become verdicts, for both backends.
//! Must not know SQL.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use crate::domain::agent::Epoch;
use crate::domain::grant::Grant;
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::quota::Limit;
use crate::domain::time::Timestamp;

use super::token::{Batch, Receipt, Verdict};

/// The tokens of one agent that were decided on the same versions.
#[derive(Debug)]
pub(in crate::store) struct Slot<'a> {
    /// The agent that the tokens are for.
    pub agent_id: &'a AgentId,
    /// The agent's version on which the decisions rest.
    pub agent_version: i64,
    /// The catalogue's version on which the decisions rest.
    pub catalogue_version: i64,
    /// The credentials with which the agent authenticated for these tokens. All must be
    /// valid; otherwise none of the tokens is counted.
    pub credentials: Vec<CredentialId>,
    /// How many tokens.
    pub asked: i64,
    /// The month's counter must not exceed this number, which is never negative. If the grants of a
    /// slot carry different limits, the lowest limit holds for all, so that no limit is ever
    /// exceeded.
    pub ceiling: i64,
    /// The place of the slot's first token among the folded tokens. It names the slot in SQL.
    pub first: i64,
}

impl Slot<'_> {
    /// How many credentials must be valid.
    pub(super) fn proofs(&self) -> i64 {
        i64::try_from(self.credentials.len()).unwrap_or(i64::MAX)
    }
}

/// What a store counted for one slot.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Counted {
    /// The slot, by its [`Slot::first`].
    pub slot: i64,
    /// How many of its tokens were counted.
    pub granted: i64,
    /// The agent's epoch as the counting statement saw it.
    pub epoch: Epoch,
    /// The `iat` of all tokens of the batch.
    pub iat: Timestamp,
    /// The month's counter after these tokens.
    pub used: i64,
}

/// A batch in the order in which it is counted.
#[derive(Debug)]
pub(in crate::store) struct Folded<'a> {
    grants: &'a [Arc<Grant>],
    /// Sorted by agent id, so that every process locks the counters in the same order.
    pub slots: Vec<Slot<'a>>,
    /// The place in the batch of each folded token; within a slot, in the batch's order.
    places: Vec<usize>,
}

impl<'a> Folded<'a> {
    /// Folds the grants of a batch.
    pub(super) fn new(grants: &'a [Arc<Grant>]) -> Self {
        let decided_on = |g: &'a Grant| (g.agent_id(), g.agent_version(), g.catalogue_version());
        let mut tokens: Vec<(usize, &'a Grant)> =
            grants.iter().map(AsRef::as_ref).enumerate().collect();
        // The sort is stable: the token that came first is counted first.
        tokens.sort_by_key(|(_, grant)| decided_on(grant));
        let mut slots: Vec<Slot<'a>> = Vec::new();
        for (first, (_, grant)) in (0i64..).zip(&tokens) {
            let (agent_id, agent_version, catalogue_version) = decided_on(grant);
            let ceiling = ceiling(grant.limit());
            match slots.last_mut() {
                Some(slot)
                    if (slot.agent_id, slot.agent_version, slot.catalogue_version)
                        == decided_on(grant) =>
                {
                    slot.asked += 1;
                    slot.ceiling = slot.ceiling.min(ceiling);
                    if let Some(credential) =
                        grant.credential().filter(|c| !slot.credentials.contains(c))
                    {
                        slot.credentials.push(credential);
                    }
                }
                _ => {
                    let credentials = grant.credential().into_iter().collect();
                    slots.push(Slot {
                        agent_id,
                        agent_version,
                        catalogue_version,
                        credentials,
                        asked: 1,
                        ceiling,
                        first,
                    });
                }
            }
        }
        Self {
            grants,
            slots,
            places: tokens.iter().map(|(place, _)| *place).collect(),
        }
    }

    /// The grants in folded order, each with its place in the batch: the grants of a slot are
    /// consecutive, from its [`Slot::first`] on.
    pub(super) fn tokens(&self) -> impl Iterator<Item = (usize, &'a Grant)> + '_ {
        self.places
            .iter()
            .filter_map(|place| Some((*place, self.grants.get(*place)?.as_ref())))
    }

    /// The grants that were counted, each with its place and its count.
    pub(super) fn granted<'s>(
        &'s self,
        counted: &'s [Counted],
    ) -> impl Iterator<Item = (usize, &'a Grant, Counted)> + 's {
        counted.iter().flat_map(|row| {
            self.granted_of(row)
                .map(|(place, grant)| (place, grant, *row))
        })
    }

    /// The grants of one slot that were counted, each with its place.
    fn granted_of(&self, row: &Counted) -> impl Iterator<Item = (usize, &'a Grant)> + '_ {
        range(row.slot, row.granted)
            .filter_map(|i| self.places.get(i))
            .filter_map(|place| Some((*place, self.grants.get(*place)?.as_ref())))
    }

    /// One verdict for each grant, in the batch's order. A slot without a count is stale.
    pub(super) fn verdicts(&self, counted: &[Counted]) -> Vec<Verdict> {
        let mut verdicts = vec![Verdict::Stale; self.grants.len()];
        let mut put = |place: usize, verdict| {
            if let Some(slot) = verdicts.get_mut(place) {
                *slot = verdict;
            }
        };
        for row in counted {
            let slot = self
                .slots
                .binary_search_by_key(&row.slot, |slot| slot.first)
                .ok();
            let asked = slot
                .and_then(|i| self.slots.get(i))
                .map_or(0, |slot| slot.asked);
            for place in range(row.slot, asked).filter_map(|i| self.places.get(i)) {
                put(*place, Verdict::QuotaReached);
            }
        }
        for row in counted {
            // The counter after the first token of the slot, the second, and so on.
            let before = row.used.saturating_sub(row.granted);
            for (number, (place, grant)) in (1_i64..).zip(self.granted_of(row)) {
                let used = before.saturating_add(number);
                let receipt = Receipt::new(grant.jti(), row.epoch, row.iat, Some(used));
                put(place, Verdict::Counted(receipt));
            }
        }
        verdicts
    }
}

/// The verdicts of a batch that was committed before, from the events of its tokens as (jti, epoch,
/// iat). A token without an event was not counted, for whatever reason, so it is decided again.
/// Others may have been counted since, so these receipts do not tell the counter.
pub(in crate::store) fn recalled(
    grants: &[Arc<Grant>],
    events: &[(Uuid, i64, i64)],
) -> Vec<Verdict> {
    let found: HashMap<Uuid, (i64, i64)> = events
        .iter()
        .map(|(jti, epoch, at)| (*jti, (*epoch, *at)))
        .collect();
    let verdict = |grant: &Arc<Grant>| match found.get(&grant.jti().0) {
        Some((epoch, at)) => {
            let (epoch, iat) = (Epoch(*epoch), Timestamp(*at));
            Verdict::Counted(Receipt::new(grant.jti(), epoch, iat, None))
        }
        None => Verdict::Stale,
    };
    grants.iter().map(verdict).collect()
}

/// A batch without the grants whose counters another transaction holds.
#[derive(Debug)]
pub(in crate::store) struct Part<'a> {
    whole: &'a Batch,
    /// The batch of the remaining grants.
    pub batch: Batch,
    out: &'a HashSet<AgentId>,
}

impl<'a> Part<'a> {
    /// The part of `whole` without the tokens of the agents in `out`.
    pub(super) fn without(whole: &'a Batch, out: &'a HashSet<AgentId>) -> Self {
        let is_in = |grant: &&Arc<Grant>| !out.contains(grant.agent_id());
        let grants = whole.grants.iter().filter(is_in).cloned().collect();
        Self {
            whole,
            batch: Batch {
                id: whole.id,
                now: whole.now,
                keys_version: whole.keys_version,
                grants,
            },
            out,
        }
    }

    /// One verdict for each grant of the whole batch, from the verdicts of the remaining grants.
    pub(super) fn verdicts(&self, counted: Vec<Verdict>) -> Vec<Verdict> {
        let mut counted = counted.into_iter();
        let verdict = |grant: &Arc<Grant>| {
            if self.out.contains(grant.agent_id()) {
                Verdict::Locked
            } else {
                counted.next().unwrap_or(Verdict::Stale)
            }
        };
        self.whole.grants.iter().map(verdict).collect()
    }
}

/// `None` means no limit; a negative limit allows nothing.
fn ceiling(limit: Limit) -> i64 {
    limit.map_or(i64::MAX, |n| n.max(0))
}

/// `count` places from `first` on; empty if either number is not a valid place.
fn range(first: i64, count: i64) -> std::ops::Range<usize> {
    match (usize::try_from(first), usize::try_from(count)) {
        (Ok(first), Ok(count)) => first..first.saturating_add(count),
        _ => 0..0,
    }
}
