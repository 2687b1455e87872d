//! The replies to requests that create something, which a client may send again.
//!
//! Owns that every operation which makes something answers through [`WriteCall::once`]: only that
//! makes a [`KeyedReply`]. Must not know what is created, or how replies are kept.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::act::Act;
use crate::http::error::Failure;
use crate::http::openapi::route_doc::RouteDoc;
use crate::http::state::State;
use crate::service::manage::ManageError;
use crate::service::manage::idempotency::{Answered, KeptReply, Recorder};
use crate::service::manage::keeping::Keeper;

use super::answer::{Answers, Creates, Reply, ReplyKind, WriteAnswer, respond};
use super::call::WriteCall;

static REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The reply to a request that may create something, of this request or of an earlier equal one.
pub(crate) struct KeyedReply<T, K> {
    reply: KeptReply,
    is_replay: bool,
    kind: PhantomData<(T, K)>,
}

impl<T: Serialize + ToSchema, K: ReplyKind> Answers for KeyedReply<T, K> {
    fn answer(self) -> Result<Response, Failure> {
        let mut response = respond(self.reply)?;
        if self.is_replay {
            let headers = response.headers_mut();
            headers.insert(REPLAYED.clone(), HeaderValue::from_static("true"));
        }
        Ok(response)
    }

    fn describe(doc: RouteDoc) -> RouteDoc {
        let meaning = "`true` if this is the reply to an earlier request with the same key.";
        Reply::<T, K>::describe(doc).with_header("Idempotency-Replayed", meaning)
    }
}

impl<T: Serialize + ToSchema, K: Creates> WriteAnswer for KeyedReply<T, K> {
    const IS_KEYED: bool = true;
}

impl<I> WriteCall<I> {
    /// Answers by `operation`, or with the reply to an earlier request with the same key. Whether
    /// the caller may still do this is asked before. The service's operation, which `operation`
    /// calls, must be given what the keeper makes, so that the reply is kept in the commit.
    pub(super) async fn once<'a, T, K, F>(
        &self,
        state: &'a State,
        act: &Act,
        operation: impl FnOnce(Arc<Keeper<'a>>) -> F,
    ) -> Result<KeyedReply<T, K>, Failure>
    where
        T: Serialize,
        K: Creates,
        F: Future<Output = Result<Reply<T, K>, ManageError>>,
    {
        let answered = match self.keyed() {
            None => Answered::Now(answer(None, operation).await?),
            Some(request) => {
                let answer = |recorder| answer(Some(recorder), operation);
                state.idempotency.once(request, act, answer).await?
            }
        };
        let (reply, is_replay) = match answered {
            Answered::Now(reply) => (reply, false),
            Answered::Earlier(reply) => (reply, true),
        };
        Ok(KeyedReply {
            reply,
            is_replay,
            kind: PhantomData,
        })
    }
}

/// The reply of the operation, as it is kept if there is a recorder.
async fn answer<'a, T, K, F>(
    recorder: Option<Recorder<'a>>,
    operation: impl FnOnce(Arc<Keeper<'a>>) -> F,
) -> Result<KeptReply, ManageError>
where
    T: Serialize,
    K: Creates,
    F: Future<Output = Result<Reply<T, K>, ManageError>>,
{
    let is_keyed = recorder.is_some();
    let keeper = Arc::new(Keeper::new(recorder));
    let reply = operation(Arc::clone(&keeper)).await?.kept()?;
    match keeper.kept() {
        Some(kept) => Ok(kept),
        // What existed was changed, which has the same effect if it is done again.
        None if !is_keyed || (K::MAY_KEEP_NOTHING && reply.status == 200) => Ok(reply),
        None => Err(ManageError::fault(
            "something was created, and no reply was kept",
        )),
    }
}
