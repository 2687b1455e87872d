//! The lanes of the wrapper. Each takes the waiting requests, sends them to the store together and
//! gives each caller its answers.
//!
//! Owns what is sent together. Must not know SQL, or how a caller waits.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::retry::{retry, too_late};
use crate::store::token::{Batch, MAX_BATCH, Standing, TokenRef, Verdict};
use crate::store::write::{Outcome, Write};
use crate::telemetry::metrics;

use super::parked::{Unit, deal_counted};
use super::waiting::{Waiting, answer_all, deal, last_deadline, merge, next};

/// How many times the tasks that are ready run between two batches. In the first turn, answered
/// requests sign their tokens. In the second, the next requests of their clients are read. In the
/// third, requests that came meanwhile join them. With fewer turns, the clients of a busy server
/// fall into two halves, and each batch holds one of them.
const TURNS: usize = 3;

pub(super) async fn run_issues(
    store: Arc<dyn Store>,
    mut queue: mpsc::Receiver<Waiting<Batch, Vec<Verdict>>>,
    parked: mpsc::Sender<Unit>,
) {
    let mut waiting = Vec::with_capacity(MAX_BATCH);
    while next(&mut queue, &mut waiting).await {
        let Some(batch) = merge(&waiting) else {
            continue;
        };
        let mut sendings = 0u32;
        let all = std::mem::replace(&mut waiting, Vec::with_capacity(MAX_BATCH));
        let began = Instant::now();
        let sent = send(&*store, &batch, last_deadline(&all), &mut sendings).await;
        // A batch that failed counted no token, and its time is that of its timeout.
        if sent.is_ok() && !batch.grants.is_empty() {
            metrics::batch(batch.grants.len(), began.elapsed());
        }
        let units = match sent {
            Ok(verdicts) => Unit::apart(deal_counted(all, verdicts)),
            Err(error) if error.is_locked() && sendings == 1 => Unit::apart(all),
            // It is unknown whether an earlier sending was counted, so the batch keeps its id.
            Err(error) if error.is_locked() => vec![Unit::whole(batch, all)],
            Err(error) => {
                answer_all(all, &error);
                vec![]
            }
        };
        for unit in units {
            if let Err(refused) = parked.try_send(unit) {
                refused.into_inner().refuse(&StoreError::Busy);
            }
        }
        // Let other ready tasks run first. So a busy server counts more tokens in a batch, and an idle
        // server does not wait.
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
    }
}

pub(super) async fn run_standings(
    store: Arc<dyn Store>,
    mut queue: mpsc::Receiver<Waiting<Vec<TokenRef>, Vec<Standing>>>,
) {
    let mut waiting = Vec::with_capacity(MAX_BATCH);
    while next(&mut queue, &mut waiting).await {
        let tokens: Vec<TokenRef> = waiting.iter().flat_map(|w| w.ask.iter().cloned()).collect();
        if tokens.is_empty() {
            continue;
        }
        let deadline = last_deadline(&waiting);
        let result = retry(deadline, || store.standing(&tokens)).await;
        deal(&mut waiting, Vec::len, result);
    }
}

/// Revoking a token twice has the same effect as once. So revocations that fail together are sent
/// again one by one.
pub(super) async fn run_revocations(
    store: Arc<dyn Store>,
    mut queue: mpsc::Receiver<Waiting<Vec<Write>, Vec<Outcome>>>,
) {
    let mut waiting = Vec::with_capacity(MAX_BATCH);
    while next(&mut queue, &mut waiting).await {
        let writes: Vec<Write> = waiting
            .iter()
            .flat_map(|one| one.ask.iter().cloned())
            .collect();
        if writes.is_empty() {
            continue;
        }
        match timeout_at(last_deadline(&waiting), store.commit(writes)).await {
            Ok(Err(StoreError::Unavailable(_))) => {
                for one in waiting.drain(..) {
                    let store = Arc::clone(&store);
                    tokio::spawn(async move {
                        let result = retry(one.deadline, || store.commit(one.ask.clone())).await;
                        let _ = one.answer.send(result);
                    });
                }
            }
            Ok(result) => deal(&mut waiting, Vec::len, result),
            Err(_) => answer_all(waiting.drain(..), &too_late(None)),
        }
    }
}

/// Sends a batch until it is answered. After a lost connection, it is unknown whether the batch was
/// counted. So the batch is sent again under the same id, and the store says what the first sending
/// counted.
async fn send(
    store: &dyn Store,
    batch: &Batch,
    deadline: Instant,
    sendings: &mut u32,
) -> Result<Vec<Verdict>, StoreError> {
    let sent = || {
        *sendings = sendings.saturating_add(1);
        store.issue(batch)
    };
    let verdicts = retry(deadline, sent).await?;
    if verdicts.len() == batch.grants.len() {
        Ok(verdicts)
    } else {
        Err(StoreError::Fault(Arc::new(WrongCount)))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the store gave another number of verdicts than it was asked for")]
struct WrongCount;
