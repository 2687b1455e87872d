//! `GET /livez` and `/readyz`. Liveness never touches the database; readiness does, once a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::sync::Mutex;

use super::error::Failure;
use super::extract::Incoming;
use super::state::{Draining, State};

/// How long one look at the database is good for.
const KEPT: Duration = Duration::from_secs(1);

/// How long a look may take: a prober's patience is short.
const PATIENCE: Duration = Duration::from_millis(900);

/// Whether this process should be sent requests.
pub struct Health {
    draining: Arc<Draining>,
    last: Mutex<Option<(Instant, bool)>>,
}

impl Health {
    /// Ready until `draining` begins, while the database answers.
    pub fn new(draining: Arc<Draining>) -> Self {
        Self { draining, last: Mutex::new(None) }
    }

    async fn store_answers(&self, state: &State) -> bool {
        // One look at a time: whoever waits here finds the answer of the one before.
        let mut last = self.last.lock().await;
        if let Some((at, answered)) = *last
            && at.elapsed() < KEPT
        {
            return answered;
        }
        let answered = matches!(tokio::time::timeout(PATIENCE, state.store.ping()).await, Ok(Ok(())));
        *last = Some((Instant::now(), answered));
        answered
    }
}

/// 200 as long as the process can answer at all.
pub async fn get_livez(_: Arc<State>, _: Incoming) -> Result<Response, Failure> {
    Ok(report(StatusCode::OK, "{\"status\":\"ok\"}"))
}

/// 200 when tokens can be issued: not draining, a signing key at hand, the database answering.
pub async fn get_readyz(state: Arc<State>, _: Incoming) -> Result<Response, Failure> {
    let reason = if state.health.draining.has_begun() {
        Some("{\"status\":\"unavailable\",\"reason\":\"draining\"}")
    } else if !state.keyring.can_sign() {
        Some("{\"status\":\"unavailable\",\"reason\":\"no signing key\"}")
    } else if !state.health.store_answers(&state).await {
        Some("{\"status\":\"unavailable\",\"reason\":\"database\"}")
    } else {
        None
    };
    Ok(match reason {
        None => report(StatusCode::OK, "{\"status\":\"ok\"}"),
        Some(body) => {
            let mut response = report(StatusCode::SERVICE_UNAVAILABLE, body);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
    })
}

fn report(status: StatusCode, body: &'static str) -> Response {
    let mut response = (status, body).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
