//! What a response must look like while the database is away.

use std::time::Duration;

use super::answer_within;
use super::client::Reply;

/// Demands a 503 with `Retry-After`, within [`answer_within`], in the shape of the canonical paths.
pub fn expect_unavailable(what: &str, reply: &Reply) {
    assert_eq!(reply.status, 503, "{what}: {}", reply.text());
    assert!(
        reply.took <= answer_within(),
        "{what}: answered after {} ms",
        reply.took.as_millis()
    );
    let seconds: u64 = reply
        .header("retry-after")
        .and_then(|v| v.parse().ok())
        .unwrap_or(0);
    assert!(seconds > 0, "{what}: no Retry-After: {}", reply.head);
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(
        reply.header("content-type"),
        Some("application/json"),
        "{what}"
    );
    let body = reply.json();
    assert_eq!(body["error"], "temporarily_unavailable", "{what}");
    assert!(body["error_description"].is_string(), "{what}");
}

/// Demands that no response of a whole load took longer than [`answer_within`].
pub fn expect_in_time(times: &[Duration]) {
    let most = times.iter().max().copied().unwrap_or_default();
    assert!(
        most <= answer_within(),
        "an answer took {} ms",
        most.as_millis()
    );
}

/// The time, in seconds, that this share of a load's responses took at most.
pub fn percentile(times: &[Duration], percent: usize) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100].as_secs_f64()
}
