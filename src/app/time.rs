//! Waits until the system clock shows a usable time, and prepares threads for a clock that is set
//! wrongly later.

use std::time::Duration;

use crate::clock::{Clock, SystemClock, require_time};
use crate::http::serve::make_first_date;

/// The time between two looks at the clock.
const PAUSE: Duration = Duration::from_secs(1);

/// Returns once the clock shows a time that can be written as a date. Every response contains a
/// date, so before that the server could not answer.
pub(super) async fn wait_for_time(clock: &dyn Clock) {
    let mut told = false;
    while let Err(why) = require_time(clock) {
        if !told {
            tracing::warn!(%why, "not serving yet: the clock is looked at again every second");
            told = true;
        }
        tokio::time::sleep(PAUSE).await;
    }
    if told {
        tracing::info!("the clock shows a usable time");
    }
}

/// Prepares a thread of the runtime, so that it can answer even if the clock is set wrongly later.
pub(crate) fn prepare_thread() {
    if require_time(&SystemClock::default()).is_ok() {
        make_first_date();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::clock::FakeClock;
    use crate::domain::time::Timestamp;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_waits_until_its_clock_is_set() {
        let clock = Arc::new(FakeClock::at(Timestamp(-1)));
        let waiting = tokio::spawn({
            let clock = Arc::clone(&clock);
            async move { wait_for_time(&*clock).await }
        });
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert!(!waiting.is_finished());
        clock.step(1_700_000_000);
        waiting.await.unwrap();
    }
}
