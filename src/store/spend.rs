//! A batch in which tokens cost client assertions.
//!
//! Owns which grant of a batch gets an assertion that several of them present, for both backends.
//! Must not know SQL.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::domain::assertion::AssertionHash;
use crate::domain::grant::Grant;

use super::token::{Batch, Verdict};

/// Whether a token of the batch costs an assertion.
pub(in crate::store) fn spends(batch: &Batch) -> bool {
    batch.grants.iter().any(|grant| grant.assertion().is_some())
}

/// The grants of a batch that may be counted: of those that present the same assertion, one.
#[derive(Debug)]
pub(in crate::store) struct Firsts<'a> {
    whole: &'a Batch,
    /// The batch of only these grants.
    pub batch: Batch,
    /// For each grant of the whole batch, whether it is one of them.
    kept: Vec<bool>,
}

impl<'a> Firsts<'a> {
    /// The grants of `whole` that present an assertion first. Those in `spent` come too late.
    pub(super) fn of(whole: &'a Batch, spent: &HashSet<AssertionHash>) -> Self {
        let mut seen = spent.clone();
        let is_first = |grant: &Arc<Grant>| match grant.assertion() {
            Some(assertion) => seen.insert(assertion.hash),
            None => true,
        };
        let kept: Vec<bool> = whole.grants.iter().map(is_first).collect();
        let grants = whole.grants.iter().zip(&kept);
        let grants = grants.filter(|(_, kept)| **kept).map(|(grant, _)| grant);
        Self {
            batch: Batch {
                id: whole.id,
                now: whole.now,
                keys_version: whole.keys_version,
                grants: grants.cloned().collect(),
            },
            whole,
            kept,
        }
    }

    /// One verdict for each grant of the whole batch. What refused the first grant for an assertion
    /// refuses the others, which are for the same agent.
    pub(super) fn verdicts(&self, counted: Vec<Verdict>) -> Vec<Verdict> {
        let firsts: HashMap<AssertionHash, Verdict> = self
            .batch
            .grants
            .iter()
            .zip(&counted)
            .filter_map(|(grant, verdict)| Some((grant.assertion()?.hash, verdict.clone())))
            .collect();
        let mut counted = counted.into_iter();
        let verdict = |(grant, kept): (&Arc<Grant>, &bool)| match grant.assertion() {
            _ if *kept => counted.next().unwrap_or(Verdict::Stale),
            Some(assertion) => match firsts.get(&assertion.hash) {
                // The first grant was counted, or the assertion was spent before this batch.
                Some(Verdict::Counted(_) | Verdict::Spent) | None => Verdict::Spent,
                Some(refused) => refused.clone(),
            },
            None => Verdict::Stale,
        };
        self.whole
            .grants
            .iter()
            .zip(&self.kept)
            .map(verdict)
            .collect()
    }
}

/// The assertions of a batch.
pub(in crate::store) fn assertions(batch: &Batch) -> Vec<AssertionHash> {
    let hash = |grant: &Arc<Grant>| Some(grant.assertion()?.hash);
    batch.grants.iter().filter_map(hash).collect()
}

/// The verdicts of a batch after the assertions in `spent` turned out to be spent: a grant that was
/// not counted is not decided again if its own assertion is among them.
pub(in crate::store) fn with_spent(
    batch: &Batch,
    verdicts: Vec<Verdict>,
    spent: &HashSet<AssertionHash>,
) -> Vec<Verdict> {
    let is_spent = |grant: &Arc<Grant>| {
        grant
            .assertion()
            .is_some_and(|one| spent.contains(&one.hash))
    };
    let grants = batch.grants.iter().zip(verdicts);
    let verdict = |(grant, verdict)| match verdict {
        Verdict::Stale if is_spent(grant) => Verdict::Spent,
        verdict => verdict,
    };
    grants.map(verdict).collect()
}
