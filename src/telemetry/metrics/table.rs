//! The table of all metrics: name, kind, labels with their known values, and meaning.
//!
//! Owns the names, which `docs/watching.md` lists too. Must not know what is counted when. A label's
//! value is one of a few fixed words, never an id or anything that a caller sent, so that the number
//! of time series is bounded.

pub(super) const BUILD_INFO: &str = "sealwright_build_info";
pub(super) const REQUESTS: &str = "sealwright_http_requests_total";
pub(super) const REQUEST_SECONDS: &str = "sealwright_http_request_duration_seconds";
pub(super) const REFUSALS: &str = "sealwright_refused_requests_total";
pub(super) const FAILED_REQUESTS: &str = "sealwright_failed_requests_total";
pub(super) const SHED: &str = "sealwright_shed_total";
pub(super) const TOKEN_REQUESTS: &str = "sealwright_token_requests_total";
pub(super) const TOKEN_SECONDS: &str = "sealwright_token_duration_seconds";
pub(super) const BATCH_SIZE: &str = "sealwright_token_batch_size";
pub(super) const BATCH_SECONDS: &str = "sealwright_token_batch_duration_seconds";
pub(super) const INTROSPECTIONS: &str = "sealwright_introspections_total";
pub(super) const CREDENTIAL_CACHE: &str = "sealwright_credential_cache_total";
pub(super) const CACHED_PROOFS: &str = "sealwright_credential_cache_entries";
pub(super) const HASHES: &str = "sealwright_hashes_total";
pub(super) const HASH_SECONDS: &str = "sealwright_hash_duration_seconds";
pub(super) const HASH_QUEUE: &str = "sealwright_hash_queue";
pub(super) const HASH_WORK: &str = "sealwright_hash_work_total";
pub(super) const HASH_SHED: &str = "sealwright_hash_shed_total";
pub(super) const STORE_ERRORS: &str = "sealwright_store_errors_total";
pub(super) const STORE_WAIT: &str = "sealwright_store_wait_seconds";
pub(super) const STORE_QUEUE: &str = "sealwright_store_queue";
pub(super) const STORE_CONNECTIONS: &str = "sealwright_store_connections";
pub(super) const REVOCATIONS: &str = "sealwright_token_revocations_total";
pub(super) const LIST_VERSION: &str = "sealwright_revocation_list_version";
pub(super) const LIST_ENTRIES: &str = "sealwright_revocation_list_entries";
pub(super) const LIST_BYTES: &str = "sealwright_revocation_list_bytes";
pub(super) const LIST_AGE: &str = "sealwright_revocation_list_age_seconds";
pub(super) const HELD_POLLS: &str = "sealwright_held_polls";
pub(super) const CONVERGENCE: &str = "sealwright_revocation_convergence_seconds";
pub(super) const VERIFIERS: &str = "sealwright_verifiers";
pub(super) const VERIFIER_LAG: &str = "sealwright_verifier_lag_seconds";
pub(super) const UNLISTED_TOKENS: &str = "sealwright_unlisted_tokens";
pub(super) const KEYS: &str = "sealwright_signing_keys";
pub(super) const KEY_AGE: &str = "sealwright_signing_key_age_seconds";
pub(super) const NEXT_ROTATION: &str = "sealwright_next_key_rotation_seconds";
pub(super) const KEYS_AGE: &str = "sealwright_signing_keys_read_age_seconds";
pub(super) const LEDGER_LAG_EVENTS: &str = "sealwright_ledger_lag_events";
pub(super) const LEDGER_LAG_SECONDS: &str = "sealwright_ledger_lag_seconds";
pub(super) const NEAR_QUOTA: &str = "sealwright_agents_near_quota";
pub(super) const PARTNER_KEYS: &str = "sealwright_partner_key_fetches_total";
pub(super) const CLOCK_AHEAD: &str = "sealwright_clock_ahead_seconds";

/// What a metric is.
pub(super) enum Kind {
    /// A number that only grows while the process runs.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// A histogram, with the upper bounds of its buckets.
    Histogram(&'static [f64]),
    /// A metric of the process, which `process` reads when it is asked for: `counter` or `gauge`.
    Process(&'static str),
}

/// The values of a label.
pub(super) enum LabelValues {
    /// These words and no other.
    Words(&'static [&'static str]),
    /// The patterns of the routes, and what follows from them. The series of a route begin when the
    /// route is made.
    OfRoutes,
    /// The version of this program.
    Version,
    /// The words of the store in use. Its series begin when the store is opened.
    OfStore,
}

/// One metric.
pub(super) struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [(&'static str, LabelValues)],
    pub help: &'static str,
}

use Kind::{Counter, Gauge, Histogram, Process};
use LabelValues::{OfRoutes, OfStore, Version, Words};

/// From a token in half a millisecond to a response for which no client still waits.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Every reason for which a request may be refused, as `RefusalReason` writes it.
const REASONS: &[&str] = &[
    "unknown_client",
    "wrong_secret",
    "no_credentials",
    "assertion_format",
    "assertion_header",
    "assertion_algorithm",
    "assertion_type",
    "assertion_subject",
    "assertion_issuer",
    "assertion_audience",
    "assertion_expiry",
    "assertion_time",
    "assertion_jti",
    "assertion_signature",
    "assertion_spent",
    "assertion_age",
    "assertion_claim",
    "assertion_partner",
    "suspended",
    "expired",
    "decommissioned",
    "org_suspended",
    "rate",
    "scope",
    "audience",
    "quota",
    "code",
    "malformed",
    "unavailable",
];

/// The outcomes of token requests: a token, or an error code.
const OUTCOMES: &[&str] = &[
    "issued",
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "invalid_scope",
    "invalid_target",
    "unauthorized_client",
    "unsupported_grant_type",
    "slow_down",
    "temporarily_unavailable",
    "server_error",
];

/// The ways to ask for a token, as the dialects are named.
pub(super) const DIALECTS: &[&str] = &["rfc6749", "oculus_orum", "airisk"];

const HASH_LANES: &[(&str, LabelValues)] = &[("lane", Words(&["own", "foreign", "suspect"]))];

#[rustfmt::skip]
pub(super) const METRICS: &[Metric] = &[
    row(BUILD_INFO,         Gauge,              &[("version", Version)], "Always 1; the label tells the version."),
    row(REQUESTS,           Counter,            &[("route", OfRoutes), ("status", OfRoutes), ("reason", OfRoutes)], "Answered requests by route, status code, and reason if refused (otherwise none)."),
    row(REQUEST_SECONDS,    Histogram(SECONDS), &[("route", OfRoutes)], "Seconds from a request's head to its answer, by route, without the time that it was held for news."),
    row(REFUSALS,           Counter,            &[("reason", Words(REASONS))], "Refused requests by reason, as in the log."),
    row(FAILED_REQUESTS,    Counter,            &[("kind", Words(&["unavailable", "too_slow", "fault"]))], "Requests that could not be served, by kind: the store was unavailable, the route's deadline passed, or fault."),
    row(SHED,               Counter,            &[("of", Words(&["connections", "connections_of_source", "bodies", "store_queue", "held_polls"]))], "Connections and requests that were told to come again, by what there was too much of."),
    row(TOKEN_REQUESTS,     Counter,            &[("outcome", Words(OUTCOMES))], "Token requests by outcome: issued, or why not."),
    row(TOKEN_SECONDS,      Histogram(SECONDS), &[("dialect", Words(DIALECTS))], "Seconds from the head of a request to its token, by dialect."),
    row(BATCH_SIZE,         Histogram(SIZES),   &[], "Tokens counted by one statement."),
    row(BATCH_SECONDS,      Histogram(SECONDS), &[], "Seconds until a batch of tokens was committed, repetitions included."),
    row(INTROSPECTIONS,     Counter,            &[("result", Words(&["active", "inactive"]))], "Introspections by answer: active or inactive."),
    row(CREDENTIAL_CACHE,   Counter,            &[("result", Words(&["hit", "miss"]))], "Secrets that were known as proven (hit) or had to be hashed (miss)."),
    row(CACHED_PROOFS,      Gauge,              &[], "Proven secrets that are remembered."),
    row(HASHES,             Counter,            &[], "Password hashes computed, to make a credential or to check a secret."),
    row(HASH_SECONDS,       Histogram(SECONDS), HASH_LANES, "Seconds that a hash took with its wait in the queue, by lane."),
    row(HASH_QUEUE,         Gauge,              HASH_LANES, "Hashes that wait for a thread, by lane."),
    row(HASH_WORK,          Counter,            &[("kind", Words(&["bcrypt", "argon2"]))], "What password hashes cost: bcrypt in rounds, argon2 in KiB written."),
    row(HASH_SHED,          Counter,            &[], "Logins turned away because the hash queue was full."),
    row(STORE_ERRORS,       Counter,            &[("kind", Words(&["unavailable", "fault"]))], "Calls of the database that failed, repeated ones included, by kind."),
    row(STORE_WAIT,         Histogram(SECONDS), &[("lane", OfStore)], "Seconds that a call waited for a connection, or for its turn to write, by lane."),
    row(STORE_QUEUE,        Gauge,              &[("queue", Words(&["tokens", "exchanges", "assertions", "standings", "revocations"]))], "Requests that wait to be sent to the store together, by queue."),
    row(STORE_CONNECTIONS,  Gauge,              &[("lane", OfStore), ("state", Words(&["used", "idle"]))], "Open connections to the database, by lane and state."),
    row(REVOCATIONS,        Counter,            &[], "Single tokens revoked through this process."),
    row(LIST_VERSION,       Gauge,              &[], "The version of the revocation list that this process serves."),
    row(LIST_ENTRIES,       Gauge,              &[("kind", Words(&["token", "agent", "org", "keys"]))], "Entries of the revocation list: tokens revoked one by one, killed agents and organizations, and revocations of signing keys."),
    row(LIST_BYTES,         Gauge,              &[], "Size of the revocation list as it was last written, in bytes."),
    row(LIST_AGE,           Gauge,              &[], "Seconds since the news of the revocation list were last read."),
    row(HELD_POLLS,         Gauge,              &[], "Requests for the revocation list that are held until there is news."),
    row(CONVERGENCE,        Histogram(SECONDS), &[], "Seconds from the commit of a version of the revocation list until every known verifier enforced it."),
    row(VERIFIERS,          Gauge,              &[("state", Words(&["converged", "behind", "silent", "unauthenticated"]))], "Verifiers by what they say of the present revocation list: converged, behind, silent, or without a proof of who they are."),
    row(VERIFIER_LAG,       Gauge,              &[], "Seconds since the commit of the present revocation list, while a verifier that was seen lately does not enforce it; otherwise 0."),
    row(PARTNER_KEYS,       Counter,            &[("outcome", Words(&["fetched", "failed"]))], "Fetches of the keys of partners, by outcome."),
    row(UNLISTED_TOKENS,    Gauge,              &[], "Live tokens of killed agents that revoked_jtis has no room for."),
    row(KEYS,               Gauge,              &[("state", Words(&["announced", "signing", "retiring"]))], "Published keys by state."),
    row(KEY_AGE,            Gauge,              &[], "Seconds since the signing key began to sign."),
    row(NEXT_ROTATION,      Gauge,              &[], "Seconds until the next key signs; +Inf if none is announced."),
    row(KEYS_AGE,           Gauge,              &[], "Seconds since the keys were last read. After 120 they sign nothing."),
    row(LEDGER_LAG_EVENTS,  Gauge,              &[], "Events that the tamper-evident log does not cover yet, at most."),
    row(LEDGER_LAG_SECONDS, Gauge,              &[], "Age in seconds of the oldest event that the tamper-evident log does not cover yet."),
    row(NEAR_QUOTA,         Gauge,              &[], "Agents that have used at least 80 % of the month's tokens of their plan."),
    row(CLOCK_AHEAD,        Gauge,              &[], "Seconds by which this machine's clock is ahead of the database's."),
    row("process_cpu_seconds_total",     Process("counter"), &[], "Seconds of processor time that the process has used."),
    row("process_resident_memory_bytes", Process("gauge"),   &[], "Memory of the process that is in RAM, in bytes."),
    row("process_virtual_memory_bytes",  Process("gauge"),   &[], "Address space of the process, in bytes."),
    row("process_open_fds",              Process("gauge"),   &[], "Open file descriptors."),
    row("process_max_fds",               Process("gauge"),   &[], "The most file descriptors that the process may open."),
    row("process_threads",               Process("gauge"),   &[], "Threads of the process."),
    row("process_start_time_seconds",    Process("gauge"),   &[], "When the process started, in seconds since 1970."),
];

const fn row(
    name: &'static str,
    kind: Kind,
    labels: &'static [(&'static str, LabelValues)],
    help: &'static str,
) -> Metric {
    Metric {
        name,
        kind,
        labels,
        help,
    }
}
