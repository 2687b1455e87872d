//! The clock, as a trait: the only place that asks the system for the time of day.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::time::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn unix_millis(&self) -> i64;

    /// Whole seconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> Timestamp {
        Timestamp(self.unix_millis().div_euclid(1_000))
    }
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that may ask the system")]
    fn unix_millis(&self) -> i64 {
        let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()),
            // A clock before 1970 counts down from it.
            Err(before) => i64::try_from(before.duration().as_millis()).map(|m| -m),
        };
        millis.unwrap_or(i64::MAX)
    }
}

/// A clock that tests set by hand.
#[derive(Debug)]
pub struct FakeClock(std::sync::atomic::AtomicI64);

impl FakeClock {
    /// Stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(std::sync::atomic::AtomicI64::new(now.0.saturating_mul(1_000)))
    }

    /// Moves to `now`.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0.saturating_mul(1_000), std::sync::atomic::Ordering::SeqCst);
    }

    /// Moves by `seconds`.
    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds.saturating_mul(1_000), std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn unix_millis(&self) -> i64 {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}
