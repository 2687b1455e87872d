//! A batch in which tokens cost authorization codes: which token takes a code, and which grants are
//! counted.
//!
//! Owns how the spending of codes affects a batch's verdicts, for both backends. Must not know SQL.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::domain::act::Act;
use crate::domain::code::CodeRef;
use crate::domain::grant::Grant;
use crate::domain::id::{CodeId, Jti};
use crate::domain::time::{Moment, Timestamp};

use super::token::{Batch, Verdict};
use super::write::{Change, TokenChange, Write};

/// A code, and the first token of the batch that costs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Claim {
    pub code: CodeRef,
    pub jti: Jti,
    /// When that token expires at the latest: its `iat` is not later than the batch's time.
    pub token_expires_at: Timestamp,
}

/// The claims of a batch, one for each code: the first grant gets the code. Sorted by code, so that
/// every process locks the codes in the same order.
pub(in crate::store) fn claims(batch: &Batch) -> Vec<Claim> {
    let claim = |grant: &Arc<Grant>| {
        let token_expires_at = batch.now.second().saturating_add(grant.ttl());
        grant.code().map(|code| Claim {
            code,
            jti: grant.jti(),
            token_expires_at,
        })
    };
    let mut claims: Vec<Claim> = batch.grants.iter().filter_map(claim).collect();
    // The sort is stable, and of equal neighbours `dedup` keeps the first.
    claims.sort_by_key(|claim| claim.code.id);
    claims.dedup_by_key(|claim| claim.code.id);
    claims
}

/// The grants of a batch whose code went to another token: each of them presents a code for the
/// second time.
pub(in crate::store) fn repeated<'a>(
    batch: &'a Batch,
    taken: &HashSet<Jti>,
) -> Vec<(&'a Grant, CodeId)> {
    let lost = |grant: &'a Arc<Grant>| {
        let code = grant.code().filter(|_| !taken.contains(&grant.jti()))?;
        Some((&**grant, code.id))
    };
    batch.grants.iter().filter_map(lost).collect()
}

/// A token whose code was presented again: its id, when it expires, and the first of the
/// [`repeated`] grants that presented the code, counted from 0.
pub(in crate::store) type FirstToken = (uuid::Uuid, i64, i64);

/// RFC 6749 §4.1.2: the revocation of a token whose code was presented again. It is an act of the
/// agent that presented the code, which is the agent of the token: a code is made for one agent.
/// `None` if the number of the grant is not one of the batch's.
pub(in crate::store) fn revocation(
    at: Moment,
    (jti, expires_at, presented_by): FirstToken,
    repeated: &[(&Grant, CodeId)],
) -> Option<Write> {
    let (grant, _) = repeated.get(usize::try_from(presented_by).ok()?)?;
    let change = Change::Token(TokenChange::Revoke {
        jti: Jti(jti),
        agent_id: Some(grant.agent_id().clone()),
        expires_at: Timestamp(expires_at),
    });
    let act = Act {
        source: grant.source(),
        request_id: grant.request(),
        credential: grant.credential(),
        ..Act::agent(grant.agent_id().clone(), at)
    };
    Some(Write::new(act, change))
}

/// The grants of a batch that may be counted: grants without a code, and grants whose code was
/// taken for them.
#[derive(Debug)]
pub(in crate::store) struct Entitled<'a> {
    whole: &'a Batch,
    /// The batch of only these grants.
    pub batch: Batch,
    /// For each grant of the whole batch, whether it may be counted.
    kept: Vec<bool>,
}

impl<'a> Entitled<'a> {
    /// The entitled part of `whole`, if the tokens in `taken` got their codes.
    pub(super) fn new(whole: &'a Batch, taken: &HashSet<Jti>) -> Self {
        let may = |grant: &Arc<Grant>| grant.code().is_none() || taken.contains(&grant.jti());
        let kept: Vec<bool> = whole.grants.iter().map(may).collect();
        let grants = whole
            .grants
            .iter()
            .filter(|grant| may(grant))
            .cloned()
            .collect();
        Self {
            whole,
            batch: Batch {
                id: whole.id,
                now: whole.now,
                keys_version: whole.keys_version,
                grants,
            },
            kept,
        }
    }

    /// The codes that were taken for tokens which then were not counted. These codes stay unspent.
    pub(super) fn unspent(&self, verdicts: &[Verdict]) -> HashMap<CodeId, Verdict> {
        let uncounted = |(grant, verdict): (&Arc<Grant>, &Verdict)| match verdict {
            Verdict::Counted(_) => None,
            other => Some((grant.code()?.id, other.clone())),
        };
        self.batch
            .grants
            .iter()
            .zip(verdicts)
            .filter_map(uncounted)
            .collect()
    }

    /// One verdict for each grant of the whole batch, from the verdicts of the grants that may be
    /// counted. If a code stays unspent, the second grant for it gets the same verdict as the
    /// first, because both are of one agent.
    pub(super) fn verdicts(&self, counted: Vec<Verdict>) -> Vec<Verdict> {
        let unspent = self.unspent(&counted);
        let mut counted = counted.into_iter();
        let verdict = |(grant, kept): (&Arc<Grant>, &bool)| match grant.code() {
            _ if *kept => counted.next().unwrap_or(Verdict::Stale),
            Some(code) => unspent.get(&code.id).cloned().unwrap_or(Verdict::Spent),
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
