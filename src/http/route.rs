//! One route: its path, what it reads, how its errors look, and what it does.
//!
//! Must not know which routes there are.

use std::pin::Pin;
use std::sync::Arc;

use axum::response::Response;

use super::accepts::Accepts;
use super::error::Failure;
use super::incoming::Incoming;
use super::shape::Shape;
use super::state::State;

/// A handler's answer: a response, or a failure that the route's shape renders.
pub type Answer = Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send>>;

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

/// A row of a table of routes.
macro_rules! route {
    ($path:literal, $accepts:ident, $shape:expr, $handler:path) => {
        $crate::http::route::Route {
            path: $path,
            accepts: $crate::http::accepts::Accepts::$accepts,
            shape: $shape,
            handler: |state, incoming| Box::pin($handler(state, incoming)),
        }
    };
}
pub(crate) use route;
