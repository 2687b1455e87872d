//! One operation of the management API: typed request in, typed response out.
//!
//! Owns the order: authenticate the caller, check the scope, read the input, run the operation,
//! write the response. Must not know which operations there are.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::context::RequestContext;
use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::http::openapi::parameters;
use crate::http::openapi::route_doc::{ErrorBody, RouteDoc, Words};
use crate::http::reply;
use crate::http::route::Needs;
use crate::http::state::State;
use crate::service::tokens::Caller;

use super::authority;
use super::cursor::CursorScope;
use super::fields::{self, Fields, Input};
use super::page::PAGE_LIMITS;

/// A request whose caller is authorized.
pub(crate) struct Call<I> {
    /// The caller that the token names. The scope that the route requires has been checked.
    pub caller: Caller,
    /// The request's input.
    pub input: I,
    /// Where the request came from, and its id.
    pub context: Arc<RequestContext>,
}

/// Runs one operation: first the route's scope is checked, then the input is read and all its
/// errors are reported at once, then the operation runs.
pub(crate) async fn run<I, R, F>(
    needs: Needs,
    operation: fn(Arc<State>, Call<I>) -> F,
    state: Arc<State>,
    incoming: Incoming,
) -> Result<Response, Failure>
where
    I: Input,
    R: Answers,
    F: Future<Output = Result<R, Failure>>,
{
    let caller = authority::admit(needs, &state, &incoming).await?;
    let pages = CursorScope::new(&state.cursors, caller.reach());
    let mut fields = Fields::of(&incoming, pages)?;
    let input = I::read(&mut fields);
    let input = fields.finish(input)?;
    let context = Arc::clone(&incoming.context);
    let call = Call {
        caller,
        input,
        context,
    };
    operation(state, call).await?.answer()
}

/// Describes one operation: its parameters are those that its input asks for, and its replies are
/// those of its result.
pub(crate) fn describe<I, R, F>(
    path: &'static str,
    _: fn(Arc<State>, Call<I>) -> F,
    words: Words,
) -> RouteDoc
where
    I: Input,
    R: Answers,
    F: Future<Output = Result<R, Failure>>,
{
    let asked = fields::asked_by::<I>();
    let parameters = asked
        .into_iter()
        .map(|asked| parameters::of_query(path, asked, &PAGE_LIMITS));
    R::describe(RouteDoc::new(words, ErrorBody::Management).takes(parameters))
}

/// What an operation returns: a value, which is written as JSON, or a whole response.
pub(crate) trait Answers {
    /// The response.
    fn answer(self) -> Result<Response, Failure>;

    /// Adds the replies that [`answer`](Self::answer) makes to a description.
    fn describe(doc: RouteDoc) -> RouteDoc;
}

impl<T: Serialize + ToSchema> Answers for T {
    fn answer(self) -> Result<Response, Failure> {
        reply::json_of(&self)
    }

    fn describe(doc: RouteDoc) -> RouteDoc {
        doc.answers_json::<T>(200)
    }
}

/// What a whole response holds, for its description.
pub(crate) trait RawKind {
    /// Adds the replies of this kind to a description.
    fn describe(doc: RouteDoc) -> RouteDoc;
}

/// A whole response of a kind, such as a file of the log.
pub(crate) struct RawReply<K> {
    response: Response,
    kind: PhantomData<K>,
}

impl<K> RawReply<K> {
    /// A response of this kind.
    pub(crate) fn new(response: Response) -> Self {
        let kind = PhantomData;
        Self { response, kind }
    }
}

impl<K: RawKind> Answers for RawReply<K> {
    fn answer(self) -> Result<Response, Failure> {
        Ok(self.response)
    }

    fn describe(doc: RouteDoc) -> RouteDoc {
        K::describe(doc)
    }
}

/// A row of the table of the management API. It says what the caller's token needs; a route without
/// a token is no row of this table.
macro_rules! endpoint {
    ($methods:ident $path:literal, $needs:ident $(($scope:literal))?, $deadline:ident, $reads:ident, $operation:path, $words:path) => {
        $crate::http::route::Route {
            methods: $crate::http::accepts::Methods::$methods,
            path: $path,
            opens: $crate::http::route::Opens::Bearer($crate::http::route::Needs::$needs $(($scope))?),
            deadline: $crate::http::route::$deadline,
            reads: $crate::http::accepts::Reads::$reads,
            shape: $crate::http::shape::Shape::Management,
            handler: |state, incoming| {
                let needs = $crate::http::route::Needs::$needs $(($scope))?;
                Box::pin($crate::http::manage::endpoint::run(needs, $operation, state, incoming))
            },
            doc: || $crate::http::manage::endpoint::describe($path, $operation, $words),
        }
    };
}
pub(crate) use endpoint;
