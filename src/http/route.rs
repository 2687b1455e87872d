//! One route: its method and path, who may ask, how long it may take, what it reads, how its errors look, and what it
//! does.
//!
//! Must not know which routes there are.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;

use super::accepts::{Methods, Reads};
use super::error::Failure;
use super::incoming::Incoming;
use super::shape::Shape;
use super::state::State;

/// How long an answer may take where nothing else is said: a lost database is told within three seconds (contract D9).
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_millis(2_800);

/// A handler's answer: a response, or a failure that the route's shape renders.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send>>;

/// What opens a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opens {
    /// Nothing is asked for.
    Anyone,
    /// The endpoint judges by the rules of its RFC: clients that prove themselves, or Bearer tokens, or both.
    Protocol,
    /// Any live Bearer token that was made for this server.
    AnyToken,
    /// A token with this built-in scope.
    Scope(&'static str),
    /// A token with this built-in scope, or one of the very agent that the path names.
    ScopeOrOwn(&'static str),
}

/// One route.
pub struct Route {
    /// The methods that it answers.
    pub methods: Methods,
    /// The path, with axum's `{name}` for a part that varies.
    pub path: &'static str,
    /// Who may ask.
    pub opens: Opens,
    /// How long its handler may take.
    pub deadline: Duration,
    /// What body it reads.
    pub reads: Reads,
    /// How its errors look.
    pub shape: Shape,
    /// What it does.
    pub handler: fn(Arc<State>, Incoming) -> Answer,
}

/// A row of a table of routes.
macro_rules! route {
    ($methods:ident $path:literal, $opens:ident, $deadline:expr, $reads:ident, $shape:expr, $handler:path) => {
        $crate::http::route::Route {
            methods: $crate::http::accepts::Methods::$methods,
            path: $path,
            opens: $crate::http::route::Opens::$opens,
            deadline: $deadline,
            reads: $crate::http::accepts::Reads::$reads,
            shape: $shape,
            handler: |state, incoming| Box::pin($handler(state, incoming)),
        }
    };
}
pub(crate) use route;
