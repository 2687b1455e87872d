//! HTTP: the routes, and each request's way from bytes to an operation and back.
//!
//! Owns the table of routes, error shapes and limits on what is read. Must not know how a token is
//! decided, counted or signed. Reading order: this table, [`layers`] (what happens around every
//! handler), [`incoming`], [`parameters`], [`authorization`], [`error`] (the map from errors to
//! statuses), [`shape`] (how an error is written), `challenge` (what a 401 asks for), then one
//! endpoint a file: [`token`], [`oauth`], [`manage`], [`ops`].

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;

use error::Failure;
use incoming::Incoming;
use place::Place;
use route::{POLL_TIMEOUT, REQUEST_TIMEOUT, Route, route};
use shape::Shape::{self, Management, OAuth};
use state::State;

pub(crate) mod accepts;
pub(crate) mod authorization;
pub(crate) mod body;
mod challenge;
pub(crate) mod client_address;
pub(crate) mod error;
mod head;
pub(crate) mod incoming;
pub(crate) mod layers;
pub(crate) mod manage;
pub(crate) mod oauth;
pub(crate) mod openapi;
pub(crate) mod ops;
pub(crate) mod parameters;
mod place;
pub(crate) mod reply;
pub(crate) mod request_line;
pub(crate) mod route;
pub(crate) mod serve;
pub(crate) mod server_metadata;
pub(crate) mod shape;
pub(crate) mod state;
pub(crate) mod token;
mod trace;
pub(crate) mod urlencoded;

use oauth::{authorize, forward_auth, introspect, jwks, metadata, revocations, revoke};
use openapi::{protocol, public, token as token_docs};
use ops::{health, metrics, openapi as ops_page};

/// The errors of both endpoints of AIRisk's flow.
const AIRISK: Shape = Shape::Dialect(|failure, request_id| {
    (token::airisk::AIRISK.write_failure)(failure, request_id)
});

/// What clients reach, besides the token endpoints ([`token::TOKEN_ROUTES`]) and the management API
/// ([`manage::MANAGE_ROUTES`]).
#[rustfmt::skip]
pub static PUBLIC_ROUTES: &[Route] = &[
    route!(Post      "/api/v1/token/introspect",                Protocol, REQUEST_TIMEOUT, Form,    OAuth,  introspect::introspect_token,    protocol::introspect),
    route!(Post      "/api/v1/token/revoke",                    Protocol, REQUEST_TIMEOUT, Form,    OAuth,  revoke::revoke_token,            protocol::revoke),
    route!(Post      "/oauth/revoke",                           Protocol, REQUEST_TIMEOUT, Form,    OAuth,  revoke::revoke_token,            protocol::revoke_alias),
    route!(Get       "/api/v1/token/revoked",                   Anyone,   POLL_TIMEOUT,    Nothing, OAuth,  revocations::get_revocations,    public::revocations),
    route!(Get       "/oauth/revoked-tokens",                   Anyone,   POLL_TIMEOUT,    Nothing, OAuth,  revocations::get_revocations,    public::revocations_alias),
    route!(Get       "/api/oauth2",                             Anyone,   REQUEST_TIMEOUT, Nothing, AIRISK, authorize::authorize_agent,     token_docs::authorize),
    route!(Get       "/oauth/authorize",                        Anyone,   REQUEST_TIMEOUT, Nothing, OAuth,  metadata::refuse_authorization,  token_docs::refuse_authorization),
    route!(PublicGet "/.well-known/jwks.json",                  Anyone,   REQUEST_TIMEOUT, Nothing, OAuth,  jwks::get_jwks,                  public::jwks),
    route!(PublicGet "/.well-known/oauth-authorization-server", Anyone,   REQUEST_TIMEOUT, Nothing, OAuth,  metadata::get_metadata,          public::metadata),
    route!(PublicGet "/.well-known/openid-configuration",       Anyone,   REQUEST_TIMEOUT, Nothing, OAuth,  metadata::get_metadata,          public::metadata_alias),
    route!(Any       "/forward-auth",                           Protocol, REQUEST_TIMEOUT, Relayed, OAuth,  forward_auth::check_bearer,      protocol::forward_auth),
    route!(Any       "/forward-auth/",                          Protocol, REQUEST_TIMEOUT, Relayed, OAuth,  forward_auth::check_bearer_below,protocol::forward_auth_slash),
    route!(Any       "/forward-auth/{*rest}",                   Protocol, REQUEST_TIMEOUT, Relayed, OAuth,  forward_auth::check_bearer_below,protocol::forward_auth_below),
    route!(Get       "/api/v1/openapi.json",                    Anyone,   REQUEST_TIMEOUT, Nothing, Management, manage::openapi::get_openapi, public::openapi),
    route!(Get       "/livez",                                  Anyone,   REQUEST_TIMEOUT, Nothing, OAuth,  health::get_livez,               public::livez),
    route!(Get       "/readyz",                                 Anyone,   REQUEST_TIMEOUT, Nothing, OAuth,  health::get_readyz,              public::readyz),
    route!(Get       "/readyz/verify",                          Anyone,   REQUEST_TIMEOUT, Nothing, OAuth,  health::get_readyz_verify,       public::readyz_verify),
];

/// What operators reach, on a separate listener.
#[rustfmt::skip]
pub static OPS_ROUTES: &[Route] = &[
    route!(Get "/metrics", Anyone, REQUEST_TIMEOUT, Nothing, OAuth, metrics::get_metrics,           public::metrics),
    route!(Get "/livez",   Anyone, REQUEST_TIMEOUT, Nothing, OAuth, health::get_livez, public::livez),
    route!(Get "/healthz", Anyone, REQUEST_TIMEOUT, Nothing, OAuth, health::get_livez, public::healthz),
    route!(Get "/readyz",  Anyone, REQUEST_TIMEOUT, Nothing, OAuth, health::get_readyz,             public::readyz),
    route!(Get "/readyz/verify", Anyone, REQUEST_TIMEOUT, Nothing, OAuth, health::get_readyz_verify, public::readyz_verify),
    route!(Get "/openapi", Anyone, REQUEST_TIMEOUT, Nothing, OAuth, ops_page::get_openapi_page, public::openapi_page),
];

/// Paths that match in any letter case, because AIRisk's own server matches its routes in this way
/// (contract §6).
const IN_ANY_CASE: &[&str] = &["/api/oauth2", "/api/oauth2/Token"];

/// What answers where no route is.
static UNKNOWN: Route = route!(
    Any "unknown", Anyone, REQUEST_TIMEOUT, Nothing, Management, refuse_unknown, public::livez
);

async fn refuse_unknown(_: Arc<State>, _: Incoming) -> Result<Response, Failure> {
    Err(Failure::NotFound)
}

fn every_public_route() -> impl Iterator<Item = &'static Route> {
    token::TOKEN_ROUTES
        .iter()
        .chain(PUBLIC_ROUTES)
        .chain(manage::MANAGE_ROUTES)
}

/// The OpenAPI document of the server of this issuer.
pub fn write_openapi(issuer: &str) -> String {
    openapi::document::write(issuer, every_public_route(), OPS_ROUTES.iter())
}

/// The places of a table, in the order of the table.
fn places(routes: impl Iterator<Item = &'static Route>) -> Vec<Arc<Place>> {
    let mut places: Vec<Vec<&'static Route>> = Vec::new();
    for route in routes {
        match places
            .iter_mut()
            .find(|place| place.iter().any(|other| other.path == route.path))
        {
            Some(place) => place.push(route),
            None => places.push(vec![route]),
        }
    }
    places.into_iter().map(Place::new).map(Arc::new).collect()
}

/// The public listener's router.
pub fn public_router(state: &Arc<State>) -> Router {
    let issuer_path = state.metadata.path_of_issuer();
    let all = places(every_public_route());
    let mut router = router(&all, state);
    if let Some(issuer_path) = &issuer_path {
        // A proxy may keep the issuer's path when it forwards a request, so every route also
        // answers below that path. OpenID Connect Discovery §4 looks for the metadata there.
        for place in &all {
            router = router.route(
                &format!("{issuer_path}{}", place.path()),
                layers::around(place, state),
            );
        }
        // RFC 8414 §3.1: the well-known part comes before the issuer's path.
        for place in all.iter().filter(|place| METADATA.contains(&place.path())) {
            router = router.route(
                &format!("{}{issuer_path}", place.path()),
                layers::around(place, state),
            );
        }
    }
    let (state, unknown) = (Arc::clone(state), Arc::new(Place::unknown(&UNKNOWN)));
    router.fallback(any(move |request: Request| {
        let place = in_any_case(&all, request.uri().path(), issuer_path.as_deref());
        layers::answer(
            Arc::clone(place.unwrap_or(&unknown)),
            Arc::clone(&state),
            request,
        )
    }))
}

/// The two names of the metadata.
const METADATA: [&str; 2] = [
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
];

/// The place that this path names if letter case is ignored. The issuer's path may come first; its
/// letter case is not ignored.
fn in_any_case<'a>(
    all: &'a [Arc<Place>],
    path: &str,
    issuer_path: Option<&str>,
) -> Option<&'a Arc<Place>> {
    let behind = issuer_path.and_then(|issuer_path| path.strip_prefix(issuer_path));
    let names = |known: &str| {
        [Some(path), behind]
            .into_iter()
            .flatten()
            .any(|path| known.eq_ignore_ascii_case(path))
    };
    all.iter()
        .find(|place| IN_ANY_CASE.contains(&place.path()) && names(place.path()))
}

/// The operators' router.
pub fn ops_router(state: &Arc<State>) -> Router {
    let (unknown, fallback_state) = (Arc::new(Place::unknown(&UNKNOWN)), Arc::clone(state));
    router(&places(OPS_ROUTES.iter()), state).fallback(any(move |request: Request| {
        layers::answer(Arc::clone(&unknown), Arc::clone(&fallback_state), request)
    }))
}

fn router(places: &[Arc<Place>], state: &Arc<State>) -> Router {
    // An issuer's path may hold a segment that begins with a colon or an asterisk. These characters
    // have no special meaning there, so the router must accept them.
    let table = Router::new().without_v07_checks();
    places.iter().fold(table, |table, place| {
        table.route(place.path(), layers::around(place, state))
    })
}

#[cfg(test)]
mod tests {
    use super::route::{Needs, Opens};
    use super::*;
    use crate::domain::scope::BUILT_IN;

    #[test]
    fn every_route_has_a_deadline_and_names_only_built_in_scopes() {
        for route in every_public_route().chain(OPS_ROUTES) {
            assert!(
                !route.deadline.is_zero() && route.deadline.as_secs() <= 60,
                "{}",
                route.path
            );
            if let Opens::Bearer(Needs::Scope(scope) | Needs::ScopeOrOwn(scope)) = route.opens {
                assert!(
                    BUILT_IN.iter().any(|b| b.name == scope),
                    "{}: {scope}",
                    route.path
                );
            }
        }
    }

    #[test]
    fn no_path_has_two_routes_for_one_method() {
        for place in places(every_public_route())
            .iter()
            .chain(&places(OPS_ROUTES.iter()))
        {
            let mut names: Vec<_> = place
                .routes
                .iter()
                .flat_map(|route| route.methods.names())
                .collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{}", place.path());
        }
    }
}
