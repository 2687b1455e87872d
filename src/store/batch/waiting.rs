//! An entry of a queue: one request, and where its answer goes.
//!
//! Owns which caller gets which answer. Must not know how a request is sent.

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::store::error::StoreError;
use crate::store::token::{Batch, MAX_BATCH, Verdict};

/// One waiting request, and where its answer goes.
pub(super) struct Waiting<Ask, Answer> {
    pub ask: Ask,
    pub deadline: Instant,
    pub answer: oneshot::Sender<Result<Answer, StoreError>>,
}

/// Takes the waiting requests, and drops those whose caller no longer waits. Returns `false` when
/// the wrapper is gone.
pub(super) async fn next<Ask, Answer>(
    queue: &mut mpsc::Receiver<Waiting<Ask, Answer>>,
    waiting: &mut Vec<Waiting<Ask, Answer>>,
) -> bool {
    waiting.clear();
    if queue.recv_many(waiting, MAX_BATCH).await == 0 {
        return false;
    }
    let now = Instant::now();
    waiting.retain(|w| w.deadline > now && !w.answer.is_closed());
    true
}

/// Gives each caller as many of the answers as it asked for.
pub(super) fn deal<Ask, Answer>(
    waiting: &mut Vec<Waiting<Ask, Vec<Answer>>>,
    count: impl Fn(&Ask) -> usize,
    result: Result<Vec<Answer>, StoreError>,
) {
    match result {
        Ok(answers) => {
            let mut answers = answers.into_iter();
            for one in waiting.drain(..) {
                let share: Vec<Answer> = answers.by_ref().take(count(&one.ask)).collect();
                // If the caller has gone, what was counted stays counted, but no client receives
                // it.
                let _ = one.answer.send(Ok(share));
            }
        }
        Err(error) => answer_all(waiting.drain(..), &error),
    }
}

pub(super) fn answer_all<Ask, Answer>(
    waiting: impl IntoIterator<Item = Waiting<Ask, Answer>>,
    error: &StoreError,
) {
    for one in waiting {
        let _ = one.answer.send(Err(error.clone()));
    }
}

pub(super) fn last_deadline<Ask, Answer>(waiting: &[Waiting<Ask, Answer>]) -> Instant {
    waiting
        .iter()
        .map(|w| w.deadline)
        .max()
        .unwrap_or_else(Instant::now)
}

/// All waiting requests as one batch, with the first request's id and the latest clock with which no
/// token outlives its agent. Its version of the keys is the latest one: a process signs with the
/// keys that it knows when it signs, and these are never older.
pub(super) fn merge(waiting: &[Waiting<Batch, Vec<Verdict>>]) -> Option<Batch> {
    let first = waiting.first()?;
    let grants: Vec<_> = waiting
        .iter()
        .flat_map(|w| w.ask.grants.iter().cloned())
        .collect();
    let now = waiting.iter().map(|w| w.ask.now).max()?;
    let latest = grants.iter().filter_map(|grant| grant.latest_iat()).min();
    let now = latest.map_or(now, |latest| now.min(latest.into()));
    let keys_version = waiting.iter().map(|w| w.ask.keys_version).max()?;
    Some(Batch {
        id: first.ask.id,
        now,
        keys_version,
        grants,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::grant::Basis;
    use crate::domain::time::{Moment, Timestamp};
    use crate::store::scripted::samples::{batch, batch_of, record};

    #[test]
    fn no_token_of_a_merged_batch_outlives_its_agent() {
        let waiting = |ask| Waiting {
            ask,
            answer: oneshot::channel().0,
            deadline: Instant::now(),
        };
        let at = |second: i64| Batch {
            now: Moment(second * 1_000 + 999),
            ..batch(1)
        };
        let until = |end: i64| {
            let (mut agent, now) = (record("a", 1).agent, Timestamp(100));
            agent.profile.expires_at = Some(Timestamp(end));
            Batch {
                now: now.into(),
                ..batch_of(2, &agent, &Basis::Own, now)
            }
        };
        for (asks, iat) in [
            (vec![at(100), at(101)], 101),
            (vec![at(100), until(150), at(102)], 100),
            // This agent lives longer than its token, whose lifetime is 600 s.
            (vec![until(703), at(102)], 102),
            (vec![until(703), at(105)], 103),
        ] {
            let asks: Vec<_> = asks.into_iter().map(waiting).collect();
            let merged = merge(&asks).unwrap();
            assert_eq!(merged.now.second(), Timestamp(iat));
            for grant in &merged.grants {
                let exp = merged.now.second().saturating_add(grant.ttl());
                assert!(
                    grant
                        .latest_iat()
                        .is_none_or(|latest| exp.0 - grant.ttl() <= latest.0)
                );
            }
        }
    }
}
