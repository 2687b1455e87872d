//! `GET /livez` and `/readyz`. Liveness never touches the database; readiness does, once a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use tokio::sync::Mutex;

use crate::service::clock;
use crate::store::Store;

use super::error::Failure;
use super::extract::Incoming;
use super::reply;
use super::state::{Draining, State};

/// How long one look at the database is good for.
const KEPT: Duration = Duration::from_secs(1);

/// How long a look may take: a prober's patience is short.
const PATIENCE: Duration = Duration::from_millis(900);

/// Whether this process should be sent requests.
pub struct Health {
    draining: Arc<Draining>,
    store: Arc<dyn Store>,
    last: Mutex<Option<(Instant, bool)>>,
}

impl Health {
    /// Ready until `draining` begins, while the database answers.
    pub fn new(draining: Arc<Draining>, store: Arc<dyn Store>) -> Self {
        Self { draining, store, last: Mutex::new(None) }
    }

    async fn store_answers(&self) -> bool {
        // One look at a time: whoever waits here finds the answer of the one before.
        let mut last = self.last.lock().await;
        if let Some((at, answered)) = *last
            && at.elapsed() < KEPT
        {
            return answered;
        }
        let answered = matches!(tokio::time::timeout(PATIENCE, self.store.ping()).await, Ok(Ok(())));
        *last = Some((Instant::now(), answered));
        answered
    }
}

/// 200 as long as the process can answer at all.
pub async fn get_livez(_: Arc<State>, _: Incoming) -> Result<Response, Failure> {
    Ok(reply::json(StatusCode::OK, "{\"status\":\"ok\"}"))
}

/// 200 when tokens can be issued: not draining, a signing key at hand, a clock that agrees with the
/// database's, the database answering.
pub async fn get_readyz(state: Arc<State>, _: Incoming) -> Result<Response, Failure> {
    let reason = if state.health.draining.has_begun() {
        Some("{\"status\":\"unavailable\",\"reason\":\"draining\"}")
    } else if !state.keyring.can_sign() {
        Some("{\"status\":\"unavailable\",\"reason\":\"no signing key\"}")
    } else if clock::is_off(&state.mint.clock) {
        Some("{\"status\":\"unavailable\",\"reason\":\"this machine's clock differs from the database's\"}")
    } else if !state.health.store_answers().await {
        Some("{\"status\":\"unavailable\",\"reason\":\"database\"}")
    } else {
        None
    };
    Ok(match reason {
        None => reply::json(StatusCode::OK, "{\"status\":\"ok\"}"),
        Some(body) => {
            let mut response = reply::json(StatusCode::SERVICE_UNAVAILABLE, body);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
    })
}
