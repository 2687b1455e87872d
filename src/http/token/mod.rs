//! The token endpoints: one sequence of phases, and a dialect for each system that clients come from.
//!
//! Owns the phases: authorization header and body → parameters → credentials → mint → reply. Must not
//! know how a token is decided. A dialect parses, renders and words refusals; it cannot skip a phase.

use std::sync::Arc;

use axum::response::Response;

use crate::domain::refusal::Refusal;
use crate::telemetry::metrics;

use super::accepts::Accepts;
use super::error::Failure;
use super::incoming::Incoming;
use super::route::Route;
use super::shape::Shape;
use super::state::State;

pub mod airisk;
pub mod dialect;
pub mod oculus_orum;
pub mod rfc6749;

use dialect::Dialect;

macro_rules! dialect {
    ($path:literal, $accepts:ident, $module:ident, $dialect:ident) => {
        Route {
            path: $path,
            accepts: Accepts::$accepts,
            shape: Shape::Dialect($module::write_failure),
            handler: |state, incoming| Box::pin(issue(&$module::$dialect, state, incoming)),
        }
    };
}

/// The dialects: where each is spoken, which bodies it reads, and who speaks it.
#[rustfmt::skip]
pub static TOKEN_ROUTES: &[Route] = &[
    dialect!("/api/v1/token",     Form,       rfc6749,     Rfc6749),
    dialect!("/oauth/token",      FormOrJson, oculus_orum, OculusOrum),
    dialect!("/api/oauth2/Token", FormOrJson, airisk,      AiRisk),
];

async fn issue(
    dialect: &'static dyn Dialect,
    state: Arc<State>,
    incoming: Incoming,
) -> Result<Response, Failure> {
    let result = issue_phases(dialect, &state, &incoming).await;
    metrics::token_request(match &result {
        Ok(_) => "issued",
        Err(failure) => failure.problem().code,
    });
    result
}

async fn issue_phases(
    dialect: &dyn Dialect,
    state: &State,
    incoming: &Incoming,
) -> Result<Response, Failure> {
    let parsed = dialect.parse(incoming)?;
    let credentials = parsed.credentials.ok_or(Refusal::InvalidClient)?;
    let token = state.mint.issue(&credentials, &parsed.ask).await?;
    dialect.render(&token)
}
