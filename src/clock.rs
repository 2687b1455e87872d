//! The clock, as a trait. This file is the only place that asks the system for the time of day. All
//! other code reads the time from the store's clock ([`StoreClock`]).
//!
//! Owns how the time of day follows from the two clocks. Must not know how the store's clock is
//! read, or what a time is used for.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::domain::time::{Moment, Timestamp};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn unix_millis(&self) -> i64;

    /// Milliseconds since some moment of this process. This clock cannot be set: it measures how
    /// much time has passed, even if the time of day was changed meanwhile.
    fn steady_millis(&self) -> i64;

    /// The time of day as a [`Moment`].
    fn moment(&self) -> Moment {
        Moment(self.unix_millis())
    }

    /// Whole seconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> Timestamp {
        self.moment().second()
    }
}

/// The last second of the year 9999. A later date cannot be written.
const LAST_SECOND: i64 = 253_402_300_799;

/// The clock shows a time that the server cannot use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this machine's clock shows a time {0}: set it, and try again")]
pub(crate) struct NoTime(&'static str);

/// Refuses a clock that shows a time which cannot be written as a date. A machine whose clock was
/// not set yet may show a time before 1970.
pub(crate) fn require_time(clock: &dyn Clock) -> Result<(), NoTime> {
    match clock.unix_millis().div_euclid(1_000) {
        ..0 => Err(NoTime("before 1970")),
        0..=LAST_SECOND => Ok(()),
        _ => Err(NoTime("after the year 9999")),
    }
}

/// The system's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that may ask the system"
    )]
    fn unix_millis(&self) -> i64 {
        let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()),
            // A time before 1970 is negative.
            Err(before) => i64::try_from(before.duration().as_millis()).map(|m| -m),
        };
        millis.unwrap_or(i64::MAX)
    }

    fn steady_millis(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

/// The clock by which the store keeps times, as this process knows it. Services get this clock and
/// no other. So the times that they store and the times that they compare with stored ones come
/// from the same clock.
///
/// A store with a clock of its own (Postgres) is asked for its time again and again
/// ([`StoreClock::learn`]). Between two answers, the process's steady clock carries that time on,
/// so a time of day that is wrong or set on this machine changes nothing. If the store has no clock
/// (SQLite), the process's clock is the store's.
pub struct StoreClock {
    own: Arc<dyn Clock>,
    /// The store's time minus the steady clock's, in milliseconds; [`OWN`] if the store has no
    /// clock.
    offset: AtomicI64,
    readings: Mutex<Readings>,
}

/// The value of the offset if the store has no clock of its own.
const OWN: i64 = i64::MIN;

/// How old, in milliseconds, a reading of the process's clock must be before anything is removed by
/// that clock. A machine that starts with a wrong clock corrects it within minutes.
const SETTLING_MILLIS: i64 = 300_000;

/// What the process's clock showed at some moment of the steady clock, both in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Reading {
    steady: i64,
    unix: i64,
}

impl Reading {
    fn of(clock: &dyn Clock) -> Self {
        Self {
            steady: clock.steady_millis(),
            unix: clock.unix_millis(),
        }
    }

    /// The time of day at `steady`, if this reading was right.
    fn carried_on_to(self, steady: i64) -> i64 {
        self.unix.saturating_add(steady.saturating_sub(self.steady))
    }
}

/// The newest reading, and one that is at least [`SETTLING_MILLIS`] older.
struct Readings {
    newer: Reading,
    older: Option<Reading>,
}

impl StoreClock {
    /// A clock that shows the process's own time until it has learned the store's.
    pub fn new(own: Arc<dyn Clock>) -> Self {
        let readings = Mutex::new(Readings {
            newer: Reading::of(&*own),
            older: None,
        });
        Self {
            own,
            offset: AtomicI64::new(OWN),
            readings,
        }
    }

    /// The process's steady clock, to measure how long the store took to answer.
    pub fn steady(&self) -> i64 {
        self.own.steady_millis()
    }

    /// Learns that the store's clock showed `millis` at some moment between `asked` and now, both
    /// by the steady clock. The known offset moves only as far as this answer proves it wrong. A
    /// slow answer proves little, so it cannot make the known offset worse.
    pub fn learn(&self, asked: i64, millis: i64) {
        let (least, most) = (
            millis.saturating_sub(self.own.steady_millis()),
            millis.saturating_sub(asked),
        );
        let known = match self.offset.load(Ordering::Relaxed) {
            OWN => least.midpoint(most),
            known => known.clamp(least.min(most), most),
        };
        self.offset.store(known, Ordering::Relaxed);
    }

    /// What this process's own clock shows. A token's `iat` is the smaller of this time and the
    /// store's (contract §2). This time is used for nothing else.
    pub fn own_moment(&self) -> Moment {
        self.own.moment()
    }

    /// How many milliseconds the process's clock is ahead of the store's; negative if it is behind.
    pub fn ahead_millis(&self) -> i64 {
        self.own.unix_millis().saturating_sub(self.unix_millis())
    }

    /// A time that has certainly come. Only this time decides when expired rows are removed and
    /// when an announced key starts to sign. If the store has a clock, it is the smaller of both
    /// clocks. If the store has none, it is the smallest of three times: what the process's clock
    /// shows now, and what two readings of minutes ago give for now. So a clock that is wrong for a
    /// minute, as after a start without a network, removes nothing. `None` while there is no
    /// reading that is old enough.
    pub fn settled(&self) -> Option<Timestamp> {
        if self.offset.load(Ordering::Relaxed) != OWN {
            return Some(self.now().min(self.own.now()));
        }
        let now = Reading::of(&*self.own);
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        if now.steady.saturating_sub(readings.newer.steady) >= SETTLING_MILLIS {
            *readings = Readings {
                newer: now,
                older: Some(readings.newer),
            };
        }
        let (newer, older) = (readings.newer, readings.older?);
        let least = now
            .unix
            .min(newer.carried_on_to(now.steady))
            .min(older.carried_on_to(now.steady));
        Some(Timestamp(least.div_euclid(1_000)))
    }
}

impl Clock for StoreClock {
    fn unix_millis(&self) -> i64 {
        match self.offset.load(Ordering::Relaxed) {
            OWN => self.own.unix_millis(),
            offset => self.own.steady_millis().saturating_add(offset),
        }
    }

    fn steady_millis(&self) -> i64 {
        self.own.steady_millis()
    }
}

/// A clock that tests set by hand.
#[derive(Debug)]
pub struct FakeClock {
    unix: AtomicI64,
    steady: AtomicI64,
}

impl FakeClock {
    /// Starts at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self {
            unix: AtomicI64::new(now.0.saturating_mul(1_000)),
            steady: AtomicI64::new(0),
        }
    }

    /// Lets time pass until `now`. If `now` is in the past, both clocks go back.
    pub fn set(&self, now: Timestamp) {
        self.advance(now.0.saturating_sub(self.now().0));
    }

    /// Lets `seconds` pass.
    pub fn advance(&self, seconds: i64) {
        self.step(seconds);
        self.steady
            .fetch_add(seconds.saturating_mul(1_000), Ordering::SeqCst);
    }

    /// Sets the time of day by `seconds` without letting time pass, as when a wrong clock is
    /// corrected.
    pub fn step(&self, seconds: i64) {
        self.unix
            .fetch_add(seconds.saturating_mul(1_000), Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn unix_millis(&self) -> i64 {
        self.unix.load(Ordering::SeqCst)
    }

    fn steady_millis(&self) -> i64 {
        self.steady.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clocks(own: i64) -> (Arc<FakeClock>, StoreClock) {
        let fake = Arc::new(FakeClock::at(Timestamp(own)));
        (Arc::clone(&fake), StoreClock::new(fake))
    }

    #[test]
    fn without_a_clock_of_the_stores_the_process_tells_the_time() {
        let (fake, clock) = clocks(1_000);
        fake.step(7);
        assert_eq!((clock.now(), clock.ahead_millis()), (Timestamp(1_007), 0));
    }

    #[test]
    fn the_stores_time_goes_on_whatever_is_done_to_the_process() {
        let (fake, clock) = clocks(1_000);
        clock.learn(clock.steady(), 500_000);
        assert_eq!(
            (clock.now(), clock.ahead_millis()),
            (Timestamp(500), 500_000)
        );
        fake.step(-100_000);
        fake.advance(10);
        assert_eq!(
            (clock.now(), clock.own_moment().second()),
            (Timestamp(510), Timestamp(1_000 - 100_000 + 10))
        );
        assert_eq!(clock.settled(), Some(clock.own_moment().second()));
    }

    #[test]
    fn a_slow_answer_moves_the_known_time_no_further_than_it_proves() {
        let (fake, clock) = clocks(1_000);
        clock.learn(clock.steady(), 500_000);
        let asked = clock.steady();
        fake.advance(4);
        // The store's clock showed this up to four seconds ago, which agrees with the known offset.
        clock.learn(asked, 502_000);
        assert_eq!(clock.now(), Timestamp(504));
        // The store's clock was set ahead by a minute: at least this offset is certain.
        let asked = clock.steady();
        fake.advance(4);
        clock.learn(asked, 562_000);
        assert_eq!(clock.now(), Timestamp(562));
        clock.learn(clock.steady(), 400_000);
        assert_eq!(clock.now(), Timestamp(400));
    }

    #[test]
    fn a_clock_that_is_wrong_at_the_start_settles_nothing() {
        let (fake, clock) = clocks(90_000);
        assert_eq!(clock.settled(), None);
        fake.advance(60);
        assert_eq!(clock.settled(), None);
        fake.step(-89_000);
        fake.advance(239);
        assert_eq!(clock.settled(), None);
        fake.advance(1);
        assert_eq!(clock.settled(), Some(Timestamp(1_300)));
    }

    #[test]
    fn what_is_settled_is_the_time_while_nobody_sets_it_and_lags_when_it_leaps() {
        let (fake, clock) = clocks(1_000);
        fake.advance(300);
        assert_eq!(clock.settled(), Some(Timestamp(1_300)));
        fake.advance(86_400);
        assert_eq!(clock.settled(), Some(Timestamp(87_700)));
        fake.step(90_000);
        fake.advance(60);
        assert_eq!(clock.settled(), Some(Timestamp(87_760)));
        fake.step(-90_000);
        fake.advance(60);
        assert_eq!(clock.settled(), Some(Timestamp(87_820)));
        // A clock that was set ahead and stays there is believed after some minutes.
        fake.step(90_000);
        for _ in 0..3 {
            clock.settled();
            fake.advance(300);
        }
        assert_eq!(clock.settled(), Some(clock.own_moment().second()));
    }

    #[test]
    fn a_time_that_has_no_date_is_refused() {
        for (second, is_a_time) in [
            (i64::MIN / 1_000, false),
            (-1, false),
            (0, true),
            (LAST_SECOND, true),
            (LAST_SECOND + 1, false),
            (i64::MAX / 1_000, false),
        ] {
            assert_eq!(
                require_time(&FakeClock::at(Timestamp(second))).is_ok(),
                is_a_time,
                "{second}"
            );
        }
    }

    #[test]
    fn the_ends_of_time_do_not_panic() {
        for millis in [i64::MIN, -1, 0, i64::MAX] {
            let (fake, clock) = clocks(millis / 1_000);
            clock.learn(clock.steady(), millis);
            fake.advance(1);
            clock.learn(0, millis);
            let _ = (
                clock.now(),
                clock.ahead_millis(),
                clock.settled(),
                require_time(&clock),
            );
        }
    }
}
