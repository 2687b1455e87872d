//! What is set rather than counted: numbers that loops read from memory or from the store.
//!
//! Must not know how they are read.

use std::time::Duration;

use metrics::gauge;

use super::table::{
    CACHED_PROOFS, CLOCK_AHEAD, HASH_QUEUE, HELD_POLLS, KEY_AGE, KEYS, KEYS_AGE, LEDGER_LAG_EVENTS,
    LEDGER_LAG_SECONDS, LIST_AGE, LIST_BYTES, LIST_ENTRIES, LIST_VERSION, NEAR_QUOTA,
    NEXT_ROTATION, STORE_CONNECTIONS, STORE_QUEUE, UNLISTED_TOKENS, VERIFIER_LAG, VERIFIERS,
};

/// Sets how many hashes wait in this lane.
pub(crate) fn hash_queue(lane: &'static str, waiting: u64) {
    gauge!(HASH_QUEUE, "lane" => lane).set(float(waiting));
}

/// Sets how many proven secrets are remembered.
pub(crate) fn cached_proofs(proofs: u64) {
    gauge!(CACHED_PROOFS).set(float(proofs));
}

/// Sets how many requests wait in this queue of the store.
pub(crate) fn store_queue(queue: &'static str, waiting: u64) {
    gauge!(STORE_QUEUE, "queue" => queue).set(float(waiting));
}

/// Sets how many connections of this lane are in use, and how many are open and idle.
pub(crate) fn store_connections(lane: &'static str, used: u64, idle: u64) {
    gauge!(STORE_CONNECTIONS, "lane" => lane, "state" => "used").set(float(used));
    gauge!(STORE_CONNECTIONS, "lane" => lane, "state" => "idle").set(float(idle));
}

/// Sets how many live tokens of killed agents have no room in the revocation list.
pub(crate) fn unlisted_tokens(tokens: u64) {
    gauge!(UNLISTED_TOKENS).set(float(tokens));
}

/// Sets how many requests are held until there is news of the revocation list.
pub(crate) fn held_polls(polls: u64) {
    gauge!(HELD_POLLS).set(float(polls));
}

/// What the revocation list holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListMeasure {
    /// The version that this process serves.
    pub version: u64,
    /// Tokens that were revoked one by one.
    pub tokens: u64,
    /// Killed agents.
    pub agents: u64,
    /// Killed organizations.
    pub orgs: u64,
    /// Revocations of signing keys.
    pub keys: u64,
    /// The size of the written list.
    pub bytes: u64,
    /// How long ago the news were read.
    pub age: Duration,
}

/// Sets the gauges of the revocation list.
pub(crate) fn revocation_list(list: &ListMeasure) {
    gauge!(LIST_VERSION).set(float(list.version));
    gauge!(LIST_ENTRIES, "kind" => "token").set(float(list.tokens));
    gauge!(LIST_ENTRIES, "kind" => "agent").set(float(list.agents));
    gauge!(LIST_ENTRIES, "kind" => "org").set(float(list.orgs));
    gauge!(LIST_ENTRIES, "kind" => "keys").set(float(list.keys));
    gauge!(LIST_BYTES).set(float(list.bytes));
    gauge!(LIST_AGE).set(list.age.as_secs_f64());
}

/// What the verifiers say of the present revocation list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VerifiersMeasure {
    /// Those that were seen lately and enforce it.
    pub converged: u64,
    /// Those that were seen lately and do not.
    pub behind: u64,
    /// Those that were not seen lately.
    pub silent: u64,
    /// Names that nobody has proven.
    pub unauthenticated: u64,
    /// Since when it is committed, if one that was seen lately does not enforce it.
    pub lag: Duration,
}

/// Sets the gauges of the verifiers.
pub(crate) fn verifiers(verifiers: &VerifiersMeasure) {
    for (state, count) in [
        ("converged", verifiers.converged),
        ("behind", verifiers.behind),
        ("silent", verifiers.silent),
        ("unauthenticated", verifiers.unauthenticated),
    ] {
        gauge!(VERIFIERS, "state" => state).set(float(count));
    }
    gauge!(VERIFIER_LAG).set(verifiers.lag.as_secs_f64());
}

/// The signing keys as they were last read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeysMeasure {
    /// How many keys are announced, signing and retiring.
    pub states: [(&'static str, u64); 3],
    /// For how long the signing key has signed.
    pub signing_for: Duration,
    /// When the next key signs. `None` if none is announced.
    pub next_in: Option<Duration>,
    /// How long ago the keys were read.
    pub age: Duration,
}

/// Sets the gauges of the signing keys.
pub(crate) fn signing_keys(keys: &KeysMeasure) {
    for (state, count) in keys.states {
        gauge!(KEYS, "state" => state).set(float(count));
    }
    gauge!(KEY_AGE).set(keys.signing_for.as_secs_f64());
    let next = keys
        .next_in
        .map_or(f64::INFINITY, |next| next.as_secs_f64());
    gauge!(NEXT_ROTATION).set(next);
    gauge!(KEYS_AGE).set(keys.age.as_secs_f64());
}

/// Sets how many agents have used most of the month's tokens.
pub(crate) fn agents_near_quota(agents: u64) {
    gauge!(NEAR_QUOTA).set(float(agents));
}

/// Sets by how many seconds this machine's clock is ahead of the database's.
pub(crate) fn clock_ahead(seconds: f64) {
    gauge!(CLOCK_AHEAD).set(seconds);
}

/// Sets how many events are not logged yet, and the age of the oldest in seconds.
pub(crate) fn ledger_lag(events: u64, seconds: u64) {
    gauge!(LEDGER_LAG_EVENTS).set(float(events));
    gauge!(LEDGER_LAG_SECONDS).set(float(seconds));
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a metric is a float; the numbers are far below 2^53"
)]
fn float(number: u64) -> f64 {
    number as f64
}
