//! Rates: requests, introspections and revocations of an authenticated agent, and failed logins of
//! a source.
//!
//! Owns all limits (contract D6). Must not know HTTP.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwapOption;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::domain::id::AgentId;
use crate::domain::refusal::Refusal;

use super::clients::failures::Failures;

/// Rates a minute. 0 means that there is no limit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    /// Requests of one agent.
    pub requests: u32,
    /// Introspections of one caller.
    pub introspections: u32,
    /// Revocations of one caller.
    pub revocations: u32,
    /// Failed logins of one source that caused a hash or presented an assertion.
    pub failures: u32,
}

/// A rate that applies to each agent, and the number that it was made from.
struct Bound {
    per_minute: NonZeroU32,
    limiter: DefaultKeyedRateLimiter<AgentId>,
}

/// An optional rate for each agent. It may change while the process runs.
#[derive(Default)]
struct Rate(ArcSwapOption<Bound>);

impl Rate {
    /// Sets the rate. If the rate is unchanged, its counts go on.
    fn set(&self, per_minute: u32) {
        let running = self
            .0
            .load()
            .as_ref()
            .map_or(0, |bound| bound.per_minute.get());
        if running != per_minute {
            let bound = |per_minute| {
                let limiter = RateLimiter::keyed(Quota::per_minute(per_minute));
                Arc::new(Bound {
                    per_minute,
                    limiter,
                })
            };
            self.0.store(NonZeroU32::new(per_minute).map(bound));
        }
    }
}

/// The limits of this process.
pub struct Limits {
    requests: Rate,
    introspections: Rate,
    revocations: Rate,
    /// Failed logins that caused a hash or presented an assertion.
    pub failures: Arc<Failures>,
    clock: DefaultClock,
}

impl Limits {
    /// Limits with these rates.
    pub fn new(rates: &Rates) -> Self {
        let limits = Self {
            requests: Rate::default(),
            introspections: Rate::default(),
            revocations: Rate::default(),
            failures: Arc::new(Failures::new(rates.failures)),
            clock: DefaultClock::default(),
        };
        limits.set(rates);
        limits
    }

    /// Sets the rates. Rates that are unchanged keep their counts.
    pub fn set(&self, rates: &Rates) {
        self.requests.set(rates.requests);
        self.introspections.set(rates.introspections);
        self.revocations.set(rates.revocations);
        self.failures.set(rates.failures);
    }

    /// Counts one request of an authenticated, active agent.
    pub fn charge_request(&self, agent_id: &AgentId) -> Result<(), Refusal> {
        self.charge(&self.requests, agent_id)
    }

    /// Counts one introspection by an authenticated, active agent.
    pub fn charge_introspection(&self, agent_id: &AgentId) -> Result<(), Refusal> {
        self.charge(&self.introspections, agent_id)
    }

    /// Counts one revocation by an authenticated, active agent.
    pub fn charge_revocation(&self, agent_id: &AgentId) -> Result<(), Refusal> {
        self.charge(&self.revocations, agent_id)
    }

    fn charge(&self, rate: &Rate, agent_id: &AgentId) -> Result<(), Refusal> {
        let bound = rate.0.load();
        let Some(bound) = bound.as_ref() else {
            return Ok(());
        };
        bound.limiter.check_key(agent_id).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            // Rounded up: a client that retries a moment too early would be refused again.
            let millis = wait.as_nanos().div_ceil(1_000_000);
            Refusal::SlowDown {
                retry_after_ms: u64::try_from(millis).unwrap_or(u64::MAX),
            }
        })
    }

    /// Removes agents and sources that have their full allowance again, so that the tables stay
    /// bounded.
    pub fn sweep(&self) {
        for rate in [&self.requests, &self.introspections, &self.revocations] {
            if let Some(bound) = rate.0.load().as_ref() {
                bound.limiter.retain_recent();
                bound.limiter.shrink_to_fit();
            }
        }
        self.failures.sweep(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Of = fn(u32) -> Rates;
    type Charge = fn(&Limits, &AgentId) -> Result<(), Refusal>;

    #[test]
    fn zero_switches_a_limit_off() {
        let limits = Limits::new(&Rates::default());
        let id = AgentId::parse("a").unwrap();
        for _ in 0..1_000 {
            assert!(limits.charge_request(&id).is_ok());
        }
    }

    #[test]
    fn an_agent_over_its_rate_is_told_when_to_come_again() {
        let limits = Limits::new(&Rates {
            requests: 2,
            ..Rates::default()
        });
        let (a, b) = (AgentId::parse("a").unwrap(), AgentId::parse("b").unwrap());
        assert!(limits.charge_request(&a).is_ok());
        assert!(limits.charge_request(&a).is_ok());
        let refused = limits.charge_request(&a).unwrap_err();
        assert!(
            matches!(
                refused,
                Refusal::SlowDown {
                    retry_after_ms: 1..=30_000
                }
            ),
            "{refused:?}"
        );
        assert!(limits.charge_request(&b).is_ok());
    }

    #[test]
    fn each_rate_changes_while_it_binds_and_the_same_one_goes_on() {
        let limits = Limits::new(&Rates::default());
        let id = AgentId::parse("a").unwrap();
        let kinds: [(Of, Charge); 3] = [
            (
                |requests| Rates {
                    requests,
                    ..Rates::default()
                },
                Limits::charge_request,
            ),
            (
                |introspections| Rates {
                    introspections,
                    ..Rates::default()
                },
                Limits::charge_introspection,
            ),
            (
                |revocations| Rates {
                    revocations,
                    ..Rates::default()
                },
                Limits::charge_revocation,
            ),
        ];
        for (rates, charge) in kinds {
            for _ in 0..10 {
                assert!(charge(&limits, &id).is_ok());
            }
            limits.set(&rates(1));
            assert!(charge(&limits, &id).is_ok());
            assert!(charge(&limits, &id).is_err());
            limits.set(&rates(1));
            assert!(
                charge(&limits, &id).is_err(),
                "an unchanged rate starts no new minute"
            );
            limits.set(&rates(2));
            assert!(charge(&limits, &id).is_ok());
            limits.set(&Rates::default());
        }
    }
}
