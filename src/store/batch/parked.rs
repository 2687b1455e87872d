//! Tokens that cannot be counted at the moment, because another transaction holds their agent's
//! counter or their code. They wait here, so that no other token waits with them.
//!
//! Owns when they are tried again. Must not know SQL. A unit is sent under one id and never
//! changed, so that it counts once, whatever happens to a sending.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};
use uuid::Uuid;

use crate::domain::id::{AgentId, BatchId, CodeId};
use crate::store::Store;
use crate::store::error::{LockedElsewhere, StoreError};
use crate::store::retry::too_late;
use crate::store::token::{Batch, Verdict};

use super::waiting::{Waiting, answer_all, last_deadline, merge};

/// The first pause before a unit is tried again; it doubles with each try.
const PAUSE: Duration = Duration::from_millis(50);

type Token = Waiting<Batch, Vec<Verdict>>;

/// Tokens that are tried together.
pub(super) struct Unit {
    batch: Batch,
    waiting: Vec<Token>,
    due: Instant,
    pause: Duration,
}

impl Unit {
    /// A whole batch that may have been sent before, under its own id.
    pub(super) fn whole(batch: Batch, waiting: Vec<Token>) -> Self {
        Self {
            batch,
            waiting,
            due: Instant::now() + PAUSE,
            pause: PAUSE,
        }
    }

    /// Splits tokens that are known to be uncounted: tokens of one agent, or of one code, wait
    /// together.
    pub(super) fn apart(waiting: Vec<Token>) -> Vec<Self> {
        let mut groups: HashMap<(AgentId, Option<CodeId>), Vec<Token>> = HashMap::new();
        for one in waiting {
            let Some(grant) = one.ask.grants.first() else {
                // An empty request asks for no lock. The readiness check sends such a request.
                let _ = one.answer.send(Ok(Vec::new()));
                continue;
            };
            let key = (grant.agent_id().clone(), grant.code().map(|code| code.id));
            groups.entry(key).or_default().push(one);
        }
        let unit = |waiting: Vec<Token>| {
            let mut batch = merge(&waiting)?;
            // The first request's id may have been sent with other tokens. No request draws this
            // id.
            batch.id = BatchId(Uuid::from_u128(batch.id.0.as_u128() ^ 1));
            Some(Self::whole(batch, waiting))
        };
        groups.into_values().filter_map(unit).collect()
    }

    /// Answers all waiting callers with the error.
    pub(super) fn refuse(self, error: &StoreError) {
        answer_all(self.waiting, error);
    }

    /// Tries once more. Returns the units that are left.
    async fn try_again(mut self, store: &dyn Store) -> Vec<Self> {
        let deadline = last_deadline(&self.waiting);
        let is_late =
            deadline <= Instant::now() || self.waiting.iter().all(|one| one.answer.is_closed());
        if is_late {
            self.refuse(&too_late(Some(Arc::new(LockedElsewhere))));
            return vec![];
        }
        match timeout_at(deadline, store.issue(&self.batch)).await {
            Ok(Ok(verdicts)) => Self::apart(deal_counted(self.waiting, verdicts)),
            Ok(Err(StoreError::Unavailable(_))) => {
                self.due = Instant::now() + self.pause;
                self.pause *= 2;
                vec![self]
            }
            Ok(Err(error)) => {
                self.refuse(&error);
                vec![]
            }
            Err(_) => {
                self.refuse(&too_late(None));
                vec![]
            }
        }
    }
}

/// Gives each caller its share of the verdicts. Returns the requests that still have to wait.
pub(super) fn deal_counted(waiting: Vec<Token>, verdicts: Vec<Verdict>) -> Vec<Token> {
    let mut verdicts = verdicts.into_iter();
    let mut held_up = Vec::new();
    for one in waiting {
        let share: Vec<Verdict> = verdicts.by_ref().take(one.ask.grants.len()).collect();
        if !share.is_empty()
            && share
                .iter()
                .all(|verdict| matches!(verdict, Verdict::Locked))
        {
            held_up.push(one);
        } else {
            // If the caller has gone, the token stays counted, but no client receives it.
            let _ = one.answer.send(Ok(share));
        }
    }
    held_up
}

/// Tries parked units until they are counted or too late. Ends when the lanes that park units end.
pub(super) async fn run_parked(store: Arc<dyn Store>, mut queue: mpsc::Receiver<Unit>) {
    let mut parked: Vec<Unit> = Vec::new();
    loop {
        let due = parked.iter().map(|unit| unit.due).min();
        tokio::select! {
            unit = queue.recv() => match unit {
                Some(unit) => parked.push(unit),
                None => return,
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
        }
        let now = Instant::now();
        let (due, later): (Vec<Unit>, Vec<Unit>) =
            parked.into_iter().partition(|unit| unit.due <= now);
        parked = later;
        for unit in due {
            parked.extend(unit.try_again(&*store).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::domain::time::Moment;

    #[tokio::test]
    async fn who_asks_for_nothing_is_answered_although_all_beside_it_is_locked() {
        let (answer, answered) = oneshot::channel();
        let ask = Batch {
            id: BatchId(Uuid::nil()),
            now: Moment(0),
            keys_version: 0,
            grants: vec![],
        };
        assert!(
            Unit::apart(vec![Waiting {
                ask,
                deadline: Instant::now(),
                answer
            }])
            .is_empty()
        );
        assert!(answered.await.unwrap().unwrap().is_empty());
    }
}
