//! `GET /livez`, `/readyz` and `/readyz/verify`. Only `/readyz` touches the database.

use std::sync::Arc;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::http::reply;
use crate::http::state::State;
use crate::service::readiness::Check;

/// 200 as long as the process can answer at all.
pub(crate) async fn get_livez(_: Arc<State>, _: Incoming) -> Result<Response, Failure> {
    Ok(reply::json(StatusCode::OK, "{\"status\":\"ok\"}"))
}

/// 200 if tokens can be issued. This requires that the process is not draining, that it has a
/// signing key, that its clock agrees with the database's, and that the database responds and
/// accepts writes. `?verbose` shows the result of each check.
pub(crate) async fn get_readyz(state: Arc<State>, incoming: Incoming) -> Result<Response, Failure> {
    let checks = state.readiness.checks(&state.mint, &state.keyring).await;
    Ok(told(&checks, &incoming))
}

/// 200 if the key set and the revocation list can be served from memory, and the process is not
/// draining. `?verbose` shows the result of each check.
pub(crate) async fn get_readyz_verify(
    state: Arc<State>,
    incoming: Incoming,
) -> Result<Response, Failure> {
    let readiness = &state.readiness;
    let checks = readiness.verification_checks(&state.keyring, &state.list);
    Ok(told(&checks, &incoming))
}

/// The reply that tells whether all of these checks passed.
fn told(checks: &[Check], incoming: &Incoming) -> Response {
    let failed = checks.iter().find(|check| !check.passed);
    let (status, word) = match failed {
        None => (StatusCode::OK, "ok"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    // All these words are constants in the source code, and need no escape.
    let member = |name: &str, value: &str| format!("\"{name}\":\"{value}\"");
    let mut members = vec![member("status", word)];
    members.extend(failed.map(|failed| member("reason", failed.reason)));
    if url::form_urlencoded::parse(incoming.query.as_bytes()).any(|(name, _)| name == "verbose") {
        let result =
            |check: &Check| member(check.name, if check.passed { "ok" } else { check.reason });
        let all: Vec<String> = checks.iter().map(result).collect();
        members.push(format!("\"checks\":{{{}}}", all.join(",")));
    }
    let body = format!("{{{}}}", members.join(","));
    let mut response = reply::json(status, body);
    if failed.is_some() {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
