//! Every metric, its labels and its buckets. To add a metric, add a line in the table and a
//! function.
//!
//! A label's value is one of a few fixed words, never an id or anything that a caller sent, so that
//! the number of time series is bounded.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

const TOKEN_REQUESTS: &str = "sealwright_token_requests_total";
const REQUEST_SECONDS: &str = "sealwright_http_request_duration_seconds";
const BATCH_SIZE: &str = "sealwright_token_batch_size";
const CREDENTIAL_CACHE: &str = "sealwright_credential_cache_total";
const HASHES: &str = "sealwright_hashes_total";
const HASH_WORK: &str = "sealwright_hash_work_total";
const HASH_SHED: &str = "sealwright_hash_shed_total";
const INTROSPECTIONS: &str = "sealwright_introspections_total";
const FAILED_REQUESTS: &str = "sealwright_failed_requests_total";
const REFUSALS: &str = "sealwright_refused_requests_total";
const UNLISTED_TOKENS: &str = "sealwright_unlisted_tokens";
const LEDGER_LAG_EVENTS: &str = "sealwright_ledger_lag_events";
const LEDGER_LAG_SECONDS: &str = "sealwright_ledger_lag_seconds";
const SHED: &str = "sealwright_shed_total";
const BUILD_INFO: &str = "sealwright_build_info";

/// The outcome of a token request that got its token.
const ISSUED: &str = "issued";

enum Kind {
    Counter,
    Gauge,
    /// A histogram, with the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

use Kind::{Counter, Gauge, Histogram};

/// From a token in half a millisecond to a response for which no client still waits.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

#[rustfmt::skip]
const METRICS: &[(&str, Kind, &str)] = &[
    (TOKEN_REQUESTS,   Counter,            "Token requests by outcome: issued, or why not."),
    (REQUEST_SECONDS,  Histogram(SECONDS), "Seconds from a request's head to its answer, by route and status class."),
    (BATCH_SIZE,       Histogram(SIZES),   "Tokens counted by one statement."),
    (CREDENTIAL_CACHE, Counter,            "Secrets that were known as proven (hit) or had to be hashed (miss)."),
    (HASHES,           Counter,            "Password hashes computed, to make a credential or to check a secret."),
    (HASH_WORK,        Counter,            "What password hashes cost: bcrypt in rounds, argon2 in KiB written."),
    (HASH_SHED,        Counter,            "Logins turned away because the hash queue was full."),
    (INTROSPECTIONS,   Counter,            "Introspections by answer: active or inactive."),
    (FAILED_REQUESTS,     Counter,            "Requests that could not be served, by kind: unavailable or fault."),
    (REFUSALS,         Counter,            "Refused requests by reason, as in the log."),
    (UNLISTED_TOKENS,  Gauge,              "Live tokens of killed agents that revoked_jtis has no room for."),
    (LEDGER_LAG_EVENTS,   Gauge,           "Events that the tamper-evident log does not cover yet, at most."),
    (LEDGER_LAG_SECONDS,  Gauge,           "Age in seconds of the oldest event that the tamper-evident log does not cover yet."),
    (SHED,             Counter,            "Connections and requests that were told to come again, by what there was too much of."),
    (BUILD_INFO,       Gauge,              "Always 1; the label tells the version."),
];

/// The series that every token counts in. Finding a series costs more than counting, so these are
/// found once.
struct TokenSeries {
    issued: metrics::Counter,
    known_secrets: metrics::Counter,
    batch_size: metrics::Histogram,
}

static TOKEN_SERIES: OnceLock<TokenSeries> = OnceLock::new();

/// Counts an answered token request. `outcome` is `issued`, or the error code.
pub(crate) fn token_request(outcome: &'static str) {
    if outcome == ISSUED
        && let Some(series) = TOKEN_SERIES.get()
    {
        return series.issued.increment(1);
    }
    counter!(TOKEN_REQUESTS, "outcome" => outcome).increment(1);
}

/// Records an answered request. `route` is the route's pattern, never the path of the request.
pub(crate) fn request(route: &'static str, status: u16, took: Duration) {
    let class = match status / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    };
    histogram!(REQUEST_SECONDS, "route" => route, "status" => class).record(took.as_secs_f64());
}

/// Records how many tokens one statement counted.
pub(crate) fn batch_size(grants: usize) {
    // The batcher's limit is far below 2^53, from where an `f64` would round.
    #[expect(clippy::cast_precision_loss)]
    let grants = grants as f64;
    if let Some(series) = TOKEN_SERIES.get() {
        series.batch_size.record(grants);
    }
}

/// Counts a look-up of a proven secret in the cache.
pub(crate) fn credential_cache(hit: bool) {
    match TOKEN_SERIES.get() {
        Some(series) if hit => series.known_secrets.increment(1),
        _ => credential_series(hit).increment(1),
    }
}

fn credential_series(hit: bool) -> metrics::Counter {
    counter!(CREDENTIAL_CACHE, "result" => if hit { "hit" } else { "miss" })
}

/// Counts a requested hash that got a place in the queue.
pub(crate) fn hash() {
    counter!(HASHES).increment(1);
}

/// Adds the work that was done for one hash, one comparison or both.
pub(crate) fn hash_work(bcrypt_rounds: u64, argon2_kib: u64) {
    counter!(HASH_WORK, "kind" => "bcrypt").increment(bcrypt_rounds);
    counter!(HASH_WORK, "kind" => "argon2").increment(argon2_kib);
}

/// Counts a login that was refused because the hash queue was full.
pub(crate) fn hash_shed() {
    counter!(HASH_SHED).increment(1);
}

/// Counts an answered introspection.
pub(crate) fn introspection(active: bool) {
    counter!(INTROSPECTIONS, "result" => if active { "active" } else { "inactive" }).increment(1);
}

/// Counts a request that could not be served. `kind` is `unavailable` or `fault`.
pub(crate) fn failed_request(kind: &'static str) {
    counter!(FAILED_REQUESTS, "kind" => kind).increment(1);
}

/// Counts a refused request. `reason` is one of a few words.
pub(crate) fn refused_request(reason: Cow<'static, str>) {
    counter!(REFUSALS, "reason" => reason).increment(1);
}

/// Sets how many live tokens of killed agents have no room in the revocation list.
pub(crate) fn unlisted_tokens(tokens: u64) {
    // The count is far below 2^53, from where an `f64` would round.
    #[expect(clippy::cast_precision_loss)]
    gauge!(UNLISTED_TOKENS).set(tokens as f64);
}

/// Sets how many events are not logged yet, and the age of the oldest in seconds.
pub(crate) fn ledger_lag(events: u64, seconds: u64) {
    // Both numbers are far below 2^53, from where an `f64` would round.
    #[expect(clippy::cast_precision_loss)]
    let (events, seconds) = (events as f64, seconds as f64);
    gauge!(LEDGER_LAG_EVENTS).set(events);
    gauge!(LEDGER_LAG_SECONDS).set(seconds);
}

/// The resource of which there was too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shed {
    /// Connections in all.
    Connections,
    /// Connections from one address.
    ConnectionsOfSource,
    /// Bodies that are still arriving.
    Bodies,
}

impl Shed {
    const ALL: [Self; 3] = [Self::Connections, Self::ConnectionsOfSource, Self::Bodies];

    fn word(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsOfSource => "connections_of_source",
            Self::Bodies => "bodies",
        }
    }
}

/// Counts a connection or a request that was told to try again later.
pub(crate) fn shed(what: Shed) {
    counter!(SHED, "of" => what.word()).increment(1);
}

/// Everything that was counted so far, for the operators' listener.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Starts counting, once for each process. Later calls return the same counters. Before the
    /// first call, the functions above do nothing.
    pub fn install() -> Result<Self, BuildError> {
        static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();
        let mut builder = PrometheusBuilder::new();
        for (name, kind, _) in METRICS {
            if let Histogram(buckets) = kind {
                builder =
                    builder.set_buckets_for_metric(Matcher::Full((*name).to_owned()), buckets)?;
            }
        }
        let handle = INSTALLED.get_or_init(|| {
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_ok() {
                describe();
            }
            handle
        });
        Ok(Self(handle.clone()))
    }

    /// All metrics in the Prometheus text format, version 0.0.4.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds the recorded values into the histograms. Call this every few seconds: otherwise memory
    /// grows until the metrics are read.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

/// Describes every metric, and starts the series that must exist before they are counted in.
fn describe() {
    for (name, kind, help) in METRICS {
        match kind {
            Counter => describe_counter!(*name, *help),
            Gauge => describe_gauge!(*name, *help),
            Histogram(_) => describe_histogram!(*name, *help),
        }
    }
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    // An alert on the increase of a counter works only if the counter exists at zero before.
    gauge!(UNLISTED_TOKENS).set(0.0);
    ledger_lag(0, 0);
    counter!(HASHES).increment(0);
    counter!(HASH_SHED).increment(0);
    for what in Shed::ALL {
        counter!(SHED, "of" => what.word()).increment(0);
    }
    hash_work(0, 0);
    TOKEN_SERIES.get_or_init(|| TokenSeries {
        issued: counter!(TOKEN_REQUESTS, "outcome" => ISSUED),
        known_secrets: credential_series(true),
        batch_size: histogram!(BATCH_SIZE),
    });
    for kind in ["unavailable", "fault"] {
        counter!(FAILED_REQUESTS, "kind" => kind).increment(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_of_the_table_is_rendered_with_its_help_and_buckets() {
        let metrics = Metrics::install().unwrap();
        token_request("issued");
        request("/api/v1/token", 200, Duration::from_millis(2));
        batch_size(3);
        credential_cache(true);
        introspection(false);
        refused_request("scope".into());
        let text = Metrics::install().unwrap().render();
        metrics.upkeep();
        for (name, _, help) in METRICS {
            assert!(
                text.contains(&format!("# HELP {name} {help}")),
                "{name}\n{text}"
            );
        }
        for line in [
            "sealwright_token_requests_total{outcome=\"issued\"}",
            "sealwright_http_request_duration_seconds_bucket{route=\"/api/v1/token\",status=\"2xx\",le=\"0.0025\"}",
            "sealwright_token_batch_size_bucket{le=\"4\"}",
            "sealwright_credential_cache_total{result=\"hit\"}",
            "sealwright_hash_shed_total 0",
            "sealwright_ledger_lag_events 0",
            "sealwright_ledger_lag_seconds 0",
            "sealwright_refused_requests_total{reason=\"scope\"} 1",
            "sealwright_introspections_total{result=\"inactive\"}",
            "sealwright_failed_requests_total{kind=\"fault\"} 0",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
