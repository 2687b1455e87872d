//! The token endpoints: one sequence of phases, and a dialect for each system that clients come
//! from.
//!
//! Owns the phases: authorization header and parameters → grant → what is asked for → credentials →
//! mint → response. Each phase takes the result of the phase before it. Must not know how a token
//! is decided. Reading order: this file, [`grants`], [`dialect`], then one dialect a file.

use std::sync::Arc;

use axum::response::Response;

use crate::domain::refusal::Refusal;
use crate::telemetry::metrics;

use super::accepts::{Methods, Reads};
use super::authorization::{Authorization, authorization, client_assertion, client_credentials};
use super::error::Failure;
use super::incoming::Incoming;
use super::openapi;
use super::parameters::Parameters;
use super::route::{Opens, REQUEST_TIMEOUT, Route};
use super::shape::Shape;
use super::state::State;

pub(crate) mod airisk;
pub(crate) mod dialect;
pub(crate) mod grants;
pub(crate) mod oculus_orum;
mod rate_limit;
pub(crate) mod rfc6749;

use dialect::{Credentials, Dialect};
use grants::GrantType;

macro_rules! dialect {
    ($path:literal, $reads:ident, $dialect:path, $doc:path) => {
        Route {
            methods: Methods::Post,
            path: $path,
            opens: Opens::Protocol,
            deadline: REQUEST_TIMEOUT,
            reads: Reads::$reads,
            shape: Shape::Dialect(|failure, request_id| {
                write_failure(&$dialect, failure, request_id)
            }),
            dialect: Some($dialect.name),
            handler: |state, incoming| Box::pin(issue_token(&$dialect, state, incoming)),
            doc: $doc,
        }
    };
}

/// The token endpoints: the path, which bodies it reads, and its dialect.
#[rustfmt::skip]
pub static TOKEN_ROUTES: &[Route] = &[
    dialect!("/api/v1/token",     Form,       rfc6749::RFC6749,         openapi::token::canonical),
    dialect!("/oauth/token",      FormOrJson, oculus_orum::OCULUS_ORUM, openapi::token::oculus_orum),
    dialect!("/api/oauth2/Token", FormOrJson, airisk::AIRISK,           openapi::token::airisk),
];

async fn issue_token(
    dialect: &'static Dialect,
    state: Arc<State>,
    incoming: Incoming,
) -> Result<Response, Failure> {
    let result = run_phases(dialect, &state, &incoming).await;
    match &result {
        Ok(_) => metrics::token_issued(),
        Err(failure) => metrics::token_refused(failure.error_text().code),
    }
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
    let peer = incoming.context.from;
    let by_assertion = if dialect.takes_assertions {
        client_assertion(&authorization, &parameters, peer)?
    } else {
        None
    };
    let demanded = match by_assertion {
        Some(_) => Credentials::Optional,
        None => dialect.credentials,
    };
    let grant = choose_grant(dialect, demanded, &authorization, &parameters)?;
    let ask = grant.read(&parameters)?;
    let credentials = match by_assertion {
        Some(credentials) => Some(credentials),
        None => client_credentials(&authorization, &parameters, peer)?,
    };
    let issued = state
        .mint
        .issue(
            &credentials.ok_or(Refusal::InvalidClient)?,
            &ask,
            &incoming.context,
        )
        .await?;
    let mut response = (dialect.render)(&issued.token);
    if dialect.tells_quota {
        rate_limit::tell(&mut response, issued.quota.as_ref());
    }
    Ok(response)
}

fn write_failure(dialect: &Dialect, failure: &Failure, request_id: &str) -> Response {
    let mut response = (dialect.write_failure)(failure, request_id);
    if dialect.tells_quota
        && let Failure::Refused(Refusal::QuotaReached { window, .. }) = failure
    {
        rate_limit::tell(&mut response, Some(window));
    }
    response
}

/// The grant that the request names, or else the dialect's default grant. Also checks that the body
/// holds the credentials that the dialect requires.
fn choose_grant(
    dialect: &Dialect,
    demanded: Credentials,
    authorization: &Authorization,
    parameters: &Parameters<'_>,
) -> Result<&'static GrantType, Refusal> {
    let grant = match parameters.one("grant_type")? {
        Some(name) => dialect
            .grants
            .iter()
            .copied()
            .find(|grant| grant.name() == name)
            .ok_or(Refusal::UnsupportedGrantType),
        None => dialect
            .grant_when_unnamed
            .ok_or(Refusal::MissingParameter("grant_type")),
    }?;
    if demanded == Credentials::Required && authorization.names_no_client() {
        // The error names the first of the two that is missing or is not a text. `null` is not a
        // text here: if the request has no other credentials, Orum requires both of these.
        for name in ["client_id", "client_secret"] {
            parameters
                .one_text(name)?
                .ok_or(Refusal::MissingParameter(name))?;
        }
    }
    Ok(grant)
}
