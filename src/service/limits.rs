//! Rates: requests of an agent after it was authenticated, failures of a source that cost a hash.
//!
//! Owns both limits (contract D6, security: verify first, throttle after). Must not know HTTP.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::domain::id::AgentId;
use crate::domain::refusal::Refusal;

/// How many failures a source may make at once before the rate binds.
const FAILURE_BURST: u32 = 20;

/// The limits of this process.
pub struct Limits {
    requests: Option<DefaultKeyedRateLimiter<AgentId>>,
    failures: Option<DefaultKeyedRateLimiter<IpAddr>>,
    clock: DefaultClock,
}

impl Limits {
    /// Per minute; 0 switches a limit off.
    pub fn new(requests_per_minute: u32, failures_per_minute: u32) -> Self {
        let requests = NonZeroU32::new(requests_per_minute).map(Quota::per_minute);
        let burst = NonZeroU32::new(FAILURE_BURST).unwrap_or(NonZeroU32::MIN);
        let failures = NonZeroU32::new(failures_per_minute).map(|n| Quota::per_minute(n).allow_burst(burst));
        Self {
            requests: requests.map(RateLimiter::keyed),
            failures: failures.map(RateLimiter::keyed),
            clock: DefaultClock::default(),
        }
    }

    /// Counts one request of an authenticated, active agent.
    pub fn charge_request(&self, agent_id: &AgentId) -> Result<(), Refusal> {
        self.requests.as_ref().map_or(Ok(()), |limiter| self.charge(limiter, agent_id))
    }

    /// Counts one failure that cost a hash. Sources are counted by prefix, /24 and /48, since an
    /// attacker owns whole ones; without an address all count together.
    pub fn charge_failure(&self, source: Option<IpAddr>) -> Result<(), Refusal> {
        let source = source.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), prefix);
        self.failures.as_ref().map_or(Ok(()), |limiter| self.charge(limiter, &source))
    }

    fn charge<K: std::hash::Hash + Eq + Clone>(
        &self,
        limiter: &DefaultKeyedRateLimiter<K>,
        key: &K,
    ) -> Result<(), Refusal> {
        limiter.check_key(key).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            // Rounded up: coming a moment too early would be refused again.
            let millis = wait.as_nanos().div_ceil(1_000_000);
            Refusal::SlowDown { retry_after_ms: u64::try_from(millis).unwrap_or(u64::MAX) }
        })
    }

    /// Forgets keys that are back at their full allowance, so that the tables stay bounded.
    pub fn sweep(&self) {
        if let Some(limiter) = &self.requests {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
        if let Some(limiter) = &self.failures {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
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

    #[test]
    fn zero_switches_a_limit_off() {
        let limits = Limits::new(0, 0);
        let id = AgentId::parse("a").unwrap();
        for _ in 0..1_000 {
            assert!(limits.charge_request(&id).is_ok());
            assert!(limits.charge_failure(None).is_ok());
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

    #[test]
    fn sources_are_counted_by_prefix() {
        assert_eq!(prefix("10.1.2.3".parse().unwrap()), prefix("10.1.2.200".parse::<IpAddr>().unwrap()));
        assert_eq!(prefix("::ffff:10.1.2.3".parse().unwrap()), prefix("10.1.2.9".parse::<IpAddr>().unwrap()));
        assert_ne!(prefix("10.1.3.3".parse().unwrap()), prefix("10.1.2.3".parse::<IpAddr>().unwrap()));
    }
}
