//! HTTP: the routes, and for each request the way from bytes to an operation and back.
//!
//! Owns the table of routes, error shapes and limits on what is read. Must not know how a token is
//! decided, counted or signed. Reading order: this table, [`layers`] (what happens around every
//! handler), [`parameters`], [`extract`], [`error`] (the error → status map), then one endpoint a file.

use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;

use error::Failure;
use error::Shape::{self, Management, OAuth};
use extract::Incoming;
use state::State;

pub mod admin;
pub mod authorize;
pub mod body;
pub mod caller;
pub mod client_address;
pub mod error;
pub mod extract;
pub mod forward_auth;
pub mod health;
pub mod introspect;
pub mod jwks;
pub mod layers;
pub mod metadata;
pub mod metrics;
pub mod parameters;
pub mod reply;
pub mod revocations;
pub mod revoke;
pub mod serve;
pub mod state;
pub mod token;

/// A handler's answer: a response, or a failure that the route's shape renders.
pub type Answer = Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send>>;

/// Which request bodies a route reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepts {
    /// None: GET (and HEAD).
    Nothing,
    /// None, for a document that scripts of any origin may read: GET and HEAD, and OPTIONS, by which they
    /// ask whether they may.
    Public,
    /// POST of `application/x-www-form-urlencoded`.
    Form,
    /// POST of a form or of a JSON object (`application/json`).
    FormOrJson,
    /// Any method, and no body: there is nothing here that a method could do.
    Any,
    /// Any method, which is another's, and no body: a gateway may announce one that it does not send.
    Relayed,
}

/// One route.
pub struct Route {
    /// The path, with axum's `{name}` for a part that varies.
    pub path: &'static str,
    /// What it reads, and with it the method.
    pub accepts: Accepts,
    /// How its errors look.
    pub shape: Shape,
    /// What it does.
    pub handler: fn(Arc<State>, Incoming) -> Answer,
}

macro_rules! route {
    ($path:literal, $accepts:ident, $shape:expr, $handler:path) => {
        Route {
            path: $path,
            accepts: Accepts::$accepts,
            shape: $shape,
            handler: |state, incoming| Box::pin($handler(state, incoming)),
        }
    };
}

/// The errors of both ends of AIRisk's flow.
const AIRISK: Shape = Shape::Dialect(&token::airisk::AiRisk);

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
    route!("/api/v1/agents",                          Nothing, Management, admin::agents::list_agents),
    route!("/api/v1/agents/{id}",                     Nothing, Management, admin::agents::get_agent),
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
        for (place, route) in metadata::places_before(path) {
            router = router.route(&place, layers::around(route, state));
        }
    }
    let state = Arc::clone(state);
    router.fallback(any(move |request: Request| {
        let route = in_any_case(request.uri().path(), issuer_path.as_deref());
        layers::answer(route.unwrap_or(&UNKNOWN), Arc::clone(&state), request)
    }))
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
