//! One route: its method and path, who may ask, how long the response may take, what body is read,
//! how errors look, what the handler does, and how the document describes it.
//!
//! Must not know which routes there are.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;

use super::accepts::{Methods, Reads};
use super::error::Failure;
use super::incoming::Incoming;
use super::openapi::route_doc::RouteDoc;
use super::shape::Shape;
use super::state::State;

/// How long a handler may take unless the route says otherwise. The client learns of a lost
/// database within three seconds (contract D9). The body is read before that, with a timeout of its
/// own.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_millis(2_800);

/// How long a request may take that waits for news of the revocation list: the longest wait, and the
/// time for the answer after it.
pub(crate) const POLL_TIMEOUT: Duration = Duration::from_secs(27);

/// How long a new signing key may take. To find the primes of a large one takes seconds on a slow
/// processor.
pub(crate) const KEY_TIMEOUT: Duration = Duration::from_secs(30);

/// A handler's answer: a response, or a failure that the route's shape renders.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send>>;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opens {
    /// Anyone, without authentication.
    Anyone,
    /// The endpoint follows its RFC: it accepts clients that authenticate, or Bearer tokens, or
    /// both.
    Protocol,
    /// A live Bearer token that was issued for this server and meets this need. A row is an
    /// `endpoint!`, whose caller is checked before the operation runs.
    Bearer(Needs),
}

/// What a Bearer token must hold to open a route of the management API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing more: any live token of this server.
    AnyToken,
    /// A token with this built-in scope.
    Scope(&'static str),
    /// A token with this built-in scope, or a token of the agent that the path names.
    ScopeOrOwn(&'static str),
}

/// One route.
pub struct Route {
    /// The methods that the route answers.
    pub methods: Methods,
    /// The path. A variable part is written as axum's `{name}`.
    pub path: &'static str,
    /// Who may ask.
    pub opens: Opens,
    /// How long the handler may take.
    pub deadline: Duration,
    /// Which body the route reads.
    pub reads: Reads,
    /// How the route's errors look.
    pub shape: Shape,
    /// The dialect's name, if the route issues tokens.
    pub dialect: Option<&'static str>,
    /// What the route does.
    pub handler: fn(Arc<State>, Incoming) -> Answer,
    /// How the OpenAPI document describes the route.
    pub doc: fn() -> RouteDoc,
}

/// A row of a table of routes, whose handler decides who may ask. It takes `Anyone` and `Protocol`
/// only, because nothing would check the scope of another row.
macro_rules! route {
    ($methods:ident $path:literal, $opens:ident, $deadline:expr, $reads:ident, $shape:expr, $handler:path, $doc:path) => {
        $crate::http::route::Route {
            methods: $crate::http::accepts::Methods::$methods,
            path: $path,
            opens: $crate::http::route::Opens::$opens,
            deadline: $deadline,
            reads: $crate::http::accepts::Reads::$reads,
            shape: $shape,
            dialect: None,
            handler: |state, incoming| Box::pin($handler(state, incoming)),
            doc: $doc,
        }
    };
}
pub(crate) use route;
