//! A batch in which tokens cost authorization codes: whose code is taken, and who is counted at all.
//!
//! Owns how the spending of codes becomes part of a batch's verdicts, once for both backends. Must
//! not know SQL.

use std::collections::HashSet;
use std::sync::Arc;

use crate::domain::code::CodeRef;
use crate::domain::grant::Grant;
use crate::domain::id::{CodeId, Jti};

use super::{Batch, Verdict};

/// A code and the first token of the batch that costs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Claim {
    pub code: CodeRef,
    pub jti: Jti,
}

/// The claims of a batch, one a code: first come, first served. In the order of the codes, so that
/// every process locks them in one order.
pub(in crate::store) fn claims(batch: &Batch) -> Vec<Claim> {
    let claim = |grant: &Arc<Grant>| grant.code().map(|code| Claim { code, jti: grant.jti() });
    let mut claims: Vec<Claim> = batch.grants.iter().filter_map(claim).collect();
    // The sort is stable, and of equal neighbours the first stays.
    claims.sort_by_key(|claim| claim.code.id);
    claims.dedup_by_key(|claim| claim.code.id);
    claims
}

/// The grants of a batch that may be counted: those without a code, and those whose code was taken
/// for them.
#[derive(Debug)]
pub(in crate::store) struct Entitled {
    /// The batch of these alone.
    pub batch: Batch,
    /// For each grant of the whole batch whether it is among them.
    kept: Vec<bool>,
}

impl Entitled {
    /// Of `batch`, when the codes of the tokens `taken` were taken for them.
    pub fn new(batch: &Batch, taken: &HashSet<Jti>) -> Self {
        let may = |grant: &Arc<Grant>| grant.code().is_none() || taken.contains(&grant.jti());
        let kept: Vec<bool> = batch.grants.iter().map(may).collect();
        let grants = batch.grants.iter().filter(|grant| may(grant)).cloned().collect();
        Self { batch: Batch { id: batch.id, now: batch.now, grants }, kept }
    }

    /// The codes that were taken for tokens which then were not counted: they live on.
    pub fn unspent(&self, verdicts: &[Verdict]) -> Vec<CodeId> {
        let uncounted = |(grant, verdict): (&Arc<Grant>, &Verdict)| match verdict {
            Verdict::Counted(_) => None,
            _ => grant.code().map(|code| code.id),
        };
        self.batch.grants.iter().zip(verdicts).filter_map(uncounted).collect()
    }

    /// One verdict a grant of the whole batch, from those of the grants that were counted.
    pub fn verdicts(&self, counted: Vec<Verdict>) -> Vec<Verdict> {
        let mut counted = counted.into_iter();
        let verdict =
            |kept: &bool| if *kept { counted.next().unwrap_or(Verdict::Stale) } else { Verdict::Spent };
        self.kept.iter().map(verdict).collect()
    }
}
