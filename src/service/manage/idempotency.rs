//! Requests that are sent again under an idempotency key: the change is made once, and each request
//! gets the same reply, secret included.
//!
//! Owns which request of a process makes the change, and the form of a kept reply. Must not know
//! what the change is, or how a reply is sent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::act::Act;
use crate::domain::id::AgentId;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::rejection::RejectionCode;
use crate::entropy::Entropy;
use crate::keys::reply::{ReplyKey, RequestName};
use crate::service;
use crate::store::{Change, Records, ReplyPlace, ReplyRecord, Store, Write};

use super::checks::fault;
use super::error::ManageError;

/// How long a request waits for an equal one that is under way in this process.
const WAIT_TIMEOUT: Duration = Duration::from_secs(2);

/// A request with an idempotency key.
#[derive(Debug, Clone)]
pub struct KeyedRequest {
    /// The agent that asks.
    pub agent_id: AgentId,
    /// The method.
    pub method: &'static str,
    /// The path with its query, as it was sent.
    pub path: String,
    /// The key.
    pub key: IdempotencyKey,
    /// The hash of the body as it was sent.
    pub body: BodyHash,
}

/// The SHA-256 of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyHash([u8; 32]);

impl BodyHash {
    /// The hash of these bytes.
    pub fn of(body: &[u8]) -> Self {
        let mut hash = [0; 32];
        for (to, from) in hash
            .iter_mut()
            .zip(digest::digest(&digest::SHA256, body).as_ref())
        {
            *to = *from;
        }
        Self(hash)
    }
}

/// A reply as it was sent first. Its body may hold a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptReply {
    /// The status.
    pub status: u16,
    /// The header field `Location`.
    pub location: Option<String>,
    /// The header field `ETag`.
    pub etag: Option<String>,
    /// The body: JSON.
    pub body: String,
}

impl std::fmt::Debug for KeptReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptReply")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// A kept reply with the body that it answers, as it is sealed.
#[derive(Serialize, Deserialize)]
struct SealedReply {
    asked: BodyHash,
    reply: KeptReply,
}

/// How a request was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// By this request.
    Now(KeptReply),
    /// By an earlier request with the same key.
    Earlier(KeptReply),
}

/// The requests with an idempotency key.
pub struct Idempotency {
    store: Arc<dyn Store>,
    records: Arc<dyn Records>,
    key: ReplyKey,
    clock: Arc<StoreClock>,
    entropy: Arc<dyn Entropy>,
    under_way: UnderWay,
}

/// The requests that this process is answering. Each one's receiver ends with it.
#[derive(Default)]
struct UnderWay(Mutex<HashMap<ReplyPlace, watch::Receiver<()>>>);

/// Makes the record of a reply, for the commit of the change that it tells.
pub struct Recorder<'a> {
    key: &'a ReplyKey,
    entropy: &'a dyn Entropy,
    place: ReplyPlace,
    asked: BodyHash,
}

/// This process answers a request. Dropping it lets the next equal request go on.
struct Answering<'a> {
    under_way: &'a UnderWay,
    place: ReplyPlace,
    _end: watch::Sender<()>,
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.under_way.lock().remove(&self.place);
    }
}

impl Idempotency {
    /// `key`: the store's key for replies.
    pub fn new(
        store: Arc<dyn Store>,
        records: Arc<dyn Records>,
        key: ReplyKey,
        clock: Arc<StoreClock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            store,
            records,
            key,
            clock,
            entropy,
            under_way: UnderWay::default(),
        }
    }

    /// Answers the request: with the reply of an earlier equal one, or by `operation`. The caller
    /// has been authenticated and found allowed. The write of the operation must carry the record
    /// that its recorder makes, and if the outcome of that write is `Answered`, the operation is
    /// rejected as one that is in progress. While an equal request is under way in this process, this one waits for
    /// it, without a connection to the database.
    pub async fn once<'a, F>(
        &'a self,
        request: &KeyedRequest,
        act: &Act,
        operation: impl FnOnce(Recorder<'a>) -> F,
    ) -> Result<Answered, ManageError>
    where
        F: Future<Output = Result<KeptReply, ManageError>>,
    {
        let (place, deadline) = (self.place(request), Instant::now() + WAIT_TIMEOUT);
        let _answering = loop {
            if let Some(answered) = self.replay(place, request, act).await? {
                return Ok(answered);
            }
            let mut other = match self.under_way.begin(place) {
                Ok(answering) => break answering,
                Err(other) => other,
            };
            // The other's end is the only thing that its channel ever tells.
            if timeout_at(deadline, other.changed()).await.is_err() {
                return Err(RejectionCode::IdempotencyInProgress.into());
            }
        };
        let recorder = Recorder {
            key: &self.key,
            entropy: &*self.entropy,
            place,
            asked: request.body,
        };
        match operation(recorder).await {
            Ok(reply) => Ok(Answered::Now(reply)),
            // Another process may have answered the same request meanwhile, and then this one was
            // rejected for what that one made.
            Err(rejected @ ManageError::Rejected(_)) => {
                let answered = self.replay(place, request, act).await?;
                answered.ok_or(rejected)
            }
            Err(failed) => Err(failed),
        }
    }

    fn place(&self, request: &KeyedRequest) -> ReplyPlace {
        self.key.place(&RequestName {
            agent_id: &request.agent_id,
            method: request.method,
            path: &request.path,
            key: &request.key,
        })
    }

    /// The reply that is kept at this place. It is an error if it answers another body.
    async fn find(
        &self,
        place: ReplyPlace,
        asked: BodyHash,
    ) -> Result<Option<KeptReply>, ManageError> {
        let kept = self.records.kept_reply(place, self.clock.now()).await?;
        let Some(sealed) = kept else {
            return Ok(None);
        };
        let opened = self.key.unseal(place, &sealed);
        let opened = opened.ok_or_else(|| fault("a kept reply does not open"))?;
        let kept: SealedReply = serde_json::from_slice(&opened)
            .map_err(|_| fault("a kept reply has not the form of this program"))?;
        if kept.asked != asked {
            return Err(RejectionCode::IdempotencyKeyReused.into());
        }
        Ok(Some(kept.reply))
    }

    /// Answers with the reply that is kept at this place, and records that.
    async fn replay(
        &self,
        place: ReplyPlace,
        request: &KeyedRequest,
        act: &Act,
    ) -> Result<Option<Answered>, ManageError> {
        let Some(reply) = self.find(place, request.body).await? else {
            return Ok(None);
        };
        let act = act.committed_at(self.clock.moment());
        let path = request.path.split('?').next().unwrap_or_default();
        let write = Write::new(act, Change::Replayed(path.to_owned()));
        self.store.commit(vec![write]).await?;
        Ok(Some(Answered::Earlier(reply)))
    }
}

impl UnderWay {
    /// Begins to answer a request, or returns what tells the end of an equal one.
    fn begin(&self, place: ReplyPlace) -> Result<Answering<'_>, watch::Receiver<()>> {
        let mut under_way = self.lock();
        if let Some(other) = under_way.get(&place) {
            return Err(other.clone());
        }
        let (end, ended) = watch::channel(());
        under_way.insert(place, ended);
        Ok(Answering {
            under_way: self,
            place,
            _end: end,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ReplyPlace, watch::Receiver<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder<'_> {
    /// The record of this reply.
    pub fn record(&self, reply: &KeptReply) -> Result<ReplyRecord, service::Error> {
        let kept = SealedReply {
            asked: self.asked,
            reply: reply.clone(),
        };
        let plain = serde_json::to_vec(&kept).map_err(|_| fault("a reply has no JSON"))?;
        let (plain, place) = (Zeroizing::new(plain), self.place);
        let sealed = self.key.seal(place, &plain, self.entropy)?;
        Ok(ReplyRecord { place, sealed })
    }
}
