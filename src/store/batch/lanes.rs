//! The lanes of the wrapper: each takes what waits, sends it to the store at once and deals the answers out.
//!
//! Owns what goes out together and who gets which answer. Must not know SQL, or how a caller waits.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::telemetry::metrics;

use super::super::{Batch, Outcome, Standing, Store, StoreError, TokenRef, Verdict, Write};
use super::MOST;
use super::parked::{Unit, deal_counted};
use super::resend::{retry, too_late};

/// One request that waits, and where its answer goes.
pub(super) struct Waiting<Ask, Answer> {
    pub ask: Ask,
    pub deadline: Instant,
    pub answer: oneshot::Sender<Result<Answer, StoreError>>,
}

/// Takes what waits, drops what nobody waits for any more, and gives up when the wrapper is gone.
async fn next<Ask, Answer>(
    queue: &mut mpsc::Receiver<Waiting<Ask, Answer>>,
    waiting: &mut Vec<Waiting<Ask, Answer>>,
) -> bool {
    waiting.clear();
    if queue.recv_many(waiting, MOST).await == 0 {
        return false;
    }
    let now = Instant::now();
    waiting.retain(|w| w.deadline > now && !w.answer.is_closed());
    true
}

/// Deals `answers` out to those who asked, each as many as it asked for.
fn deal<Ask, Answer>(
    waiting: &mut Vec<Waiting<Ask, Vec<Answer>>>,
    count: impl Fn(&Ask) -> usize,
    result: Result<Vec<Answer>, StoreError>,
) {
    match result {
        Ok(answers) => {
            let mut answers = answers.into_iter();
            for one in waiting.drain(..) {
                let share: Vec<Answer> = answers.by_ref().take(count(&one.ask)).collect();
                // Nobody waits any more: what was counted stays counted and goes to nobody.
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

pub(super) async fn run_issues(
    store: Arc<dyn Store>,
    mut queue: mpsc::Receiver<Waiting<Batch, Vec<Verdict>>>,
    parked: mpsc::Sender<Unit>,
) {
    let mut waiting = Vec::with_capacity(MOST);
    while next(&mut queue, &mut waiting).await {
        let Some(batch) = merge(&waiting) else { continue };
        if !batch.grants.is_empty() {
            metrics::batch_size(batch.grants.len());
        }
        let mut sendings = 0u32;
        let all = std::mem::replace(&mut waiting, Vec::with_capacity(MOST));
        let units = match send(&*store, &batch, last_deadline(&all), &mut sendings).await {
            Ok(verdicts) => Unit::apart(deal_counted(all, verdicts)),
            Err(error) if error.is_locked() && sendings == 1 => Unit::apart(all),
            // What became of an earlier sending is not known.
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
        // Whatever is ready to run goes first: those who were just answered sign, and requests that
        // have arrived get in line. A busy server counts more tokens a batch, an idle one waits for
        // nobody.
        tokio::task::yield_now().await;
    }
}

pub(super) async fn run_standings(
    store: Arc<dyn Store>,
    mut queue: mpsc::Receiver<Waiting<Vec<TokenRef>, Vec<Standing>>>,
) {
    let mut waiting = Vec::with_capacity(MOST);
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

/// Revocations are the same when done twice, so those that fail together are sent again one by one.
pub(super) async fn run_revocations(
    store: Arc<dyn Store>,
    mut queue: mpsc::Receiver<Waiting<Vec<Write>, Vec<Outcome>>>,
) {
    let mut waiting = Vec::with_capacity(MOST);
    while next(&mut queue, &mut waiting).await {
        let writes: Vec<Write> = waiting.iter().flat_map(|one| one.ask.iter().cloned()).collect();
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

pub(super) fn last_deadline<Ask, Answer>(waiting: &[Waiting<Ask, Answer>]) -> Instant {
    waiting.iter().map(|w| w.deadline).max().unwrap_or_else(Instant::now)
}

/// All that wait as one batch: the first one's id, the latest clock.
pub(super) fn merge(waiting: &[Waiting<Batch, Vec<Verdict>>]) -> Option<Batch> {
    let first = waiting.first()?;
    let grants = waiting.iter().flat_map(|w| w.ask.grants.iter().cloned()).collect();
    let now = waiting.iter().map(|w| w.ask.now).max()?;
    Some(Batch { id: first.ask.id, now, grants })
}

/// Sends a batch until it is answered. A lost connection leaves it open whether the batch was
/// counted, so it goes out again under the same id: the store tells what became of the first.
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
