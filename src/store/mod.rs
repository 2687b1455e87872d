//! Where state lives: one trait, two real backends, two wrappers.
//!
//! Owns what a store must promise. Must not know HTTP, keys' private bytes, or what a refusal
//! looks like to a client. Writes are values ([`Write`]): each is one atomic unit of work that
//! carries its own audit event, so nobody can change state and forget the audit.
//!
//! Reading order: this file, [`mod@write`], [`batch`] (group commit over any store), [`cache`]
//! (read-through over any store), then `postgres` and `sqlite`, which hold the same functions in
//! the same order. What both share without SQL is in `fold` (a batch in the order in which it is
//! counted), `redeem` (what a batch's authorization codes make of it), `revocation` (what the revocation
//! list is made of) and `row` (what is text in a database and a type in the domain).

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::agent::{Agent, AgentStatus, Epoch, RedirectUri, UserId};
use crate::domain::catalogue::Catalogue;
use crate::domain::credential::{Credential, HashCost};
use crate::domain::grant::Grant;
use crate::domain::id::{AgentId, BatchId, CodeId, Jti, Kid};
use crate::domain::time::{Moment, Month, Timestamp};

pub mod batch;
pub mod cache;
mod fold;
pub mod postgres;
mod redeem;
mod revocation;
mod row;
#[cfg(test)]
mod scripted;
pub mod sqlite;
pub mod write;

pub use revocation::{
    ExchangedToken, IssuedToken, KilledAgent, KilledToken, KilledTokens, Revocations, RevokedToken, Sought,
};
pub use write::{Change, LiveTokens, Outcome, Retires, Write};

/// A revoked token is remembered this many seconds past its `exp` (contract D7).
pub const REVOCATION_GRACE: i64 = 120;

/// A spent code is remembered this many seconds past its end: far longer than the clocks of two
/// processes may differ, so that none takes it for a live one.
pub const SPENT_GRACE: i64 = 3_600;

/// How many different costs of imported hashes are told apart: all that there are, wherever somebody did not
/// make them differ on purpose.
pub const MAX_COSTS: i64 = 32;

/// Whether a read may be answered from memory. A remembered row may only say yes: before any
/// refusal that rests on stored state the row is read [`Freshness::Fresh`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// A remembered row will do.
    Cached,
    /// From the store of record.
    Fresh,
}

/// An agent with its credentials, read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRecord {
    /// The agent.
    pub agent: Agent,
    /// Its credentials, newest first; expired ones may be among them.
    pub credentials: Box<[Credential]>,
}

/// Tokens to count and record in one atomic statement.
#[derive(Debug, Clone)]
pub struct Batch {
    /// A batch that is sent again under the same id counts once.
    pub id: BatchId,
    /// The process's own clock: the one time that is not the store's. A store with a clock of its own
    /// takes the smaller of the two as `iat` and counts in the month that its own one shows.
    pub now: Moment,
    /// What was decided, at most [`batch::MOST`].
    pub grants: Vec<Arc<Grant>>,
}

/// What became of one grant of a batch, in the batch's order.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// Counted and recorded.
    Counted(Receipt),
    /// The agent or the catalogue changed since the decision: decide again on fresh rows.
    Stale,
    /// The month's tokens are used up. Nothing was counted.
    QuotaReached,
    /// The authorization code was exchanged before, or by an earlier grant of the batch. Nothing was
    /// counted.
    Spent,
    /// Somebody else's open transaction holds the agent's counter. Nothing was counted; the others of the
    /// batch did not wait for it.
    Locked,
}

/// Proof that a store counted a token. Only stores make one.
#[derive(Debug, Clone, Copy)]
pub struct Receipt {
    jti: Jti,
    epoch: Epoch,
    iat: Timestamp,
}

impl Receipt {
    /// For a token that a committed statement counted under `epoch` at `iat`.
    pub(in crate::store) fn new(jti: Jti, epoch: Epoch, iat: Timestamp) -> Self {
        Self { jti, epoch, iat }
    }
}

/// A grant that was counted: what the keyring signs. There is no other way to make one.
#[derive(Debug)]
pub struct Recorded {
    grant: Arc<Grant>,
    epoch: Epoch,
    iat: Timestamp,
}

impl Recorded {
    /// Joins a grant with its receipt; `None` when the receipt is another token's.
    pub fn new(grant: Arc<Grant>, receipt: Receipt) -> Option<Self> {
        (grant.jti() == receipt.jti).then_some(Self { grant, epoch: receipt.epoch, iat: receipt.iat })
    }

    /// What was granted.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }
    /// The agent's epoch as the counting statement saw it.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
    /// The `iat` claim.
    pub fn issued_at(&self) -> Timestamp {
        self.iat
    }
    /// The `exp` claim: `iat` plus the granted lifetime.
    pub fn expires_at(&self) -> Timestamp {
        self.iat.saturating_add(self.grant.ttl())
    }
}

/// A token to look up: its id and the agent that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRef {
    /// The token.
    pub jti: Jti,
    /// Its `client_id`.
    pub agent_id: AgentId,
}

/// How a token and its agent stand, read together from the store of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether the token was revoked by itself.
    pub revoked: bool,
    /// The agent's status and epoch; `None` when no such agent exists.
    pub agent: Option<(AgentStatus, Epoch)>,
}

/// A private key, encrypted under the master key. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealed(redacted)")
    }
}

/// Where a signing key stands (design: announced → signing → retiring → gone).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Published, signs nothing yet.
    Announced,
    /// Signs. At most one key of a store does.
    Signing,
    /// Published until the last token it signed has expired.
    Retiring,
}

impl KeyState {
    /// The word in stores and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Signing => "signing",
            Self::Retiring => "retiring",
        }
    }

    /// The state of that name.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "announced" => Some(Self::Announced),
            "signing" => Some(Self::Signing),
            "retiring" => Some(Self::Retiring),
            _ => None,
        }
    }
}

/// A signing key as a store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// RFC 7638 thumbprint.
    pub kid: Kid,
    /// The public JWK as JSON text.
    pub public_jwk: String,
    /// The private key, sealed with the `kid` as associated data.
    pub private_key: Sealed,
    /// Where it stands.
    pub state: KeyState,
    /// When it was first published.
    pub announced_at: Timestamp,
    /// From when on it may sign.
    pub signs_from: Timestamp,
    /// When it stopped signing.
    pub signs_until: Option<Timestamp>,
    /// Until when it stays published once it retires.
    pub published_until: Option<Timestamp>,
    /// What authenticates its kid, its state and its times; `None` from a release that made none.
    pub seal: Option<Vec<u8>>,
}

/// A key of the store itself, sealed: `purpose` says what for (`tag`, `code`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreKey {
    /// What it is for.
    pub purpose: String,
    /// Which one of that purpose: one character of `[0-9A-Za-z]`.
    pub key_id: String,
    /// The key, sealed with `purpose:key_id` as associated data.
    pub sealed: Sealed,
}

/// Why a store gave no answer. Never a verdict about anybody (contract D9).
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or did not answer in time. The outcome of a write is unknown.
    #[error("the store is unavailable")]
    Unavailable(#[source] Arc<dyn Error + Send + Sync>),
    /// A bounded queue is full; nothing was done.
    #[error("the store is busy")]
    Busy,
    /// Anything else: a bug, a broken row, a schema that does not fit.
    #[error("the store failed")]
    Fault(#[source] Arc<dyn Error + Send + Sync>),
}

/// Somebody else's open transaction holds all that was asked for. Nothing was done.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("another transaction holds what is needed")]
pub struct LockedElsewhere;

impl StoreError {
    /// Whether it is for certain that nothing was done, since somebody else holds what is needed.
    fn is_locked(&self) -> bool {
        matches!(self, Self::Unavailable(cause) if cause.is::<LockedElsewhere>())
    }
}

/// Why a store could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// The database cannot be reached or did not answer in time; a later try may succeed.
    #[error("the database cannot be reached")]
    Unreachable(#[source] Arc<dyn Error + Send + Sync>),
    /// The database has an older schema than this program needs.
    #[error("the database's schema is older than this program: run `sealwright migrate`")]
    SchemaOlder,
    /// The database keeps text in this encoding, which has no place for every name.
    #[error(
        "the database's encoding is {0}, which cannot hold every name: make one with `create database … \
         encoding 'UTF8' template template0`"
    )]
    Encoding(String),
    /// Tables were held, by these, for as long as a change of the schema may wait for them.
    #[error(
        "the schema was not changed: its tables are held by {0}. Run `sealwright migrate` again after that"
    )]
    Locked(String),
    /// Anything else: a malformed address, a refused login, a migration that failed.
    #[error("the store could not be opened")]
    Fault(#[source] Arc<dyn Error + Send + Sync>),
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(source) => Self::Unreachable(source),
            StoreError::Busy => Self::Unreachable(Arc::new(error)),
            StoreError::Fault(source) => Self::Fault(source),
        }
    }
}

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
