//! Reads the store's clock, and detects that the process's clock differs from it.
//!
//! Owns by how much the clocks may differ. Must not know how a store tells the time.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock::StoreClock;
use crate::store::Records;

use super::error::Error;

/// The largest difference between the process's clock and the store's, in milliseconds. With a
/// larger difference the process is not ready for requests: its tokens would be older than they
/// are, or would seem older to others.
pub(crate) const MAX_SKEW_MILLIS: i64 = 2_000;

/// Asks the store for the time. Run once a second.
pub async fn measure_clock(records: &dyn Records, clock: &StoreClock) -> Result<(), Error> {
    let asked = clock.steady();
    if let Some(millis) = records.clock().await? {
        clock.learn(asked, millis);
    }
    Ok(())
}

/// Whether the process's clock differs too much from the store's.
pub(crate) fn is_off(clock: &StoreClock) -> bool {
    clock.ahead_millis().saturating_abs() > MAX_SKEW_MILLIS
}

/// Logs when the process's clock starts to differ from the store's, and when it agrees again.
#[derive(Debug, Default)]
pub(crate) struct SkewLog(AtomicBool);

impl SkewLog {
    /// Call this after each measurement.
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
