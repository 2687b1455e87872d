//! What an operation of the management API answers.
//!
//! Owns the statuses and header fields of success. Must not know what a value means.

use std::marker::PhantomData;

use axum::http::header::ETAG;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::Failure;
use crate::http::openapi::route_doc::RouteDoc;
use crate::http::reply;

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

/// A value with the header fields that go with it.
pub(crate) struct Reply<T> {
    status: StatusCode,
    version: Option<i64>,
    body: T,
}

impl<T: Serialize> Reply<T> {
    /// Status 200.
    pub(crate) fn ok(body: T) -> Self {
        Self {
            status: StatusCode::OK,
            version: None,
            body,
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

impl<T: Serialize + ToSchema> Answers for Reply<T> {
    fn answer(self) -> Result<Response, Failure> {
        let mut response = reply::json(self.status, serde_json::to_vec(&self.body)?);
        if let Some(version) = self.version {
            let tag = HeaderValue::from_str(&etag(version))?;
            response.headers_mut().insert(ETAG, tag);
        }
        Ok(response)
    }

    fn describe(doc: RouteDoc) -> RouteDoc {
        doc.answers_json::<T>(200)
            .with_header("ETag", "The version, for `If-Match`.")
    }
}
