//! One operation of the management API: typed request in, typed response out.
//!
//! Owns the order: authenticate the caller, check the scope, read the input, run the operation,
//! write the response; and what every write reads besides its own input. Must not know which
//! operations there are.

use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use utoipa::openapi::Required;
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::request_body::RequestBodyBuilder;

use crate::http::accepts::Reads;
use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::http::openapi::parameters;
use crate::http::openapi::route_doc::{ErrorBody, RouteDoc, Words};
use crate::http::openapi::schema::{self, parameter, text};
use crate::http::route::Needs;
use crate::http::state::State;
use crate::service::manage::idempotency::{BodyHash, KeyedRequest};
use crate::service::manage::request::ChangeMode;

use super::answer::{Answers, WriteAnswer};
use super::authority;
use super::call::{Call, EndpointRow, WriteCall};
use super::cursor::CursorScope;
use super::etag::precondition;
use super::fields::{self, Fields, Input};
use super::idempotency_key::{IDEMPOTENCY_KEY, read_key};
use super::page::PAGE_LIMITS;

static DRY_RUN: HeaderName = HeaderName::from_static("dry-run");

/// Runs one operation that reads: first the route's scope is checked, then the input is read and
/// all its errors are reported at once, then the operation runs.
pub(crate) async fn run<I, R, F>(
    row: EndpointRow,
    operation: fn(Arc<State>, Call<I>) -> F,
    state: Arc<State>,
    incoming: Incoming,
) -> Result<Response, Failure>
where
    I: Input,
    R: Answers,
    F: Future<Output = Result<R, Failure>>,
{
    let call = read_call(row.needs, &state, &incoming, I::read).await?;
    operation(state, call).await?.answer()
}

/// Describes one operation: its parameters and body are those that its input asks for, and its
/// replies are those of its result.
pub(crate) fn describe<I, R, F>(
    path: &'static str,
    _: Reads,
    _: fn(Arc<State>, Call<I>) -> F,
    words: Words,
) -> RouteDoc
where
    I: Input,
    R: Answers,
    F: Future<Output = Result<R, Failure>>,
{
    let asked = fields::describe_input::<I>().asked;
    let parameters = asked
        .into_iter()
        .map(|asked| parameters::of_query(path, asked, &PAGE_LIMITS));
    R::describe(RouteDoc::new(words, ErrorBody::Management).takes(parameters))
}

/// What a write reads: its input, and whether it is only tried.
struct WriteInput<I>(I, ChangeMode);

impl<I: Input> Input for WriteInput<I> {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let mode = if fields.flag("dryRun") {
            ChangeMode::DryRun
        } else {
            ChangeMode::Commit
        };
        I::read(fields).map(|input| Self(input, mode))
    }
}

/// Runs one operation that changes something: as [`run`], and reads what every write takes.
pub(crate) async fn run_write<I, R, F>(
    row: EndpointRow,
    operation: fn(Arc<State>, WriteCall<I>) -> F,
    state: Arc<State>,
    incoming: Incoming,
) -> Result<Response, Failure>
where
    I: Input,
    R: WriteAnswer,
    F: Future<Output = Result<R, Failure>>,
{
    let mut key = None;
    let read = |fields: &mut Fields<'_>| {
        let input = WriteInput::<I>::read(fields);
        let is_tried = matches!(input, Some(WriteInput(_, ChangeMode::DryRun)));
        if R::IS_KEYED && !is_tried {
            key = read_key(fields);
        }
        input
    };
    let call = read_call(row.needs, &state, &incoming, read).await?;
    let WriteInput(input, mode) = call.input;
    let keyed = key.map(|key| KeyedRequest {
        agent_id: call.caller.agent_id().clone(),
        method: row.methods.names().first().copied().unwrap_or_default(),
        path: row.path_of(&incoming),
        key,
        body: BodyHash::of(&incoming.body),
    });
    let call = WriteCall {
        caller: call.caller,
        input,
        context: call.context,
        precondition: precondition(&incoming.headers),
        mode,
        keyed,
    };
    let mut response = operation(state, call).await?.answer()?;
    if mode == ChangeMode::DryRun {
        let headers = response.headers_mut();
        headers.insert(DRY_RUN.clone(), HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Describes one operation that changes something.
pub(crate) fn describe_write<I, R, F>(
    path: &'static str,
    reads: Reads,
    _: fn(Arc<State>, WriteCall<I>) -> F,
    words: Words,
) -> RouteDoc
where
    I: Input,
    R: WriteAnswer,
    F: Future<Output = Result<R, Failure>>,
{
    let input = fields::describe_input::<WriteInput<I>>();
    let query = input.asked.into_iter();
    let query = query.map(|asked| parameters::of_query(path, asked, &PAGE_LIMITS));
    let conditions = [
        ("If-Match", "The change is made only to these versions."),
        (
            "If-None-Match",
            "The change is made to none of these versions.",
        ),
    ];
    let conditions = conditions.map(|(name, meaning)| {
        parameter(name, ParameterIn::Header, Required::False, text(), meaning)
    });
    let mut doc = RouteDoc::new(words, ErrorBody::Management)
        .takes(query)
        .takes(conditions)
        .refuses(&[409, 412]);
    if R::IS_KEYED {
        let meaning = "For 24 hours, a request with the same key, path and body gets the same reply, and creates nothing.";
        let key = text().max_length(Some(255));
        let key = parameter(
            IDEMPOTENCY_KEY,
            ParameterIn::Header,
            Required::False,
            key,
            meaning,
        );
        doc = doc.takes([key]).refuses(&[409, 412, 422]);
    }
    if let Some(body) = input.body {
        let schema = schema::body("", reads.json_types(), body.schema);
        let required = if body.is_required {
            Required::True
        } else {
            Required::False
        };
        let body = RequestBodyBuilder::from(schema).required(Some(required));
        doc = doc.reads(body.build());
    }
    R::describe(doc).with_header("Dry-Run", "`true` if nothing was written.")
}

async fn read_call<I>(
    needs: Needs,
    state: &State,
    incoming: &Incoming,
    read: impl FnOnce(&mut Fields<'_>) -> Option<I>,
) -> Result<Call<I>, Failure> {
    let caller = authority::admit(needs, state, incoming).await?;
    let pages = CursorScope::new(&state.cursors, &caller);
    let mut fields = Fields::of(incoming, pages);
    let input = read(&mut fields);
    Ok(Call {
        input: fields.finish(input)?,
        caller,
        context: Arc::clone(&incoming.context),
    })
}

/// A row of the table of the management API. It says what the caller's token needs; a route without
/// a token is no row of this table. The operation of a row that changes something takes a
/// [`WriteCall`] and returns a [`Reply`](super::answer::Reply), or a
/// [`KeyedReply`](super::keyed::KeyedReply) if it may create something.
macro_rules! endpoint {
    ($methods:ident $path:literal, $needs:ident $(($scope:literal))?, $deadline:ident, $reads:ident, $operation:path, $words:path) => {
        $crate::http::route::Route {
            methods: $crate::http::accepts::Methods::$methods,
            path: $path,
            opens: $crate::http::route::Opens::Bearer($crate::http::route::Needs::$needs $(($scope))?),
            deadline: $crate::http::route::$deadline,
            reads: $crate::http::accepts::Reads::$reads,
            shape: $crate::http::shape::Shape::Management,
            dialect: None,
            handler: |state, incoming| {
                let row = $crate::http::manage::call::EndpointRow {
                    needs: $crate::http::route::Needs::$needs $(($scope))?,
                    methods: $crate::http::accepts::Methods::$methods,
                    path: $path,
                };
                Box::pin($crate::http::manage::endpoint::runner!($methods)(row, $operation, state, incoming))
            },
            doc: || {
                let reads = $crate::http::accepts::Reads::$reads;
                $crate::http::manage::endpoint::describer!($methods)($path, reads, $operation, $words)
            },
        }
    };
}
pub(crate) use endpoint;

/// What runs the operation of a row with these methods.
macro_rules! runner {
    (Get) => {
        $crate::http::manage::endpoint::run
    };
    ($methods:ident) => {
        $crate::http::manage::endpoint::run_write
    };
}
pub(crate) use runner;

/// What describes the operation of a row with these methods.
macro_rules! describer {
    (Get) => {
        $crate::http::manage::endpoint::describe
    };
    ($methods:ident) => {
        $crate::http::manage::endpoint::describe_write
    };
}
pub(crate) use describer;
