//! Where state lives: one trait for the way of a token, one for what is read beside it, two real backends, two
//! wrappers around the first.
//!
//! Owns what a store must promise. Must not know HTTP, keys' private bytes, or what a refusal
//! looks like to a client. Writes are values ([`Write`]): each is one atomic unit of work that
//! carries its own audit event, so nobody can change state and forget the audit.
//!
//! Reading order: this file, [`records`] (what is read beside the way of a token), `token` (what the way of a token reads and writes), [`mod@write`], [`batch`] (group
//! commit over any store), [`cache`] (read-through over any store), then `postgres` and `sqlite`, which hold the
//! same functions in the same order in files of the same names. What both share without SQL is in `fold` (a batch
//! in the order in which it is counted), `redeem` (what a batch's authorization codes make of it), `revocation`
//! (what the revocation list is made of), `key`, `error`, `retry` (asking again until the time is over) and `row`
//! (what is text in a database and a type in the domain).

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::agent::{RedirectUri, UserId};
use crate::domain::catalogue::Catalogue;
use crate::domain::credential::HashCost;
use crate::domain::id::{AgentId, CodeId};

pub(crate) mod batch;
pub(crate) mod cache;
mod error;
mod fold;
mod key;
pub(crate) mod postgres;
pub(crate) mod records;
mod redeem;
mod retry;
mod revocation;
mod row;
#[cfg(test)]
mod scripted;
pub(crate) mod sqlite;
mod token;
pub(crate) mod write;

pub(crate) use error::LockedElsewhere;
pub use error::{OpenError, StoreError};
pub use key::{KeyRecord, KeyState, Sealed, StoreKey};
pub use records::Records;
pub(crate) use revocation::{ExchangedToken, KilledAgent, Revocations};
#[cfg(test)]
pub(crate) use revocation::{KilledToken, RevokedToken};
pub use revocation::{KilledTokens, REVOCATION_GRACE, Sought};
pub use token::{
    AgentRecord, Batch, Freshness, Recorded, SPENT_GRACE, Standing, TokenRef, Verdict,
};
pub use write::{
    AgentChange, Change, CredentialChange, KeyChange, LiveTokens, Outcome, Retires, ScopeChange,
    TokenChange, Write,
};

/// A store of record, as the way of a token needs it. Missing is `None`, never an error. What is read beside that way
/// is [`Records`]'.
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

    /// The scope catalogue.
    async fn catalogue(&self, freshness: Freshness) -> Result<Arc<Catalogue>, StoreError>;

    /// The different costs of the imported credentials that are held (those without a tag), at most
    /// `MAX_COSTS` of them; empty when none is held.
    async fn imported_costs(&self, freshness: Freshness) -> Result<Arc<[HashCost]>, StoreError>;

    /// How each token stands, in the order asked. Always from the store of record.
    async fn standing(&self, tokens: &[TokenRef]) -> Result<Vec<Standing>, StoreError>;

    /// What that authorization code was exchanged for, while it is remembered as spent: until
    /// [`SPENT_GRACE`] past its end.
    async fn exchanged(&self, code: CodeId) -> Result<Option<ExchangedToken>, StoreError>;

    /// Whether the store answers, within the caller's patience.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Counts and records tokens: one atomic statement, one verdict a grant, in order. A batch
    /// whose id was committed before counts nothing again: what was counted then is
    /// [`Verdict::Counted`] as then, all else [`Verdict::Stale`], so that it is decided again. A grant's
    /// authorization code is spent with its counting, once, or not at all. A batch of nobody counts
    /// nothing, and shows by its commit that tokens could be counted now. When somebody else holds
    /// everything of a batch, the cause of the error is [`LockedElsewhere`].
    async fn issue(&self, batch: &Batch) -> Result<Vec<Verdict>, StoreError>;

    /// Applies each write as a unit of its own inside one transaction, one outcome a write, in order.
    async fn commit(&self, writes: Vec<Write>) -> Result<Vec<Outcome>, StoreError>;

    /// Puts the store to rest before the process ends: nothing is lost without it, but a file is left
    /// in one piece.
    async fn close(&self) {}
}

/// A store of record with all that it can do: what the two backends are, and what nothing else is.
pub trait Backend: Store + Records {}

impl<T: Store + Records> Backend for T {}
