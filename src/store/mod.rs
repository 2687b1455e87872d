//! Where state lives: one trait, two real backends, two wrappers.
//!
//! Owns what a store must promise. Must not know HTTP, keys' private bytes, or what a refusal
//! looks like to a client. Writes are values ([`Write`]): each is one atomic unit of work that
//! carries its own audit event, so nobody can change state and forget the audit.
//!
//! Reading order: this file, `token` (what the way of a token reads and writes), [`mod@write`], [`batch`] (group
//! commit over any store), [`cache`] (read-through over any store), then `postgres` and `sqlite`, which hold the
//! same functions in the same order in files of the same names. What both share without SQL is in `fold` (a batch
//! in the order in which it is counted), `redeem` (what a batch's authorization codes make of it), `revocation`
//! (what the revocation list is made of), `key`, `error`, `retry` (asking again until the time is over) and `row`
//! (what is text in a database and a type in the domain).

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::agent::{Agent, RedirectUri, UserId};
use crate::domain::catalogue::Catalogue;
use crate::domain::credential::HashCost;
use crate::domain::id::{AgentId, CodeId, Jti};
use crate::domain::time::{Month, Timestamp};

pub mod batch;
pub mod cache;
mod error;
mod fold;
mod key;
pub mod postgres;
mod redeem;
mod retry;
mod revocation;
mod row;
#[cfg(test)]
mod scripted;
pub mod sqlite;
mod token;
pub mod write;

pub use error::{LockedElsewhere, OpenError, StoreError};
pub use key::{KeyRecord, KeyState, Sealed, StoreKey};
pub use revocation::{
    ExchangedToken, IssuedToken, KilledAgent, KilledToken, KilledTokens, REVOCATION_GRACE, Revocations,
    RevokedToken, Sought,
};
pub use token::{
    AgentRecord, Batch, Freshness, MAX_BATCH, MAX_COSTS, Receipt, Recorded, SPENT_GRACE, Standing, TokenRef,
    Verdict,
};
pub use write::{Change, LiveTokens, Outcome, Retires, Write};

/// A store of record. Missing is `None`, never an error.
#[async_trait]
pub trait Store: Send + Sync {
    /// The agent of that id with its credentials.
    async fn agent(
        &self,
        agent_id: &AgentId,
        freshness: Freshness,
    ) -> Result<Option<Arc<AgentRecord>>, StoreError>;

    /// Whether this agent is active and has both on its lists, from the store of record. Anybody may
    /// ask, so it is one look-up with one answer, whether there is such an agent or not.
    async fn admits_code(
        &self,
        agent_id: &AgentId,
        redirect_uri: &RedirectUri,
        user: Option<&UserId>,
    ) -> Result<bool, StoreError>;

    /// Up to `limit` agents in the byte order of their ids, those after `after`.
    async fn agents(&self, after: Option<&AgentId>, limit: i64) -> Result<Vec<Agent>, StoreError>;

    /// How many tokens each of these agents was issued in `month`; agents without any are absent.
    async fn used(&self, agent_ids: &[AgentId], month: Month) -> Result<HashMap<AgentId, i64>, StoreError>;

    /// The scope catalogue.
    async fn catalogue(&self, freshness: Freshness) -> Result<Arc<Catalogue>, StoreError>;

    /// The different costs of the imported credentials that are held (those without a tag), at most
    /// [`MAX_COSTS`] of them; empty when none is held.
    async fn imported_costs(&self, freshness: Freshness) -> Result<Arc<[HashCost]>, StoreError>;

    /// How each token stands, in the order asked. Always from the store of record.
    async fn standing(&self, tokens: &[TokenRef]) -> Result<Vec<Standing>, StoreError>;

    /// What changed in the revocation list after version `since`. Tokens whose `exp` is at or
    /// before `now` and agents killed at or before `kills_after` are left out.
    async fn revocations(
        &self,
        since: i64,
        now: Timestamp,
        kills_after: Timestamp,
    ) -> Result<Revocations, StoreError>;

    /// The place of the newest event. What is recorded from now on lies behind it, but for what a
    /// transaction under way has numbered already.
    async fn newest_event(&self) -> Result<i64, StoreError>;

    /// The live tokens of each of `sought` that its kill hit, in that order: those that expire last first,
    /// at most `most` an agent. Only events behind the place `after` are looked through, where it is given.
    async fn killed_tokens(
        &self,
        sought: &[Sought],
        after: Option<i64>,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<KilledTokens>, StoreError>;

    /// The `token.issued` event of that token, when it is still kept.
    async fn issued_token(&self, jti: Jti) -> Result<Option<IssuedToken>, StoreError>;

    /// What that authorization code was exchanged for, while it is remembered as spent: until
    /// [`SPENT_GRACE`] past its end.
    async fn exchanged(&self, code: CodeId) -> Result<Option<ExchangedToken>, StoreError>;

    /// All signing keys, oldest first.
    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError>;

    /// All keys of the store itself.
    async fn store_keys(&self) -> Result<Vec<StoreKey>, StoreError>;

    /// Whether the store answers, within the caller's patience.
    async fn ping(&self) -> Result<(), StoreError>;

    /// What the store's own clock shows, in milliseconds since 1970; `None` when it has none, and the
    /// process's is the store's.
    async fn clock(&self) -> Result<Option<i64>, StoreError>;

    /// Counts and records tokens: one atomic statement, one verdict a grant, in order. A batch
    /// whose id was committed before counts nothing again: what was counted then is
    /// [`Verdict::Counted`] as then, all else [`Verdict::Stale`], so that it is decided again. A grant's
    /// authorization code is spent with its counting, once, or not at all. A batch of nobody counts
    /// nothing, and shows by its commit that tokens could be counted now. When somebody else holds
    /// everything of a batch, the cause of the error is [`LockedElsewhere`].
    async fn issue(&self, batch: &Batch) -> Result<Vec<Verdict>, StoreError>;

    /// Applies each write as a unit of its own inside one transaction, one outcome a write, in order.
    async fn commit(&self, writes: Vec<Write>) -> Result<Vec<Outcome>, StoreError>;

    /// Removes what only time removes, at most `most` rows of each kind: revocations past their
    /// grace, `token.issued` events more than `keep_events` seconds old, batch ids older than a day, spent
    /// codes past their grace. A store with a clock of its own goes by the smaller of that and `now`.
    /// Returns how many rows went, so that the caller goes on while there is more.
    async fn prune(&self, now: Timestamp, keep_events: i64, most: i64) -> Result<u64, StoreError>;

    /// What a store needs every second: what must be at hand is, and what nobody uses is given back.
    async fn rest(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Puts the store to rest before the process ends: nothing is lost without it, but a file is left
    /// in one piece.
    async fn close(&self) {}
}
