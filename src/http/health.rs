//! `GET /livez` and `/readyz`. Liveness never touches the database; readiness reads from it once a second
//! and writes to it once in five, whoever asks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use tokio::sync::Mutex;

use crate::service::clock;
use crate::service::issue::Mint;
use crate::store::Store;

use super::error::Failure;
use super::extract::Incoming;
use super::reply;
use super::state::{Draining, State};

/// How long one look at the database is good for.
const KEPT: Duration = Duration::from_secs(1);

/// How long one write is good for.
const WRITE_KEPT: Duration = Duration::from_secs(5);

/// How long a look may take: a prober's patience is short.
const PATIENCE: Duration = Duration::from_millis(900);

/// Whether this process should be sent requests.
pub struct Health {
    draining: Arc<Draining>,
    store: Arc<dyn Store>,
    read: Look,
    written: Look,
}

/// When the database was last looked at, and whether that went well.
type Look = Mutex<Option<(Instant, bool)>>;

/// One thing that readiness rests on.
struct Check {
    name: &'static str,
    passed: bool,
    /// What is told when it did not.
    reason: &'static str,
}

impl Health {
    /// Ready until `draining` begins, while the database answers and tokens can be counted.
    pub fn new(draining: Arc<Draining>, store: Arc<dyn Store>) -> Self {
        Self { draining, store, read: Look::default(), written: Look::default() }
    }

    async fn store_answers(&self) -> bool {
        looked(&self.read, KEPT, self.store.ping()).await
    }

    /// On the way of a token, so that its queue, its connection, its rights and the disk are asked.
    async fn tokens_are_counted(&self, mint: &Mint) -> bool {
        looked(&self.written, WRITE_KEPT, mint.count_nobody()).await
    }
}

/// What the last look found, or a new one when that is older than `kept`.
async fn looked<E>(last: &Look, kept: Duration, look: impl Future<Output = Result<(), E>>) -> bool {
    // One look at a time: whoever waits here finds the answer of the one before.
    let mut last = last.lock().await;
    if let Some((at, passed)) = *last
        && at.elapsed() < kept
    {
        return passed;
    }
    let passed = matches!(tokio::time::timeout(PATIENCE, look).await, Ok(Ok(())));
    *last = Some((Instant::now(), passed));
    passed
}

/// Everything that readiness rests on; the first that did not pass is the reason that is told.
async fn checks(state: &State) -> [Check; 5] {
    let health = &state.health;
    let (answers, counts) = tokio::join!(health.store_answers(), health.tokens_are_counted(&state.mint));
    let check = |name, passed, reason| Check { name, passed, reason };
    [
        check("draining", !health.draining.has_begun(), "draining"),
        check("signing_key", state.keyring.can_sign(), "no signing key"),
        check("clock", !clock::is_off(&state.mint.clock), "this machine's clock differs from the database's"),
        check("database", answers, "database"),
        check("writes", counts, "the database cannot be written"),
    ]
}

/// 200 as long as the process can answer at all.
pub async fn get_livez(_: Arc<State>, _: Incoming) -> Result<Response, Failure> {
    Ok(reply::json(StatusCode::OK, "{\"status\":\"ok\"}"))
}

/// 200 when tokens can be issued: not draining, a signing key at hand, a clock that agrees with the
/// database's, the database answering and taking what is written. With `?verbose` each of these is told.
pub async fn get_readyz(state: Arc<State>, incoming: Incoming) -> Result<Response, Failure> {
    let checks = checks(&state).await;
    let failed = checks.iter().find(|check| !check.passed);
    let (status, word) = match failed {
        None => (StatusCode::OK, "ok"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    // All words are this file's own, and need no escape.
    let member = |name: &str, value: &str| format!("\"{name}\":\"{value}\"");
    let mut members = vec![member("status", word)];
    members.extend(failed.map(|failed| member("reason", failed.reason)));
    if url::form_urlencoded::parse(incoming.query.as_bytes()).any(|(name, _)| name == "verbose") {
        let told = |check: &Check| member(check.name, if check.passed { "ok" } else { check.reason });
        let all: Vec<String> = checks.iter().map(told).collect();
        members.push(format!("\"checks\":{{{}}}", all.join(",")));
    }
    let body = format!("{{{}}}", members.join(","));
    let mut response = reply::json(status, body);
    if failed.is_some() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(response)
}
