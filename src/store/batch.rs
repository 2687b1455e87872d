//! Group commit over any store: all waiting requests are counted in one statement.
//!
//! Owns queues and deadlines. `waiting` is an entry of a queue, `lanes` sends the entries, `parked`
//! keeps the tokens that cannot be counted at the moment. Must not know SQL. There is no timer: a
//! batch forms while the batch before it is being committed, so an idle store adds no latency. A
//! request that goes away only drops its receiver; what was sent to the store runs to its end.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::domain::agent::{RedirectUri, UserId};
use crate::domain::assertion::AssertionHash;
use crate::domain::catalogue::Catalogue;
use crate::domain::credential::HashCost;
use crate::domain::id::{AgentId, CodeId};
use crate::domain::time::Timestamp;
use crate::telemetry::metrics::{self, Shed};

mod lanes;
mod parked;
mod waiting;

use lanes::{run_issues, run_revocations, run_standings};
use parked::run_parked;
use waiting::Waiting;

use super::retry::{TIMEOUT, again, too_late};
use super::spend::spends;
use super::{
    AgentRecord, Batch, ExchangedToken, Freshness, Outcome, Standing, Store, StoreError, TokenRef,
    Verdict, Write,
};

/// How many requests may wait for a batch. Beyond that, the caller is told to try again later.
const MAX_QUEUED: usize = 4_096;

/// How much longer than the deadline a caller waits, so that a lane can still report why it gave
/// up.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// How many units may be parked. Beyond that, their callers are told to try again later.
const MAX_PARKED: usize = 1_024;

/// The wrapper. Its tasks end when it is dropped.
pub struct Batched {
    inner: Arc<dyn Store>,
    issues: mpsc::Sender<Waiting<Batch, Vec<Verdict>>>,
    /// Tokens that cost a code. Their transaction takes several round trips, and no other token
    /// must wait for it.
    exchanges: mpsc::Sender<Waiting<Batch, Vec<Verdict>>>,
    /// Tokens that cost a client assertion. If another server spends one of the assertions
    /// meanwhile, their statement runs again, and no other token must wait for that.
    assertions: mpsc::Sender<Waiting<Batch, Vec<Verdict>>>,
    standings: mpsc::Sender<Waiting<Vec<TokenRef>, Vec<Standing>>>,
    /// Revocations of single tokens, which any client may request. Waiting revocations share a
    /// commit.
    revocations: mpsc::Sender<Waiting<Vec<Write>, Vec<Outcome>>>,
}

impl Batched {
    /// Wraps `inner`. Call it within a runtime, because it spawns its lanes.
    pub fn over(inner: Arc<dyn Store>) -> Self {
        let (issues, issue_queue) = mpsc::channel(MAX_QUEUED);
        let (exchanges, exchange_queue) = mpsc::channel(MAX_QUEUED);
        let (assertions, assertion_queue) = mpsc::channel(MAX_QUEUED);
        let (standings, standing_queue) = mpsc::channel(MAX_QUEUED);
        let (revocations, revocation_queue) = mpsc::channel(MAX_QUEUED);
        let (park, parked) = mpsc::channel(MAX_PARKED);
        tokio::spawn(run_issues(Arc::clone(&inner), issue_queue, park.clone()));
        tokio::spawn(run_issues(Arc::clone(&inner), exchange_queue, park.clone()));
        tokio::spawn(run_issues(Arc::clone(&inner), assertion_queue, park));
        tokio::spawn(run_parked(Arc::clone(&inner), parked));
        tokio::spawn(run_standings(Arc::clone(&inner), standing_queue));
        tokio::spawn(run_revocations(Arc::clone(&inner), revocation_queue));
        Self {
            inner,
            issues,
            exchanges,
            assertions,
            standings,
            revocations,
        }
    }
}

async fn ask<Ask, Answer>(
    queue: &mpsc::Sender<Waiting<Ask, Answer>>,
    ask: Ask,
) -> Result<Answer, StoreError> {
    let deadline = Instant::now() + TIMEOUT;
    let (answer, result) = oneshot::channel();
    queue
        .try_send(Waiting {
            ask,
            deadline,
            answer,
        })
        .map_err(|_| {
            metrics::shed(Shed::StoreQueue);
            StoreError::Busy
        })?;
    match timeout_at(deadline + LAST_WORDS, result).await {
        Ok(Ok(result)) => result,
        // The lane dropped the request without an answer, because the request's deadline had
        // passed.
        Ok(Err(_)) | Err(_) => Err(too_late(None)),
    }
}

#[async_trait]
impl Store for Batched {
    async fn issue(&self, batch: &Batch) -> Result<Vec<Verdict>, StoreError> {
        let costs_a_code = batch.grants.iter().any(|grant| grant.code().is_some());
        let queue = if costs_a_code {
            &self.exchanges
        } else if spends(batch) {
            &self.assertions
        } else {
            &self.issues
        };
        ask(queue, batch.clone()).await
    }

    async fn standing(&self, tokens: &[TokenRef]) -> Result<Vec<Standing>, StoreError> {
        ask(&self.standings, tokens.to_vec()).await
    }

    /// Kills and other writes have their own lane in the store, so they never queue behind tokens.
    /// They run to their end even if the caller has gone. Revocations of single tokens share a
    /// commit and are sent again if the connection breaks. For all other writes, the caller must
    /// find out what happened.
    async fn commit(&self, writes: Vec<Write>) -> Result<Vec<Outcome>, StoreError> {
        if writes.is_empty() {
            return Ok(vec![]);
        }
        let shared = writes
            .iter()
            .all(|write| write.change.may_repeat())
            .then(|| self.revocations.clone());
        let inner = Arc::clone(&self.inner);
        let detached = tokio::spawn(async move {
            match shared {
                Some(queue) => ask(&queue, writes).await,
                None => inner.commit(writes).await,
            }
        });
        detached
            .await
            .map_err(|died| StoreError::Fault(Arc::new(died)))?
    }

    async fn agent(
        &self,
        agent_id: &AgentId,
        freshness: Freshness,
    ) -> Result<Option<Arc<AgentRecord>>, StoreError> {
        again(|| self.inner.agent(agent_id, freshness)).await
    }

    async fn admits_code(
        &self,
        agent_id: &AgentId,
        redirect_uri: &RedirectUri,
        user: Option<&UserId>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        again(|| self.inner.admits_code(agent_id, redirect_uri, user, now)).await
    }

    async fn catalogue(&self, freshness: Freshness) -> Result<Arc<Catalogue>, StoreError> {
        again(|| self.inner.catalogue(freshness)).await
    }

    async fn imported_costs(&self, freshness: Freshness) -> Result<Arc<[HashCost]>, StoreError> {
        again(|| self.inner.imported_costs(freshness)).await
    }

    async fn exchanged(&self, code: CodeId) -> Result<Option<ExchangedToken>, StoreError> {
        again(|| self.inner.exchanged(code)).await
    }

    async fn is_spent(&self, assertion: AssertionHash) -> Result<bool, StoreError> {
        again(|| self.inner.is_spent(assertion)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }

    fn queues(&self) -> Vec<(&'static str, usize)> {
        vec![
            ("tokens", waiting_in(&self.issues)),
            ("exchanges", waiting_in(&self.exchanges)),
            ("assertions", waiting_in(&self.assertions)),
            ("standings", waiting_in(&self.standings)),
            ("revocations", waiting_in(&self.revocations)),
        ]
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// How many requests wait in this queue.
fn waiting_in<T>(queue: &mpsc::Sender<T>) -> usize {
    queue.max_capacity().saturating_sub(queue.capacity())
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use crate::domain::id::Jti;
    use crate::domain::time::{Moment, Timestamp};
    use crate::store::scripted::Scripted;
    use crate::store::scripted::samples::{batch, exchange};
    use crate::store::{Change, TokenChange};

    use super::*;

    /// The error's message, followed by those of its causes.
    fn chain(error: &dyn std::error::Error) -> String {
        error.source().map_or_else(
            || error.to_string(),
            |cause| format!("{error}: {}", chain(cause)),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_was_lost_goes_out_again_under_its_id() {
        let store = Arc::new(Scripted::failing(&[0, 1]));
        let batched = Batched::over(store.clone());
        assert_eq!(batched.issue(&batch(7)).await.unwrap().len(), 1);
        assert_eq!(store.batches(), [7, 7, 7]);
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_deadline_the_last_cause_is_told() {
        let store = Arc::new(Scripted::failing(&(0..1_000).collect::<Vec<_>>()));
        let batched = Batched::over(store.clone());
        let began = Instant::now();
        let given_up = batched.issue(&batch(1)).await.unwrap_err();
        assert!(began.elapsed() <= TIMEOUT, "{:?}", began.elapsed());
        let (last, told) = (store.batches().len() - 1, chain(&given_up));
        assert!(
            last > 2 && told.contains(&format!("call {last} failed")),
            "{told}"
        );
        assert!(matches!(given_up, StoreError::Unavailable(_)));
        let standing = batched.standing(&[]).await;
        assert!(
            matches!(standing, Err(StoreError::Unavailable(_))),
            "{standing:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_is_given_up_with_the_cause_before() {
        let store = Arc::new(Scripted::failing(&[0]).hanging_from(1));
        let batched = Batched::over(store.clone());
        let told = chain(&batched.issue(&batch(1)).await.unwrap_err());
        assert!(told.contains("within 2500 ms: call 0 failed"), "{told}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_is_not_sent() {
        let store = Arc::new(Scripted::failing(&[]).slow(Duration::from_millis(100)));
        let batched = Arc::new(Batched::over(store.clone()));
        let ask = |n| {
            let batched = Arc::clone(&batched);
            async move { batched.issue(&batch(n)).await }
        };
        // While the first batch is being counted, two others wait, and the caller of one goes away.
        let first = tokio::spawn(ask(1));
        sleep(Duration::from_millis(10)).await;
        let gone = tokio::spawn(ask(2));
        let second = tokio::spawn(ask(3));
        sleep(Duration::from_millis(10)).await;
        gone.abort();
        assert_eq!(first.await.unwrap().unwrap().len(), 1);
        assert_eq!(second.await.unwrap().unwrap().len(), 1);
        assert_eq!(store.batches(), [1, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_together_goes_out_together_and_each_gets_its_own() {
        let store = Arc::new(Scripted::failing(&[]).slow(Duration::from_millis(100)));
        let batched = Batched::over(store.clone());
        let (one, three) = (batch(1), batch(3));
        let two = Batch {
            grants: [batch(2).grants, batch(2).grants].concat(),
            ..batch(2)
        };
        let later = async {
            sleep(Duration::from_millis(10)).await;
            tokio::join!(batched.issue(&two), batched.issue(&three))
        };
        let (first, (second, third)) = tokio::join!(batched.issue(&one), later);
        assert_eq!(
            [first, second, third].map(|verdicts| verdicts.unwrap().len()),
            [1, 2, 1]
        );
        assert_eq!(store.batches(), [1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_costs_a_code_never_goes_out_with_what_does_not() {
        let store = Arc::new(Scripted::failing(&[]).slow(Duration::from_millis(100)));
        let batched = Batched::over(store.clone());
        let [one, two, four, six] = [1, 2, 4, 6].map(batch);
        let [three, five, seven] = [3, 5, 7].map(exchange);
        let later = async {
            sleep(Duration::from_millis(10)).await;
            tokio::join!(
                batched.issue(&three),
                batched.issue(&two),
                batched.issue(&four),
                async {
                    sleep(Duration::from_millis(10)).await;
                    batched.issue(&five).await
                },
                async {
                    sleep(Duration::from_millis(10)).await;
                    batched.issue(&six).await
                },
                async {
                    sleep(Duration::from_millis(10)).await;
                    batched.issue(&seven).await
                },
            )
        };
        let (first, rest) = tokio::join!(batched.issue(&one), later);
        let all = [first, rest.0, rest.1, rest.2, rest.3, rest.4, rest.5];
        assert!(all.into_iter().all(|verdicts| verdicts.unwrap().len() == 1));
        // An exchange does not wait for other tokens. Waiting requests share a batch with their own
        // kind.
        assert_eq!(store.batches(), [1, 3, 2, 5]);
    }

    fn revocation(n: u128) -> Write {
        let jti = Jti(uuid::Uuid::from_u128(n));
        let change = Change::Token(TokenChange::Revoke {
            jti,
            agent_id: None,
            expires_at: Timestamp(0),
        });
        Write::new(crate::domain::act::Act::system(Moment(0)), change)
    }

    #[tokio::test(start_paused = true)]
    async fn revocations_that_wait_share_a_commit_and_fail_apart() {
        // The second commit, which is shared, fails. Then the first try of a revocation sent alone
        // fails too.
        let store = Arc::new(Scripted::failing(&[1, 2]).slow(Duration::from_millis(100)));
        let batched = Batched::over(store.clone());
        let later = async {
            sleep(Duration::from_millis(10)).await;
            let (two, three) = (vec![revocation(2), revocation(3)], vec![revocation(4)]);
            tokio::join!(batched.commit(two), batched.commit(three))
        };
        let (first, (second, third)) = tokio::join!(batched.commit(vec![revocation(1)]), later);
        assert_eq!(
            [first, second, third].map(|outcomes| outcomes.unwrap().len()),
            [1, 2, 1]
        );
        let mut commits = store.commits();
        assert_eq!(commits[..2], [1, 3]);
        commits.sort_unstable();
        // Two revocations that were sent alone, and the try that failed.
        assert_eq!(commits.len(), 5);
    }
}
