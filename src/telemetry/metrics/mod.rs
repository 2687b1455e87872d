//! What is counted and measured. To add a metric, add a row to `table` and a function here.
//!
//! Owns when a series begins: every series of a known label value exists from the start, because an
//! alert on the increase of a counter works only if the counter was at zero before. `table` has the
//! names, `gauges` what is set, `series` the series of a route and of a lane of the store, which are found once and counted
//! often, `process` what the process uses. Must not know why something is counted. Counting is a few
//! atomic operations without a lock.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::Duration;

use metrics::{
    Label, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

mod gauges;
mod process;
mod series;
mod table;

pub(crate) use gauges::{
    KeysMeasure, ListMeasure, VerifiersMeasure, agents_near_quota, cached_proofs, clock_ahead,
    hash_queue, held_polls, ledger_lag, revocation_list, signing_keys, store_connections,
    store_queue, unlisted_tokens, verifiers,
};
pub(crate) use series::{LaneSeries, RouteSeries};
use table::{
    BATCH_SECONDS, BATCH_SIZE, BUILD_INFO, CONVERGENCE, CREDENTIAL_CACHE, FAILED_REQUESTS,
    HASH_SECONDS, HASH_SHED, HASH_WORK, HASHES, INTROSPECTIONS, Kind, LabelValues, METRICS, Metric,
    NEXT_ROTATION, PARTNER_KEYS, REFUSALS, REVOCATIONS, SHED, STORE_ERRORS, TOKEN_REQUESTS,
};

/// The outcome of a token request that got its token.
const ISSUED: &str = "issued";

/// The series that every token counts in. Finding a series costs more than counting, so these are
/// found once.
struct TokenSeries {
    issued: metrics::Counter,
    known_secrets: metrics::Counter,
    batch_size: metrics::Histogram,
    batch_seconds: metrics::Histogram,
}

static TOKEN_SERIES: OnceLock<TokenSeries> = OnceLock::new();

/// Counts a token request that got its token.
pub(crate) fn token_issued() {
    if let Some(series) = TOKEN_SERIES.get() {
        series.issued.increment(1);
    }
}

/// Counts a token request that got an error with this code.
pub(crate) fn token_refused(code: &'static str) {
    counter!(TOKEN_REQUESTS, "outcome" => code).increment(1);
}

/// Records how many tokens one statement counted, and how long it took.
pub(crate) fn batch(grants: usize, took: Duration) {
    // The batcher's limit is far below 2^53, from where an `f64` would round.
    #[expect(clippy::cast_precision_loss)]
    let grants = grants as f64;
    if let Some(series) = TOKEN_SERIES.get() {
        series.batch_size.record(grants);
        series.batch_seconds.record(took.as_secs_f64());
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

/// Counts a request that could not be served. `kind` is `unavailable`, `too_slow` or `fault`.
pub(crate) fn failed_request(kind: &'static str) {
    counter!(FAILED_REQUESTS, "kind" => kind).increment(1);
}

/// Counts a refused request. `reason` is one of a few words.
pub(crate) fn refused_request(reason: Cow<'static, str>) {
    counter!(REFUSALS, "reason" => reason).increment(1);
}

/// Records how long a hash took, with its wait in the queue of this lane.
pub(crate) fn hash_seconds(lane: &'static str, took: Duration) {
    histogram!(HASH_SECONDS, "lane" => lane).record(took.as_secs_f64());
}

/// Counts a call of the database that failed. `kind` is `unavailable` or `fault`.
pub(crate) fn store_error(kind: &'static str) {
    counter!(STORE_ERRORS, "kind" => kind).increment(1);
}

/// Records how long it took until every known verifier enforced a version of the revocation list.
pub(crate) fn convergence(took: Duration) {
    histogram!(CONVERGENCE).record(took.as_secs_f64());
}

/// Counts a fetch of a partner's keys.
pub(crate) fn partner_keys_fetched(is_ok: bool) {
    counter!(PARTNER_KEYS, "outcome" => if is_ok { "fetched" } else { "failed" }).increment(1);
}

/// Counts the revocation of a single token.
pub(crate) fn token_revoked() {
    counter!(REVOCATIONS).increment(1);
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
    /// Requests that wait for the store.
    StoreQueue,
    /// Requests that wait for news of the revocation list.
    HeldPolls,
}

impl Shed {
    fn word(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsOfSource => "connections_of_source",
            Self::Bodies => "bodies",
            Self::StoreQueue => "store_queue",
            Self::HeldPolls => "held_polls",
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
        for metric in METRICS {
            if let Kind::Histogram(buckets) = metric.kind {
                let name = Matcher::Full(metric.name.to_owned());
                builder = builder.set_buckets_for_metric(name, buckets)?;
            }
        }
        let handle = INSTALLED.get_or_init(|| {
            let recorder = builder.build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_ok() {
                start_series();
            }
            handle
        });
        Ok(Self(handle.clone()))
    }

    /// All metrics in the Prometheus text format, version 0.0.4.
    pub fn render(&self) -> String {
        let mut text = self.0.render();
        process::write(&mut text);
        text
    }

    /// Folds the recorded values into the histograms. Call this every few seconds: otherwise memory
    /// grows until the metrics are read.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

/// Describes every metric, and starts the series of all label values that are known by now.
fn start_series() {
    for metric in METRICS {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
            Kind::Histogram(_) => describe_histogram!(metric.name, metric.help),
            Kind::Process(_) => {}
        }
        for labels in known_labels(metric) {
            match metric.kind {
                Kind::Counter => counter!(metric.name, labels).increment(0),
                Kind::Gauge => gauge!(metric.name, labels).set(0.0),
                Kind::Histogram(_) => drop(histogram!(metric.name, labels)),
                Kind::Process(_) => {}
            }
        }
    }
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    // Until the keys are measured, no rotation is known. Zero would look like one that is due.
    gauge!(NEXT_ROTATION).set(f64::INFINITY);
    TOKEN_SERIES.get_or_init(|| TokenSeries {
        issued: counter!(TOKEN_REQUESTS, "outcome" => ISSUED),
        known_secrets: credential_series(true),
        batch_size: histogram!(BATCH_SIZE),
        batch_seconds: histogram!(BATCH_SECONDS),
    });
}

/// The labels of all series of a metric, or none if a label's values are not known yet.
fn known_labels(metric: &Metric) -> Vec<Vec<Label>> {
    let mut all = vec![vec![]];
    for (label, values) in metric.labels {
        let values = match values {
            LabelValues::Words(words) => *words,
            LabelValues::OfRoutes | LabelValues::OfStore | LabelValues::Version => &[],
        };
        all = all
            .iter()
            .flat_map(|labels: &Vec<Label>| {
                values.iter().map(|value| {
                    let mut labels = labels.clone();
                    labels.push(Label::from_static_parts(label, value));
                    labels
                })
            })
            .collect();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_of_a_known_label_value_exists_from_the_start() {
        let text = Metrics::install().unwrap().render();
        for metric in METRICS {
            let is_of_server = metric
                .labels
                .iter()
                .any(|(_, values)| matches!(values, LabelValues::OfRoutes | LabelValues::OfStore));
            if is_of_server {
                continue;
            }
            let heading = format!("# HELP {} {}\n", metric.name, metric.help);
            assert!(text.contains(&heading), "{heading}\n{text}");
            for labels in known_labels(metric) {
                let labels: Vec<String> = labels
                    .iter()
                    .map(|label| format!("{}=\"{}\"", label.key(), label.value()))
                    .collect();
                let suffix = match metric.kind {
                    Kind::Histogram(_) => "_count",
                    _ => "",
                };
                let labels = match labels.len() {
                    0 => String::new(),
                    _ => format!("{{{}}}", labels.join(",")),
                };
                let series = format!("\n{}{suffix}{labels} ", metric.name);
                assert!(text.contains(&series), "{series}\n{text}");
            }
        }
    }

    #[test]
    fn a_route_and_a_lane_have_their_series_before_they_are_used() {
        let metrics = Metrics::install().unwrap();
        let route = RouteSeries::new(
            "/counted",
            [(200, "none"), (401, "wrong_secret")],
            Some("airisk"),
        );
        let lane = LaneSeries::of("a lane");
        let text = metrics.render();
        for line in [
            "sealwright_http_requests_total{route=\"/counted\",status=\"200\",reason=\"none\"} 0",
            "sealwright_http_requests_total{route=\"/counted\",status=\"401\",reason=\"wrong_secret\"} 0",
            "sealwright_http_request_duration_seconds_count{route=\"/counted\"} 0",
            "sealwright_store_wait_seconds_count{lane=\"a lane\"} 0",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        let took = Duration::from_millis(2);
        route.count(200, None, took);
        route.count(401, Some("wrong_secret".into()), took);
        route.count(418, Some("teapot".into()), took);
        lane.waited(took);
        token_issued();
        batch(3, took);
        let text = metrics.render();
        metrics.upkeep();
        for line in [
            "sealwright_http_requests_total{route=\"/counted\",status=\"200\",reason=\"none\"} 1",
            "sealwright_http_requests_total{route=\"/counted\",status=\"401\",reason=\"wrong_secret\"} 1",
            "sealwright_http_requests_total{route=\"/counted\",status=\"418\",reason=\"teapot\"} 1",
            "sealwright_http_request_duration_seconds_bucket{route=\"/counted\",le=\"0.0025\"} 3",
            "sealwright_store_wait_seconds_bucket{lane=\"a lane\",le=\"0.0025\"} 1",
            "sealwright_token_duration_seconds_bucket{dialect=\"airisk\",le=\"0.0025\"} 1",
            "sealwright_token_batch_size_bucket{le=\"4\"}",
            "process_open_fds ",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
