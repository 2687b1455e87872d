//! Failed logins that cost a hash, or a reading of the database for an assertion, counted by source:
//! checked before it, charged after it.
//!
//! Owns the allowance of each source. A source that has used up its allowance costs nothing more of
//! this. No other source is refused, and no id is ever locked. Must not know HTTP, or what was
//! guessed.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::refusal::Refusal;

/// How many failures a source may make at once before the rate binds.
const BURST: u32 = 20;

/// The most sources that are counted separately. Beyond this number, the other sources count
/// together.
const MAX_SOURCES: usize = 100_000;

/// The source for requests without an address, and for sources that the table has no room for.
const ANYWHERE: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// The allowances of this process: for each source, the time when it has its full allowance again.
pub struct Failures {
    /// After how many nanoseconds one failure is given back. 0 switches the limit off.
    every: AtomicU64,
    sources: Mutex<HashMap<IpAddr, Instant>>,
}

impl Failures {
    /// Allows each source this many failures a minute. 0 switches the limit off.
    pub fn new(per_minute: u32) -> Self {
        let failures = Self {
            every: AtomicU64::new(0),
            sources: Mutex::new(HashMap::new()),
        };
        failures.set(per_minute);
        failures
    }

    /// Sets the limit. What a source owes is kept.
    pub fn set(&self, per_minute: u32) {
        let every = 60_000_000_000_u64
            .checked_div(u64::from(per_minute))
            .unwrap_or(0);
        self.every.store(every, Ordering::Relaxed);
    }

    /// After how long one failure is given back. `None` while the limit is off.
    fn every(&self) -> Option<Duration> {
        Some(self.every.load(Ordering::Relaxed))
            .filter(|nanos| *nanos > 0)
            .map(Duration::from_nanos)
    }

    /// A guess that comes from `source`. Sources are counted by prefix, /24 and /48, because an
    /// attacker owns whole prefixes. Requests without an address count together.
    pub fn guess(self: &Arc<Self>, source: Option<IpAddr>) -> Guess {
        Guess {
            failures: Arc::clone(self),
            source: source.map_or(ANYWHERE, prefix),
        }
    }

    /// Removes sources that have their full allowance again.
    pub fn sweep(&self, now: Instant) {
        let mut sources = self.lock();
        sources.retain(|_, full_at| *full_at > now);
        sources.shrink_to_fit();
    }

    /// How long until `source` has its full allowance again. `None` if it has.
    fn owes(&self, source: IpAddr, now: Instant) -> Option<Duration> {
        let sources = self.lock();
        let known = sources
            .get(&source)
            .or_else(|| sources.get(&ANYWHERE).filter(|_| is_full(&sources)));
        known
            .and_then(|full_at| full_at.checked_duration_since(now))
            .filter(|owed| !owed.is_zero())
    }

    fn admit(&self, source: IpAddr, now: Instant) -> Result<(), Refusal> {
        let Some(every) = self.every() else {
            return Ok(());
        };
        let owed = self.owes(source, now).unwrap_or_default();
        // One more failure must fit into the burst.
        let wait = owed.saturating_sub(every.saturating_mul(BURST - 1));
        if wait.is_zero() {
            return Ok(());
        }
        // Rounded up: a client that retries a moment too early would be refused again.
        let millis = wait.as_nanos().div_ceil(1_000_000);
        Err(Refusal::SlowDown {
            retry_after_ms: u64::try_from(millis).unwrap_or(u64::MAX),
        })
    }

    fn charge(&self, source: IpAddr, now: Instant) {
        let Some(every) = self.every() else { return };
        let mut sources = self.lock();
        if is_full(&sources) {
            sources.retain(|_, full_at| *full_at > now);
        }
        let source = if is_full(&sources) && !sources.contains_key(&source) {
            ANYWHERE
        } else {
            source
        };
        let full_at = sources.entry(source).or_insert(now);
        let owed_from = (*full_at).max(now);
        *full_at = owed_from.checked_add(every).unwrap_or(owed_from);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_full(sources: &HashMap<IpAddr, Instant>) -> bool {
    sources.len() >= MAX_SOURCES
}

/// A secret or an assertion that may be wrong, and the source that is charged if it is wrong.
#[derive(Clone)]
pub struct Guess {
    failures: Arc<Failures>,
    source: IpAddr,
}

impl Guess {
    /// Whether the source may cause another hash or reading.
    pub fn admit(&self) -> Result<(), Refusal> {
        self.failures.admit(self.source, Instant::now())
    }

    /// Whether the source failed recently.
    pub fn is_suspect(&self) -> bool {
        self.failures.owes(self.source, Instant::now()).is_some()
    }

    /// Charges the source, because the secret or the assertion was wrong.
    pub fn charge(&self) {
        self.failures.charge(self.source, Instant::now());
    }
}

fn prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            IpAddr::from([a, b, c, 0, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> IpAddr {
        prefix(text.parse().unwrap())
    }

    #[test]
    fn zero_switches_the_limit_off() {
        let (failures, now) = (Failures::new(0), Instant::now());
        for _ in 0..1_000 {
            failures.charge(source("10.1.2.3"), now);
            assert!(failures.admit(source("10.1.2.3"), now).is_ok());
        }
        assert_eq!(failures.owes(source("10.1.2.3"), now), None);
    }

    #[test]
    fn a_burst_is_used_up_and_given_back_one_by_one() {
        let (failures, start) = (Failures::new(1), Instant::now());
        let (attacker, other) = (source("10.1.2.3"), source("10.1.3.3"));
        for _ in 0..BURST {
            assert!(failures.admit(attacker, start).is_ok());
            failures.charge(attacker, start);
        }
        let refused = Err(Refusal::SlowDown {
            retry_after_ms: 60_000,
        });
        assert_eq!(failures.admit(attacker, start), refused);
        assert!(failures.admit(other, start).is_ok() && failures.owes(other, start).is_none());
        assert!(
            failures
                .admit(attacker, start + Duration::from_mins(1))
                .is_ok()
        );
        failures.charge(attacker, start + Duration::from_mins(1));
        assert_eq!(
            failures.admit(attacker, start + Duration::from_mins(1)),
            refused
        );
        // After a rest, the whole burst is allowed again, but no more than that.
        let rested = start + Duration::from_mins(100);
        assert_eq!(failures.owes(attacker, rested), None);
        for _ in 0..BURST {
            failures.charge(attacker, rested);
        }
        assert_eq!(failures.admit(attacker, rested), refused);
    }

    #[test]
    fn the_limit_changes_while_it_binds() {
        let (failures, now) = (Failures::new(0), Instant::now());
        let attacker = source("10.1.2.3");
        failures.set(1);
        for _ in 0..BURST {
            assert!(failures.admit(attacker, now).is_ok());
            failures.charge(attacker, now);
        }
        assert!(failures.admit(attacker, now).is_err());
        failures.set(0);
        assert!(failures.admit(attacker, now).is_ok());
        failures.set(1);
        assert!(
            failures.admit(attacker, now).is_err(),
            "what it owes was not forgiven"
        );
    }

    #[test]
    fn sources_are_counted_by_prefix() {
        assert_eq!(source("10.1.2.3"), source("10.1.2.200"));
        assert_eq!(source("::ffff:10.1.2.3"), source("10.1.2.9"));
        assert_ne!(source("10.1.3.3"), source("10.1.2.3"));
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:3::9"));
        assert_ne!(source("2001:db8:1::1"), source("2001:db8:2::1"));
    }

    #[test]
    fn the_table_is_bounded_and_what_it_has_no_room_for_counts_together() {
        let (failures, now) = (Failures::new(60), Instant::now());
        for i in 0..u32::try_from(MAX_SOURCES).unwrap() + 100 {
            failures.charge(prefix(std::net::Ipv4Addr::from(i << 8).into()), now);
        }
        assert_eq!(failures.lock().len(), MAX_SOURCES + 1);
        assert!(failures.admit(source("250.0.0.1"), now).is_err());
        assert!(failures.admit(source("0.0.1.1"), now).is_ok());
        failures.sweep(now + Duration::from_mins(10));
        assert_eq!(failures.lock().len(), 0);
    }
}
