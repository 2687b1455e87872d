//! When a refused assertion is answered, so that the time of the answer does not tell which agents
//! exist.
//!
//! Owns that moment. Must not know why the assertion was refused.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::domain::refusal::Refusal;
use crate::service::error::Error;

/// Refusals are answered at a multiple of this time after their request began. It is longer than
/// what a refusal costs on either store, so almost all are answered after the first interval.
/// The verifications alone cannot make refusals alike: the row of an agent that exists is decoded,
/// which takes longer than to find that there is none.
const REFUSAL_INTERVAL: Duration = Duration::from_millis(10);

/// The outcome of `work` on an assertion. One that refuses the client waits for the end of its
/// interval. The caller has to hold nothing meanwhile that others wait for.
pub(crate) async fn in_refusal_time<T>(
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let began = Instant::now();
    let outcome = work.await;
    // The limit of a source's failures refuses without reading anything, but it verifies as well.
    if let Err(Error::Refused(Refusal::InvalidClient | Refusal::SlowDown { .. })) = outcome {
        sleep_until(began + answered_after(began.elapsed())).await;
    }
    outcome
}

/// After how long a refusal is answered that took `elapsed`: at the end of the interval.
fn answered_after(elapsed: Duration) -> Duration {
    let intervals = elapsed.as_nanos() / REFUSAL_INTERVAL.as_nanos() + 1;
    let intervals = u32::try_from(intervals).unwrap_or(u32::MAX);
    REFUSAL_INTERVAL.saturating_mul(intervals)
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    /// How many milliseconds an outcome takes whose work takes these.
    async fn milliseconds_of(outcome: Result<(), Error>, millis: u64) -> u128 {
        let began = Instant::now();
        let expected = outcome.is_ok();
        let work = async {
            sleep(Duration::from_millis(millis)).await;
            outcome
        };
        assert_eq!(in_refusal_time(work).await.is_ok(), expected);
        began.elapsed().as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_that_cost_different_times_are_answered_at_the_same_one() {
        let refused = || Err(Refusal::InvalidClient.into());
        for (millis, answered) in [(0, 10), (1, 10), (9, 10), (10, 20), (13, 20), (29, 30)] {
            assert_eq!(
                milliseconds_of(refused(), millis).await,
                answered,
                "{millis}"
            );
        }
        let slow = Refusal::SlowDown { retry_after_ms: 1 };
        assert_eq!(milliseconds_of(Err(slow.into()), 3).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_else_waits() {
        assert_eq!(milliseconds_of(Ok(()), 3).await, 3);
        assert_eq!(
            milliseconds_of(Err(Refusal::AgentSuspended.into()), 3).await,
            3
        );
    }
}
