//! Series that are found once and counted often: those of a route, and those of a lane of the store.
//!
//! Must not know which routes and lanes there are.

use std::borrow::Cow;
use std::time::Duration;

use metrics::{Counter, Histogram, counter, gauge, histogram};

use super::table::{REQUEST_SECONDS, REQUESTS, STORE_CONNECTIONS, STORE_WAIT, TOKEN_SECONDS};

/// The reason of a request that was not refused.
const NO_REASON: &str = "none";

/// The series of one route.
pub(crate) struct RouteSeries {
    route: &'static str,
    seconds: Histogram,
    /// The seconds until a token, if the route issues tokens.
    token_seconds: Option<Histogram>,
    /// The requests that were not refused, by status, the most frequent first.
    answered: Vec<(u16, Counter)>,
}

impl RouteSeries {
    /// Starts the series of this route. `known` has the status codes and reasons to expect; `none`
    /// is the reason of an answer that refuses nothing. `dialect` is its name if the route issues
    /// tokens.
    pub(crate) fn new(
        route: &'static str,
        known: impl IntoIterator<Item = (u16, &'static str)>,
        dialect: Option<&'static str>,
    ) -> Self {
        let mut answered = Vec::new();
        for (status, reason) in known {
            let counter = requests(route, status, reason.into());
            counter.increment(0);
            if reason == NO_REASON {
                answered.push((status, counter));
            }
        }
        Self {
            route,
            seconds: histogram!(REQUEST_SECONDS, "route" => route),
            token_seconds: dialect.map(|dialect| histogram!(TOKEN_SECONDS, "dialect" => dialect)),
            answered,
        }
    }

    /// Counts a request that was answered with this status after this time. `reason` tells why it
    /// was refused.
    pub(crate) fn count(&self, status: u16, reason: Option<Cow<'static, str>>, took: Duration) {
        let seconds = took.as_secs_f64();
        self.seconds.record(seconds);
        if let (None, Some(token_seconds)) = (&reason, &self.token_seconds) {
            token_seconds.record(seconds);
        }
        let known = self.answered.iter().find(|(other, _)| *other == status);
        match (reason, known) {
            (None, Some((_, counter))) => counter.increment(1),
            (reason, _) => {
                let reason = reason.unwrap_or(NO_REASON.into());
                requests(self.route, status, reason).increment(1);
            }
        }
    }
}

fn requests(route: &'static str, status: u16, reason: Cow<'static, str>) -> Counter {
    let status = status.to_string();
    counter!(REQUESTS, "route" => route, "status" => status, "reason" => reason)
}

/// The series of one lane of the store.
pub(crate) struct LaneSeries {
    wait: Histogram,
}

impl LaneSeries {
    /// Starts the series of this lane.
    pub(crate) fn of(lane: &'static str) -> Self {
        for state in ["used", "idle"] {
            gauge!(STORE_CONNECTIONS, "lane" => lane, "state" => state).set(0.0);
        }
        Self {
            wait: histogram!(STORE_WAIT, "lane" => lane),
        }
    }

    /// Records how long a call waited for a connection, or for its turn to write.
    pub(crate) fn waited(&self, wait: Duration) {
        self.wait.record(wait.as_secs_f64());
    }
}

impl std::fmt::Debug for LaneSeries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LaneSeries").finish_non_exhaustive()
    }
}
