//! Replies that are kept for a request that is sent again. Must not know what a reply says.

use std::fmt;

use async_trait::async_trait;

use crate::domain::time::Timestamp;

use super::error::StoreError;
use super::key::Sealed;

/// Replies to requests that may be sent again.
#[async_trait]
pub trait ReadReplies: Send + Sync {
    /// The reply at this place, unless it is older than a day. A store with a clock of its own uses
    /// that clock instead of `now`.
    async fn kept_reply(
        &self,
        place: ReplyPlace,
        now: Timestamp,
    ) -> Result<Option<Sealed>, StoreError>;
}

/// How many seconds a reply is kept: a day.
pub const REPLY_TTL: i64 = 86_400;

/// Where a reply is kept: a MAC of the request that it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReplyPlace(pub [u8; 32]);

/// A reply that is kept in the commit of the change that it tells.
#[derive(Clone, PartialEq, Eq)]
pub struct ReplyRecord {
    /// Where it is kept.
    pub place: ReplyPlace,
    /// The reply, which may hold a secret.
    pub sealed: Sealed,
}

impl fmt::Debug for ReplyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplyRecord").field(&self.place).finish()
    }
}
