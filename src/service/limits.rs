//! Rates: requests, introspections and revocations of an agent after it was authenticated, failed logins of a
//! source.
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

use super::failures::Failures;

/// The rate of each agent, and what it was made from.
struct Requests {
    per_minute: NonZeroU32,
    limiter: DefaultKeyedRateLimiter<AgentId>,
}

/// The limits of this process.
pub struct Limits {
    requests: ArcSwapOption<Requests>,
    introspections: Option<DefaultKeyedRateLimiter<AgentId>>,
    revocations: Option<DefaultKeyedRateLimiter<AgentId>>,
    /// Failed logins that cost a hash.
    pub failures: Arc<Failures>,
    clock: DefaultClock,
}

fn requests(per_minute: u32) -> Option<Arc<Requests>> {
    let per_minute = NonZeroU32::new(per_minute)?;
    let limiter = RateLimiter::keyed(Quota::per_minute(per_minute));
    Some(Arc::new(Requests { per_minute, limiter }))
}

impl Limits {
    /// Per minute; 0 switches a limit off.
    pub fn new(requests_per_minute: u32, failures_per_minute: u32) -> Self {
        Self {
            requests: ArcSwapOption::new(requests(requests_per_minute)),
            introspections: None,
            revocations: None,
            failures: Arc::new(Failures::new(failures_per_minute)),
            clock: DefaultClock::default(),
        }
    }

    /// With rates for callers of introspection and revocation, per minute; 0 switches one off.
    #[must_use]
    pub fn with_callers(self, introspections_per_minute: u32, revocations_per_minute: u32) -> Self {
        let keyed = |n| NonZeroU32::new(n).map(Quota::per_minute).map(RateLimiter::keyed);
        let (introspections, revocations) = (keyed(introspections_per_minute), keyed(revocations_per_minute));
        Self { introspections, revocations, ..self }
    }

    /// Counts one introspection by an authenticated, active agent.
    pub fn charge_introspection(&self, agent_id: &AgentId) -> Result<(), Refusal> {
        self.charge(self.introspections.as_ref(), agent_id)
    }

    /// Counts one revocation by an authenticated, active agent.
    pub fn charge_revocation(&self, agent_id: &AgentId) -> Result<(), Refusal> {
        self.charge(self.revocations.as_ref(), agent_id)
    }

    /// Another rate of requests from now on; the same one goes on where it was.
    pub fn set_requests(&self, per_minute: u32) {
        let running = self.requests.load().as_ref().map_or(0, |requests| requests.per_minute.get());
        if running != per_minute {
            self.requests.store(requests(per_minute));
        }
    }

    /// Counts one request of an authenticated, active agent.
    pub fn charge_request(&self, agent_id: &AgentId) -> Result<(), Refusal> {
        self.charge(self.requests.load().as_ref().map(|requests| &requests.limiter), agent_id)
    }

    fn charge(
        &self,
        limiter: Option<&DefaultKeyedRateLimiter<AgentId>>,
        agent_id: &AgentId,
    ) -> Result<(), Refusal> {
        let Some(limiter) = limiter else { return Ok(()) };
        limiter.check_key(agent_id).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            // Rounded up: coming a moment too early would be refused again.
            let millis = wait.as_nanos().div_ceil(1_000_000);
            Refusal::SlowDown { retry_after_ms: u64::try_from(millis).unwrap_or(u64::MAX) }
        })
    }

    /// Forgets keys that are back at their full allowance, so that the tables stay bounded.
    pub fn sweep(&self) {
        let requests = self.requests.load();
        let requests = requests.as_ref().map(|requests| &requests.limiter);
        let others = [self.introspections.as_ref(), self.revocations.as_ref()];
        for limiter in others.into_iter().chain([requests]).flatten() {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
        self.failures.sweep(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_switches_a_limit_off() {
        let limits = Limits::new(0, 0);
        let id = AgentId::parse("a").unwrap();
        for _ in 0..1_000 {
            assert!(limits.charge_request(&id).is_ok());
        }
    }

    #[test]
    fn an_agent_over_its_rate_is_told_when_to_come_again() {
        let limits = Limits::new(2, 0);
        let (a, b) = (AgentId::parse("a").unwrap(), AgentId::parse("b").unwrap());
        assert!(limits.charge_request(&a).is_ok());
        assert!(limits.charge_request(&a).is_ok());
        let refused = limits.charge_request(&a).unwrap_err();
        assert!(matches!(refused, Refusal::SlowDown { retry_after_ms: 1..=30_000 }), "{refused:?}");
        assert!(limits.charge_request(&b).is_ok());
    }
}
