//! When a refused assertion is answered, so that the time of the answer does not tell which agents
//! exist.
//!
//! Owns that moment. Must not know why the assertion was refused.

use std::time::{Duration, Instant};

/// Refused assertions are answered at a multiple of this time after the work on them began. A refusal
/// costs less than this while the database is near, so almost all are answered after the first
/// interval. Equal work alone cannot make refusals alike: the row of an agent that exists is decoded,
/// which takes longer than to find that there is none.
const REFUSAL_INTERVAL: Duration = Duration::from_millis(10);

/// When a refusal is answered on which work began at `began`: at the end of the present interval.
pub(crate) fn answer_at(began: Instant, now: Instant) -> Instant {
    let elapsed = now.saturating_duration_since(began);
    let intervals = elapsed.as_nanos() / REFUSAL_INTERVAL.as_nanos() + 1;
    let intervals = u32::try_from(intervals).unwrap_or(u32::MAX);
    began
        .checked_add(REFUSAL_INTERVAL.saturating_mul(intervals))
        .unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_that_cost_different_times_are_answered_at_the_same_one() {
        let began = Instant::now();
        for (micros, millis) in [
            (0, 10),
            (1, 10),
            (9_999, 10),
            (10_000, 20),
            (13_000, 20),
            (29_000, 30),
        ] {
            let at = answer_at(began, began + Duration::from_micros(micros));
            assert_eq!((at - began).as_millis(), millis, "{micros}");
        }
        assert_eq!(
            answer_at(began + Duration::from_secs(1), began),
            began + Duration::from_millis(1_010)
        );
    }
}
