//! Where state is stored: one trait for the path of a token ([`Store`]), one for all other reads
//! ([`Records`]), two real backends, and two wrappers around a [`Store`].
//!
//! Owns what a store must promise. Must not know HTTP, keys' private bytes, or what a refusal looks
//! like to a client. Writes are values ([`Write`]): each is one atomic unit of work that carries
//! its own audit event, so a change of state cannot lack its audit event.
//!
//! Reading order: this file, [`records`] (the other reads), `token` (what the path of a token reads
//! and writes), [`mod@write`], [`batch`] (group commit over any store), [`cache`] (read-through
//! over any store), then `postgres` and `sqlite`, which have the same functions in the same order
//! in files of the same names. What both backends share without SQL is in `fold` (a batch in the
//! order in which it is counted), `redeem` and `spend` (how authorization codes and client assertions affect a batch), `terms` and
//! `terms_book` (what many tokens have in common), `revocation` (the values of the revocation
//! list), `credential` (those of credentials, as operators read them), `holders` (who holds a scope), `org` (organizations), `partner`, `generation` (which life of the store this is), `gate` (whether the store may be used), `journal` (those of reading events in order), `piece` (events as they are read in bulk), `named_terms` (the terms that they name), `process` (who serves from the store), `schema`, `search`, `key`, `lane_use`, `log`, `rehearsal` (a write that is only tried), `error`, `retry` (trying again until the timeout) and `row` (values that are text in a database
//! and a type in the domain).

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::agent::{RedirectUri, UserId};
use crate::domain::assertion::AssertionHash;
use crate::domain::catalogue::Catalogue;
use crate::domain::credential::HashCost;
use crate::domain::id::{AgentId, CodeId};
use crate::domain::time::Timestamp;

mod agent_row;
mod agent_search;
pub(crate) mod batch;
pub(crate) mod cache;
mod credential;
mod error;
mod fold;
pub(crate) mod gate;
mod generation;
mod holders;
mod journal;
mod key;
mod lane_use;
mod log;
mod named_terms;
mod org;
mod partner;
mod piece;
pub(crate) mod postgres;
mod process;
pub(crate) mod records;
mod redeem;
pub(crate) mod rehearsal;
mod reply;
mod retry;
mod revocation;
mod row;
mod schema;
#[cfg(test)]
mod scripted;
mod search;
mod spend;
pub(crate) mod sqlite;
mod terms;
mod terms_book;
mod token;
mod usage;
mod verifier;
pub(crate) mod write;

pub use agent_search::AgentRows;
pub(crate) use credential::ENDED_CREDENTIAL_TTL;
pub use credential::{CredentialQuery, CredentialRecord};
pub(crate) use error::LockedElsewhere;
pub use error::{OpenError, StoreError};
pub(crate) use generation::FIRST_GENERATION;
pub use generation::StoreGeneration;
pub use holders::ScopeHolders;
pub use journal::{Lease, Pass, PassOutcome, Settlement, Unsettled};
pub use key::{KeyRecord, KeyState, Sealed, StoreKey, StoredKeys};
pub use log::{LogAppend, LogEntry, LogEntryKind, LogHead, LogNode};
pub(crate) use partner::PartnerHolder;
pub use process::{PROCESS_TTL, ProcessRecord, ProcessReport, SilentUser};
pub use records::Records;
pub use reply::{REPLY_TTL, ReplyPlace, ReplyRecord};
pub(crate) use revocation::{ExchangedToken, KilledAgent, KilledOrg, Revocations, RevokedKey};
pub use revocation::{KilledAgentQuery, KilledTokens, REVOCATION_GRACE};
#[cfg(test)]
pub(crate) use revocation::{KilledToken, RevokedToken};
pub use schema::StoreSchema;
pub use search::{EventTable, IdRange, MAX_WINDOW_ROWS};
pub use terms::TermsBounds;
pub use token::{
    AgentRecord, Batch, Freshness, Recorded, SPENT_GRACE, Standing, TokenRef, Verdict,
};
pub use usage::AgentUsage;
pub(crate) use usage::USAGE_DAYS;
pub use write::{
    AgentChange, Change, CommitCondition, CredentialChange, GenerationChange, KeyChange,
    KeyReplacement, KeyResealing, LogChange, OrgChange, Outcome, Retires, ScopeChange, TokenChange,
    Write,
};
pub(crate) use write::{PartnerChange, RefusedRequests, UsageChange, VerifierChange};

/// A store of record, as the path of a token needs it. A missing row is `None`, never an error. All
/// other reads are in [`Records`].
#[async_trait]
pub trait Store: Send + Sync {
    /// The agent with this id, and its credentials.
    async fn agent(
        &self,
        agent_id: &AgentId,
        freshness: Freshness,
    ) -> Result<Option<Arc<AgentRecord>>, StoreError>;

    /// Whether this agent is active, not expired at `now`, and has both values on its lists, from the
    /// store of record.
    /// Anybody may ask, so an unknown agent costs the same one look-up with one answer.
    async fn admits_code(
        &self,
        agent_id: &AgentId,
        redirect_uri: &RedirectUri,
        user: Option<&UserId>,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// The scope catalogue.
    async fn catalogue(&self, freshness: Freshness) -> Result<Arc<Catalogue>, StoreError>;

    /// The different costs of the stored imported credentials (those without a tag), at most
    /// `MAX_COSTS` of them; empty if no imported credential is stored.
    async fn imported_costs(&self, freshness: Freshness) -> Result<Arc<[HashCost]>, StoreError>;

    /// The standing of each token, in the order asked. Always from the store of record.
    async fn standing(&self, tokens: &[TokenRef]) -> Result<Vec<Standing>, StoreError>;

    /// The token that this authorization code was exchanged for. A spent code is remembered until
    /// [`SPENT_GRACE`] past its expiry.
    async fn exchanged(&self, code: CodeId) -> Result<Option<ExchangedToken>, StoreError>;

    /// Whether this client assertion was exchanged for a token. A spent assertion is remembered until
    /// [`SPENT_GRACE`] past its expiry.
    async fn is_spent(&self, assertion: AssertionHash) -> Result<bool, StoreError>;

    /// Whether the store answers within the time that the caller waits.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Counts and records tokens: one atomic statement, one verdict for each grant, in order. A
    /// batch whose id was committed before counts nothing again: a grant that was counted then is
    /// [`Verdict::Counted`] as then, and every other grant is [`Verdict::Stale`], so that it is
    /// decided again. One commit counts a grant and spends its authorization code or its client
    /// assertion; each is spent at most once. An empty batch counts nothing, but its commit shows that tokens can be counted
    /// now. If other transactions hold everything that a batch needs, the cause of the error is
    /// [`LockedElsewhere`].
    async fn issue(&self, batch: &Batch) -> Result<Vec<Verdict>, StoreError>;

    /// Applies each write as its own unit inside one transaction, with one outcome for each write,
    /// in order.
    async fn commit(&self, writes: Vec<Write>) -> Result<Vec<Outcome>, StoreError>;

    /// How many requests wait in each queue in front of the store, by the name of the queue.
    fn queues(&self) -> Vec<(&'static str, usize)> {
        vec![]
    }

    /// Closes the store before the process ends. Without this nothing is lost, but with it a
    /// database file is left in one piece.
    async fn close(&self) {}
}

/// A store of record with all functions. The two backends implement it, and nothing else does.
pub trait Backend: Store + Records {}

impl<T: Store + Records> Backend for T {}
