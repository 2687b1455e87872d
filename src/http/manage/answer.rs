//! What an operation of the management API answers.
//!
//! Owns the statuses and header fields of success. Must not know what a value means.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::Failure;
use crate::http::openapi::route_doc::RouteDoc;
use crate::http::reply;
use crate::service;
use crate::service::manage::idempotency::KeptReply;

use super::etag::etag;

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

/// Which statuses a kind of reply may have.
pub(crate) trait ReplyKind {
    /// The statuses.
    const STATUSES: &'static [u16];
}

/// The reply of an operation that makes nothing.
pub(crate) enum Shows {}

/// The reply of an operation that makes something.
pub(crate) enum Makes {}

/// The reply of an operation that makes something unless it exists.
pub(crate) enum MakesOrShows {}

/// The reply of an operation that makes what takes another one's place, and shows it.
pub(crate) enum Replaces {}

/// The reply of an operation that ends something, of which nothing is left to show.
pub(crate) enum Ends {}

impl ReplyKind for Ends {
    const STATUSES: &'static [u16] = &[204];
}

impl ReplyKind for Shows {
    const STATUSES: &'static [u16] = &[200];
}

impl ReplyKind for Makes {
    const STATUSES: &'static [u16] = &[201];
}

impl ReplyKind for MakesOrShows {
    const STATUSES: &'static [u16] = &[200, 201];
}

impl ReplyKind for Replaces {
    const STATUSES: &'static [u16] = &[200];
}

/// The kinds of replies of operations that may create something.
pub(crate) trait Creates: ReplyKind {
    /// Whether a reply is left out that tells of nothing new. Doing that again has the same effect.
    const MAY_KEEP_NOTHING: bool = false;
}

impl Creates for Makes {}

impl Creates for MakesOrShows {
    const MAY_KEEP_NOTHING: bool = true;
}

impl Creates for Replaces {}

/// What an operation that changes something returns.
pub(crate) trait WriteAnswer: Answers {
    /// Whether the request may have an idempotency key.
    const IS_KEYED: bool;
}

/// A value with the header fields that go with it. The reply of an operation that may create
/// something becomes an answer in [`keyed`](super::keyed).
pub(crate) struct Reply<T, K = Shows> {
    status: StatusCode,
    location: Option<String>,
    version: Option<i64>,
    body: T,
    kind: PhantomData<K>,
}

impl<T, K> Reply<T, K> {
    /// Status 200.
    pub(crate) fn ok(body: T) -> Self {
        Self {
            status: StatusCode::OK,
            location: None,
            version: None,
            body,
            kind: PhantomData,
        }
    }

    /// The version of what the body shows, for `ETag`.
    #[must_use]
    pub(crate) fn with_version(self, version: i64) -> Self {
        Self {
            version: Some(version),
            ..self
        }
    }
}

impl<T, K: Creates> Reply<T, K> {
    /// Status 201: something was made, which is at this path.
    pub(crate) fn created(location: String, body: T) -> Self {
        Self {
            status: StatusCode::CREATED,
            location: Some(location),
            ..Self::ok(body)
        }
    }
}

impl<T: Serialize, K> Reply<T, K> {
    /// The reply as it is sent, and kept for the same request.
    pub(super) fn kept(&self) -> Result<KeptReply, service::Error> {
        let body = serde_json::to_string(&self.body);
        Ok(KeptReply {
            status: self.status.as_u16(),
            location: self.location.clone(),
            etag: self.version.map(etag),
            body: body.map_err(|error| service::Error::Fault(Arc::new(error)))?,
        })
    }
}

impl Reply<(), Ends> {
    /// Status 204, without a body.
    pub(crate) fn nothing() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            ..Self::ok(())
        }
    }
}

/// The response that this reply is.
pub(super) fn respond(reply: KeptReply) -> Result<Response, Failure> {
    let status = StatusCode::from_u16(reply.status);
    let status = status.map_err(|_| Failure::fault("a reply has no status"))?;
    if status == StatusCode::NO_CONTENT {
        return Ok(status.into_response());
    }
    let mut response = reply::json(status, reply.body);
    for (name, value) in [(LOCATION, reply.location), (ETAG, reply.etag)] {
        if let Some(value) = value {
            let value = HeaderValue::try_from(value)?;
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

impl<T: Serialize + ToSchema> WriteAnswer for Reply<T, Shows> {
    const IS_KEYED: bool = false;
}

impl WriteAnswer for Reply<(), Ends> {
    const IS_KEYED: bool = false;
}

impl<T: Serialize + ToSchema, K: ReplyKind> Answers for Reply<T, K> {
    fn answer(self) -> Result<Response, Failure> {
        respond(self.kept()?)
    }

    fn describe(doc: RouteDoc) -> RouteDoc {
        K::STATUSES.iter().fold(doc, |doc, status| {
            if *status == 204 {
                let meaning = doc.words.reply;
                return doc.answers_nothing(204, meaning);
            }
            let doc = doc
                .answers_json::<T>(*status)
                .with_header("ETag", "The version, for `If-Match`, of what has one.");
            if *status == 201 {
                doc.with_header("Location", "Where what was made is.")
            } else {
                doc
            }
        })
    }
}
