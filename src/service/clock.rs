//! Learning the store's clock, and noticing that the process's differs from it.
//!
//! Owns by how much it may differ. Must not know how a store tells the time.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock::StoreClock;
use crate::store::Records;

use super::error::Error;

/// A process whose clock is further from the store's, in milliseconds, is not ready for requests: tokens
/// that it issues would be older, or seem older to others, than they are.
pub(crate) const MAX_SKEW_MILLIS: i64 = 2_000;

/// Asks the store what time it is. Run once a second.
pub async fn measure_clock(records: &dyn Records, clock: &StoreClock) -> Result<(), Error> {
    let asked = clock.steady();
    if let Some(millis) = records.clock().await? {
        clock.learn(asked, millis);
    }
    Ok(())
}

/// Whether the process's clock is too far from the store's.
pub(crate) fn is_off(clock: &StoreClock) -> bool {
    clock.ahead_millis().saturating_abs() > MAX_SKEW_MILLIS
}

/// Says in the log when the process's clock goes off the store's, and when it agrees again.
#[derive(Debug, Default)]
pub(crate) struct SkewLog(AtomicBool);

impl SkewLog {
    /// To be called after each measurement.
    pub(crate) fn note(&self, clock: &StoreClock) {
        let is_off = is_off(clock);
        let was_off = self.0.swap(is_off, Ordering::Relaxed);
        let ahead_seconds = clock.ahead_millis() / 1_000;
        if is_off && !was_off {
            tracing::warn!(
                ahead_seconds,
                "this machine's clock differs from the database's: this process is not ready until they agree"
            );
        } else if was_off && !is_off {
            tracing::info!(
                ahead_seconds,
                "this machine's clock agrees with the database's again"
            );
        }
    }
}
