//! The token endpoints: one sequence of phases, and a dialect for each system that clients come from.
//!
//! Owns the phases: authorization header and parameters → grant → what it asks for → credentials → mint → reply. Each
//! takes what the one before it gave. Must not know how a token is decided. Reading order: this file, [`grants`],
//! [`dialect`], then one dialect a file.

use std::sync::Arc;

use axum::response::Response;

use crate::domain::refusal::Refusal;
use crate::telemetry::metrics;

use super::accepts::{Methods, Reads};
use super::authorization::{Authorization, authorization, client_credentials};
use super::error::Failure;
use super::incoming::Incoming;
use super::parameters::Parameters;
use super::route::{Opens, REQUEST_TIMEOUT, Route};
use super::shape::Shape;
use super::state::State;

pub(crate) mod airisk;
pub(crate) mod dialect;
pub(crate) mod grants;
pub(crate) mod oculus_orum;
pub(crate) mod rfc6749;

use dialect::{Credentials, Dialect};
use grants::GrantType;

macro_rules! dialect {
    ($path:literal, $reads:ident, $dialect:path) => {
        Route {
            methods: Methods::Post,
            path: $path,
            opens: Opens::Protocol,
            deadline: REQUEST_TIMEOUT,
            reads: Reads::$reads,
            shape: Shape::Dialect(|failure, request_id| {
                ($dialect.write_failure)(failure, request_id)
            }),
            handler: |state, incoming| Box::pin(issue_token(&$dialect, state, incoming)),
        }
    };
}

/// The dialects: where each is spoken, which bodies it reads, and who speaks it.
#[rustfmt::skip]
pub static TOKEN_ROUTES: &[Route] = &[
    dialect!("/api/v1/token",     Form,       rfc6749::RFC6749),
    dialect!("/oauth/token",      FormOrJson, oculus_orum::OCULUS_ORUM),
    dialect!("/api/oauth2/Token", FormOrJson, airisk::AIRISK),
];

async fn issue_token(
    dialect: &'static Dialect,
    state: Arc<State>,
    incoming: Incoming,
) -> Result<Response, Failure> {
    let result = run_phases(dialect, &state, &incoming).await;
    metrics::token_request(match &result {
        Ok(_) => "issued",
        Err(failure) => failure.problem().code,
    });
    result
}

/// Contract D6: parameters, scope syntax included, come before client authentication.
async fn run_phases(
    dialect: &Dialect,
    state: &State,
    incoming: &Incoming,
) -> Result<Response, Failure> {
    let authorization = authorization(&incoming.headers)?;
    let parameters = incoming.parameters(dialect.known)?;
    let grant = choose_grant(dialect, &authorization, &parameters)?;
    let ask = (grant.read)(&parameters)?;
    let credentials = client_credentials(&authorization, &parameters, incoming.context.from)?;
    let token = state
        .mint
        .issue(
            &credentials.ok_or(Refusal::InvalidClient)?,
            &ask,
            &incoming.context,
        )
        .await?;
    (dialect.render)(&token)
}

/// The grant that the request names, or the dialect's own, once the body holds what this dialect demands.
fn choose_grant(
    dialect: &Dialect,
    authorization: &Authorization,
    parameters: &Parameters<'_>,
) -> Result<&'static GrantType, Refusal> {
    let grant = match parameters.one("grant_type")? {
        Some(name) => dialect
            .grants
            .iter()
            .copied()
            .find(|grant| grant.name == name)
            .ok_or(Refusal::UnsupportedGrantType),
        None => dialect
            .grant_when_unnamed
            .ok_or(Refusal::MissingParameter("grant_type")),
    }?;
    if dialect.credentials == Credentials::Required && authorization.names_no_client() {
        // Whatever the second is, the first that is missing or no text is named. `null` is no text here: where
        // nothing else proves the client, Orum has no optional credentials.
        for name in ["client_id", "client_secret"] {
            parameters
                .one_text(name)?
                .ok_or(Refusal::MissingParameter(name))?;
        }
    }
    Ok(grant)
}
