//! The clock, as a trait: the only place that asks the system for the time of day. And the store's clock,
//! which is what everything else is told the time by.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::domain::time::{Moment, Timestamp};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn unix_millis(&self) -> i64;

    /// Milliseconds since some moment of this process. Nobody sets this clock: it tells how much time
    /// has passed, whatever was done to the time of day meanwhile.
    fn steady_millis(&self) -> i64;

    /// The same, as a value.
    fn moment(&self) -> Moment {
        Moment(self.unix_millis())
    }

    /// Whole seconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> Timestamp {
        self.moment().second()
    }
}

/// The last second of the year 9999: no date is written of a later one.
const LAST_SECOND: i64 = 253_402_300_799;

/// Why a clock cannot be gone by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this machine's clock shows a time {0}: set it, and try again")]
pub(crate) struct NoTime(&'static str);

/// Refuses a clock that shows a time of which no date can be written. What lies before 1970 is what a machine
/// shows whose clock was not set yet.
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
            // A clock before 1970 counts down from it.
            Err(before) => i64::try_from(before.duration().as_millis()).map(|m| -m),
        };
        millis.unwrap_or(i64::MAX)
    }

    fn steady_millis(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

/// What the store keeps times by, as this process knows it. Services are given this clock and no other, so
/// that what they compare with a stored time, or have stored, comes from it.
///
/// A store with a clock of its own (Postgres) is asked for it again and again ([`StoreClock::learn`]). In
/// between the process's steady clock carries it on, so a time of day that is wrong or set here changes
/// nothing. Otherwise (SQLite) the process's clock is the store's.
pub struct StoreClock {
    own: Arc<dyn Clock>,
    /// The store's time less the steady clock's, in milliseconds; [`OWN`] when the store has no clock.
    offset: AtomicI64,
    readings: Mutex<Readings>,
}

/// The store has no clock of its own.
const OWN: i64 = i64::MIN;

/// For so many milliseconds a reading of the process's clock must have stood before anything is removed by
/// it: a machine whose clock is wrong when it starts sets it right within minutes.
const SETTLING_MILLIS: i64 = 300_000;

/// What the process's clock showed at some moment of the steady one, both in milliseconds.
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

    /// What time it is at `steady` if this reading was right.
    fn carried_on_to(self, steady: i64) -> i64 {
        self.unix.saturating_add(steady.saturating_sub(self.steady))
    }
}

/// The newest reading, and one that is older than it by [`SETTLING_MILLIS`].
struct Readings {
    newer: Reading,
    older: Option<Reading>,
}

impl StoreClock {
    /// By the process's own clock until the store's was learned.
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

    /// The process's clock, to measure how long asking the store took.
    pub fn steady(&self) -> i64 {
        self.own.steady_millis()
    }

    /// Learns that the store's clock showed `millis` at some moment after `asked` and before now, both by
    /// the steady clock. What is known already is moved no further than this proves it wrong, so a slow
    /// answer, which proves little, spoils nothing.
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

    /// What this process's own clock shows. A token's `iat` is the smaller of this and the
    /// store's (contract §2); nothing else rests on it.
    pub fn own_moment(&self) -> Moment {
        self.own.moment()
    }

    /// By how many milliseconds the process's clock is ahead of the store's; negative when behind.
    pub fn ahead_millis(&self) -> i64 {
        self.own.unix_millis().saturating_sub(self.unix_millis())
    }

    /// The time that has come for certain: what only time removes, or makes sign, goes by this one. The
    /// smaller of both clocks, where the store has one. Where it has none, what the process's shows now and
    /// what it showed minutes ago agree on: a minute in which it is wrong, as after a start without a
    /// network, takes nothing away. `None` while there is no reading of so long ago.
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
    /// Stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self {
            unix: AtomicI64::new(now.0.saturating_mul(1_000)),
            steady: AtomicI64::new(0),
        }
    }

    /// Lets time pass until `now`, and where that lies in the past, takes it back.
    pub fn set(&self, now: Timestamp) {
        self.advance(now.0.saturating_sub(self.now().0));
    }

    /// Lets `seconds` pass.
    pub fn advance(&self, seconds: i64) {
        self.step(seconds);
        self.steady
            .fetch_add(seconds.saturating_mul(1_000), Ordering::SeqCst);
    }

    /// Sets the time of day by `seconds` without letting time pass, as when a wrong clock is set right.
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
        // The store said so up to four seconds ago, which agrees with what is known.
        clock.learn(asked, 502_000);
        assert_eq!(clock.now(), Timestamp(504));
        // It was set ahead by a minute: at least so much is certain.
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
        // Set ahead for good, it is believed after some minutes.
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
