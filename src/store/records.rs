//! What people, commands and background loops read from a store, besides the path of a token.
//!
//! There is one trait for each noun. Each backend implements the trait in its file of that noun,
//! and no wrapper wraps it. `docs/adding-an-endpoint.md` lists the steps of a new read. If a read
//! meets a broken connection, the backend tries it again until the call's timeout. Must not know
//! how a token is counted.

use std::collections::HashMap;

use async_trait::async_trait;

use crate::domain::agent::{Agent, AgentName};
use crate::domain::id::{AgentId, Jti};
use crate::domain::time::{Month, Timestamp};

use super::error::StoreError;
use super::key::{KeyRecord, StoreKey};
use super::revocation::{IssuedToken, KilledAgentQuery, KilledTokens, Revocations};

/// All read traits together.
pub trait Records: ReadAgents + ReadRevocations + ReadEvents + ReadKeys + Upkeep {}

impl<T: ReadAgents + ReadRevocations + ReadEvents + ReadKeys + Upkeep> Records for T {}

/// Agents, as operators read them.
#[async_trait]
pub trait ReadAgents: Send + Sync {
    /// Up to `limit` agents in the byte order of their ids, starting after the id `after`.
    async fn agents(&self, after: Option<&AgentId>, limit: i64) -> Result<Vec<Agent>, StoreError>;

    /// Up to `limit` agents with this name that are not decommissioned, in the byte order of their
    /// ids. Several agents may have one name.
    async fn agents_named(&self, name: &AgentName, limit: i64) -> Result<Vec<Agent>, StoreError>;

    /// How many tokens each of these agents was issued in `month`. Agents without tokens are
    /// absent.
    async fn used(
        &self,
        agent_ids: &[AgentId],
        month: Month,
    ) -> Result<HashMap<AgentId, i64>, StoreError>;
}

/// The revocation list.
#[async_trait]
pub trait ReadRevocations: Send + Sync {
    /// What changed in the revocation list after version `since`. Tokens whose `exp` is at or
    /// before `now`, and agents killed at or before `kills_after`, are left out.
    async fn revocations(
        &self,
        since: i64,
        now: Timestamp,
        kills_after: Timestamp,
    ) -> Result<Revocations, StoreError>;

    /// For each agent of `sought`, in that order, its live tokens that the kill hit: the tokens
    /// that expire last come first, at most `most` for each agent. If `after` is given, only events
    /// behind that place are searched.
    async fn killed_tokens(
        &self,
        sought: &[KilledAgentQuery],
        after: Option<i64>,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<KilledTokens>, StoreError>;
}

/// The record of events.
#[async_trait]
pub trait ReadEvents: Send + Sync {
    /// The place of the newest event. Later events have a greater place, except events that a
    /// running transaction has already numbered.
    async fn newest_event(&self) -> Result<i64, StoreError>;

    /// The `token.issued` event of this token, if the event is still kept.
    async fn issued_token(&self, jti: Jti) -> Result<Option<IssuedToken>, StoreError>;
}

/// Signing keys and the keys of the store itself.
#[async_trait]
pub trait ReadKeys: Send + Sync {
    /// All signing keys, oldest first.
    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError>;

    /// All keys of the store itself.
    async fn store_keys(&self) -> Result<Vec<StoreKey>, StoreError>;
}

/// How many seconds a batch id is remembered: far longer than any batch is sent again.
pub(in crate::store) const BATCH_TTL: i64 = 86_400;

/// What keeps a store in order while it is used.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// What the store's own clock shows, in milliseconds since 1970. `None` if the store has no
    /// clock: then the process's clock is the store's.
    async fn clock(&self) -> Result<Option<i64>, StoreError>;

    /// Removes what only time removes, at most `most` rows of each kind: revocations past their
    /// grace, `token.issued` events more than `keep_events` seconds old, batch ids older than a
    /// day, spent codes past their grace. A store with a clock of its own uses the smaller of its
    /// clock and `now`. Returns how many rows were removed, so that the caller goes on while there
    /// is more.
    async fn prune(&self, now: Timestamp, keep_events: i64, most: i64) -> Result<u64, StoreError>;

    /// The upkeep that a store needs every second: it keeps needed connections ready, and closes
    /// unused ones.
    async fn rest(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
