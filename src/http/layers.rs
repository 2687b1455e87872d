//! What happens around every handler: the checks before it, its time limit, its panics, the request
//! id and the log line.
//!
//! The checks come in this order (contract D6): transfer coding, Host, method, media type, size.
//! The first one that fails refuses the request, and nothing more of the request is evaluated.
//!
//! Owns the order of these checks. Must not know what a handler does.

use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::extract::{ConnectInfo, RawPathParams, Request};
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, EXPECT, HeaderMap, HeaderName, PRAGMA, WWW_AUTHENTICATE,
};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any};
use bytes::Bytes;
use futures_timer::Delay;
use futures_util::FutureExt;

use crate::domain::context::{RequestContext, RequestId};
use crate::domain::event::reason::RefusalReason;
use crate::service::clients::refusal_time::answer_at;

use super::accepts::{Methods, Reads};
use super::body::Arriving;
use super::challenge::AuthAttempt;
use super::error::Failure;
use super::head::{check_coding, check_host, encoding_of};
use super::incoming::Incoming;
use super::parameters::Encoding;
use super::place::Place;
use super::reply;
use super::request_line::RequestLine;
use super::route::Route;
use super::shape::{Shape, render};
use super::state::State;
use super::trace::TraceId;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The routes of one path, with all these layers around their handlers.
pub(crate) fn around(place: &Arc<Place>, state: &Arc<State>) -> MethodRouter {
    let (place, state) = (Arc::clone(place), Arc::clone(state));
    any(move |request| answer(Arc::clone(&place), Arc::clone(&state), request))
}

/// Answers one request at this place.
pub(crate) async fn answer(place: Arc<Place>, state: Arc<State>, request: Request) -> Response {
    let routes = &place.routes;
    let route = routes
        .iter()
        .find(|route| route.methods.allows(request.method()));
    // All routes of a path write their errors in the same shape.
    let (route, allowed) = match (route, routes.first()) {
        (Some(route), _) => (*route, true),
        (None, Some(first)) => (*first, false),
        (None, None) => return StatusCode::NOT_FOUND.into_response(),
    };
    let started = Instant::now();
    let method = request.method().clone();
    let peer = peer_of(&request);
    let client = peer.map(|peer| state.client_addresses.of(peer, request.headers()));
    let trace = TraceId::of(request.headers());
    let context = Arc::new(RequestContext::new(
        client,
        state.source_precision,
        request_id(&state, request.headers()),
    ));
    let request_id = context.request_id.as_str();
    let (parts, body) = request.into_parts();
    let mut arriving = Arriving::new(body);
    let expects = parts.headers.contains_key(EXPECT);
    let mut attempt = None;
    let instead = (!allowed).then(|| without_route(&method, routes));
    let handling = handle(
        route,
        instead,
        &state,
        parts,
        &mut arriving,
        &context,
        &mut attempt,
    );
    let handled = AssertUnwindSafe(handling).catch_unwind().await;
    let result = handled.unwrap_or_else(|_| Err(Failure::fault("a handler panicked")));
    let leaves_body = !arriving.finish(route.reads, expects).await;
    let mut reason = None;
    let mut response = match result {
        Ok(response) => response,
        Err(failure) => {
            let refused = failure.refusal_reason(&context);
            if let Some(why) = refused {
                state.refusals.count(&context, why);
            }
            reason = Some(refused.map_or(failure.other_reason().into(), RefusalReason::as_str));
            failure.log(route.path, request_id);
            let mut response = render(route.shape, &failure, request_id);
            challenge(&mut response, &failure, route.reads, attempt.as_ref());
            response
        }
    };
    let headers = response.headers_mut();
    // RFC 6749 §5.1: a response about a token must not be cached.
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    }
    // If we leave an announced body unread and keep the connection, the next request would be read
    // as that body, or that body as the next request. Close the connection.
    if leaves_body {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID.clone(), value);
    }
    let status = response.status().as_u16();
    let took = started.elapsed();
    let held = response.extensions().get::<reply::HeldTime>();
    let worked = took.saturating_sub(held.map_or(Duration::ZERO, |held| held.0));
    place.series.count(status, reason.clone(), worked);
    if state.request_log.wants(status, place.is_probe) {
        RequestLine {
            method: known_method(&method),
            route: route.path,
            status,
            took,
            peer,
            reason: reason.as_deref(),
            trace: trace.as_ref(),
        }
        .write(&context);
    }
    // The client learns nothing while it waits, and if it leaves, its refusal is recorded already.
    if let Some(began) = context.veiled_since() {
        let at = answer_at(began, Instant::now());
        // Tokio counts whole milliseconds from the moment at which a thread has nothing to do, so its
        // timers would end as many microseconds late as the work took.
        Delay::new(at.saturating_duration_since(Instant::now())).await;
    }
    response
}

async fn handle(
    route: &'static Route,
    instead: Option<Result<Response, Failure>>,
    state: &Arc<State>,
    mut parts: Parts,
    arriving: &mut Arriving,
    context: &Arc<RequestContext>,
    attempt: &mut Option<AuthAttempt>,
) -> Result<Response, Failure> {
    check_coding(&parts.headers).inspect_err(|_| arriving.lose())?;
    check_host(parts.version, &parts.headers)?;
    if let Some(answer) = instead {
        return answer;
    }
    if route.methods == Methods::PublicGet && parts.method == Method::OPTIONS {
        return Ok(reply::preflight());
    }
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let (encoding, body) = match route.reads {
        Reads::Nothing | Reads::Relayed => (Encoding::Form, Bytes::new()),
        // RFC 9110 §8.3: a request without content has no media type.
        Reads::Json | Reads::MergePatch if arriving.is_empty() => (Encoding::Json, Bytes::new()),
        Reads::Form | Reads::FormOrJson | Reads::Json | Reads::MergePatch => {
            let encoding = encoding_of(route.reads, &parts.headers)?;
            (
                encoding,
                arriving.read(&parts.headers, &state.bodies).await?,
            )
        }
    };
    let path_parts = RawPathParams::from_request_parts(&mut parts, &())
        .await
        .ok();
    let line = parts.extensions.remove();
    let incoming = Incoming {
        is_head: parts.method == Method::HEAD,
        headers: parts.headers,
        query,
        path_parts,
        encoding,
        body,
        line,
        context: Arc::clone(context),
    };
    *attempt = Some(AuthAttempt::of(&incoming));
    let work = (route.handler)(Arc::clone(state), incoming);
    tokio::time::timeout(route.deadline, work)
        .await
        .unwrap_or(Err(Failure::TooSlow))
}

/// Adds to `WWW-Authenticate` what a refused client may try.
fn challenge(
    response: &mut Response,
    failure: &Failure,
    reads: Reads,
    attempt: Option<&AuthAttempt>,
) {
    let (Failure::Refused(refusal), Some(attempt)) = (failure, attempt) else {
        return;
    };
    for value in attempt.challenges(refusal, response.status(), reads.takes_credentials()) {
        response.headers_mut().append(WWW_AUTHENTICATE, value);
    }
}

/// What answers a method for which the path has no route: the list of its methods. The management
/// API tells it to anyone who asks with OPTIONS (RFC 9110 §9.3.7).
fn without_route(method: &Method, place: &[&Route]) -> Result<Response, Failure> {
    let is_managed = place
        .iter()
        .all(|route| matches!(route.shape, Shape::Management));
    let names = place.iter().flat_map(|route| route.methods.names());
    let names = names.copied().chain(is_managed.then_some("OPTIONS"));
    let allow = names.collect::<Vec<_>>().join(", ");
    if is_managed && method == Method::OPTIONS {
        let reads_patch = place.iter().any(|route| route.reads == Reads::MergePatch);
        return reply::options(&allow, reads_patch);
    }
    Err(Failure::MethodNotAllowed(allow))
}

/// Contract D13: the client's own id if it is 1–64 characters of `[A-Za-z0-9._-]`.
fn request_id(state: &State, headers: &HeaderMap) -> RequestId {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    headers
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=64).contains(&id.len()) && id.bytes().all(allowed))
        .map_or_else(|| state.request_ids.next(), RequestId::sent)
}

fn peer_of(request: &Request) -> Option<IpAddr> {
    request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip())
}

/// The method is text that the client wrote. The log holds only fixed words.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
