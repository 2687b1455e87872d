//! HTTP: the routes, and for each request the way from bytes to an operation and back.
//!
//! Owns the table of routes, error shapes and limits on what is read. Must not know how a token is
//! decided, counted or signed. Reading order: this table, [`layers`] (what happens around every
//! handler), [`incoming`], [`parameters`], [`authorization`], [`error`] (the error → status map), [`shape`] (how
//! it is written), `challenge` (what a 401 asks for), then one endpoint a file: [`token`], [`oauth`], [`manage`], [`ops`].

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::any;

use accepts::Accepts;
use error::Failure;
use route::{Route, route};
use shape::Shape::{self, Management, OAuth};
use state::State;

pub mod accepts;
pub mod authorization;
pub mod body;
mod challenge;
pub mod client_address;
pub mod error;
pub mod incoming;
pub mod layers;
pub mod manage;
pub mod oauth;
pub mod ops;
pub mod parameters;
pub mod reply;
pub mod route;
pub mod serve;
pub mod server_metadata;
pub mod shape;
pub mod state;
pub mod token;

use manage::agents;
use oauth::{authorize, forward_auth, introspect, jwks, metadata, revocations, revoke};
use ops::{health, metrics};

/// The errors of both ends of AIRisk's flow.
const AIRISK: Shape =
    Shape::Dialect(|failure, request_id| (token::airisk::AIRISK.write_failure)(failure, request_id));

/// What clients reach, besides the token endpoints: those stand in [`token::TOKEN_ROUTES`].
#[rustfmt::skip]
pub static PUBLIC_ROUTES: &[Route] = &[
    route!("/api/v1/token/introspect",                Form,    OAuth,      introspect::introspect_token),
    route!("/api/v1/token/revoke",                    Form,    OAuth,      revoke::revoke_token),
    route!("/oauth/revoke",                           Form,    OAuth,      revoke::revoke_token),
    route!("/api/v1/token/revoked",                   Nothing, OAuth,      revocations::get_revocations),
    route!("/oauth/revoked-tokens",                   Nothing, OAuth,      revocations::get_revocations),
    route!("/api/oauth2",                             Nothing, AIRISK,     authorize::authorize_agent),
    route!("/oauth/authorize",                        Nothing, OAuth,      metadata::refuse_authorization),
    route!("/.well-known/jwks.json",                  Public,  OAuth,      jwks::get_jwks),
    route!("/.well-known/oauth-authorization-server", Public,  OAuth,      metadata::get_metadata),
    route!("/.well-known/openid-configuration",       Public,  OAuth,      metadata::get_metadata),
    route!("/forward-auth",                           Relayed, OAuth,      forward_auth::check_bearer),
    route!("/forward-auth/",                          Relayed, OAuth,      forward_auth::check_bearer_below),
    route!("/forward-auth/{*rest}",                   Relayed, OAuth,      forward_auth::check_bearer_below),
    route!("/api/v1/agents",                          Nothing, Management, agents::list_agents),
    route!("/api/v1/agents/{id}",                     Nothing, Management, agents::get_agent),
    route!("/livez",                                  Nothing, OAuth,      health::get_livez),
    route!("/readyz",                                 Nothing, OAuth,      health::get_readyz),
];

/// What operators reach, on a listener of its own.
#[rustfmt::skip]
pub static OPS_ROUTES: &[Route] = &[
    route!("/metrics", Nothing, OAuth, metrics::get_metrics),
    route!("/livez",   Nothing, OAuth, health::get_livez),
    route!("/healthz", Nothing, OAuth, health::get_livez),
    route!("/readyz",  Nothing, OAuth, health::get_readyz),
];

/// Paths that are written in any letter case: AIRisk's own server reads its routes so (contract §6).
const IN_ANY_CASE: &[&str] = &["/api/oauth2", "/api/oauth2/Token"];

static UNKNOWN: Route = Route {
    path: "unknown",
    accepts: Accepts::Any,
    shape: Management,
    handler: |_, _| Box::pin(async { Err(Failure::NotFound) }),
};

fn every_public_route() -> impl Iterator<Item = &'static Route> {
    token::TOKEN_ROUTES.iter().chain(PUBLIC_ROUTES)
}

/// The public listener's router.
pub fn public_router(state: &Arc<State>) -> Router {
    let issuer_path = state.metadata.path_of_issuer();
    let mut router = router(every_public_route(), state);
    if let Some(path) = &issuer_path {
        // A proxy may pass the issuer's path on, so everything answers behind it too: OpenID Connect
        // Discovery §4 looks for the metadata there.
        for route in every_public_route() {
            router = router.route(&format!("{path}{}", route.path), layers::around(route, state));
        }
        // RFC 8414 §3.1: the well-known part stands before the issuer's path.
        for (place, route) in places_before(path) {
            router = router.route(&place, layers::around(route, state));
        }
    }
    let state = Arc::clone(state);
    router.fallback(any(move |request: Request| {
        let route = in_any_case(request.uri().path(), issuer_path.as_deref());
        layers::answer(route.unwrap_or(&UNKNOWN), Arc::clone(&state), request)
    }))
}

/// The two names of the metadata.
const METADATA: [&str; 2] = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];

/// Where the metadata stands for an issuer with this path, besides behind it.
fn places_before(path: &str) -> impl Iterator<Item = (String, &'static Route)> {
    let documents = PUBLIC_ROUTES.iter().filter(|route| METADATA.contains(&route.path));
    documents.map(move |route| (format!("{}{path}", route.path), route))
}

/// The route that this path names when the letters' case does not count, behind the issuer's path too,
/// whose own letters do count.
fn in_any_case(path: &str, issuer_path: Option<&str>) -> Option<&'static Route> {
    let behind = issuer_path.and_then(|issuer_path| path.strip_prefix(issuer_path));
    let names = |route: &Route| {
        [Some(path), behind].into_iter().flatten().any(|path| route.path.eq_ignore_ascii_case(path))
    };
    every_public_route().find(|route| IN_ANY_CASE.contains(&route.path) && names(route))
}

/// The operators' router.
pub fn ops_router(state: &Arc<State>) -> Router {
    let unknown = Arc::clone(state);
    router(OPS_ROUTES.iter(), state)
        .fallback(any(move |request: Request| layers::answer(&UNKNOWN, Arc::clone(&unknown), request)))
}

fn router(routes: impl Iterator<Item = &'static Route>, state: &Arc<State>) -> Router {
    // An issuer's path may hold a segment that begins with a colon or an asterisk, which stand for
    // nothing but themselves.
    let table = Router::new().without_v07_checks();
    routes.fold(table, |table, route| table.route(route.path, layers::around(route, state)))
}
