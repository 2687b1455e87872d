//! What people, commands and background loops read from a store, besides the path of a token.
//!
//! There is one trait for each noun. Each backend implements the trait in its file of that noun,
//! and no wrapper wraps it. `docs/adding-an-endpoint.md` lists the steps of a new read. If a read
//! meets a broken connection, the backend tries it again until the call's timeout. Must not know
//! how a token is counted.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::agent::{Agent, AgentName};
use crate::domain::agent_filter::AgentFilter;
use crate::domain::event::row::EventRow;
use crate::domain::event::search::{EventCriteria, EventOrder};
use crate::domain::id::{AgentId, HolderId, Jti};
use crate::domain::org::OrgId;
use crate::domain::time::{Moment, Month, Timestamp};
use crate::domain::tree::hash::NodeHash;

use super::agent_search::AgentRows;
use super::credential::ReadCredentials;
use super::error::StoreError;
use super::holders::ReadHolders;
use super::journal::{Lease, Pass, PassOutcome, Settlement, Unsettled};
use super::key::ReadKeys;
use super::lane_use::LaneUse;
use super::log::{LogEntry, LogEntryKind, LogHead};
use super::org::ReadOrgs;
use super::partner::ReadPartners;
use super::process::Processes;
use super::rehearsal::Rehearse;
use super::reply::ReadReplies;
use super::revocation::{IssuedToken, KilledAgentQuery, KilledTokens, Revocations};
use super::schema::ReadSchema;
use super::search::{EventTable, IdRange};
use super::terms::TermsBounds;
use super::usage::ReadUsage;
use super::verifier::Verifiers;

/// All read traits together.
pub trait Records:
    ReadAgents
    + ReadHolders
    + ReadOrgs
    + ReadPartners
    + ReadCredentials
    + Rehearse
    + ReadRevocations
    + ReadEvents
    + SearchEvents
    + Places
    + ReadLog
    + ReadUsage
    + ReadKeys
    + ReadReplies
    + Processes
    + ReadSchema
    + Verifiers
    + Upkeep
{
}

impl<T> Records for T where
    T: ReadAgents
        + ReadHolders
        + ReadOrgs
        + ReadPartners
        + ReadCredentials
        + Rehearse
        + ReadRevocations
        + ReadEvents
        + SearchEvents
        + Places
        + ReadLog
        + ReadUsage
        + ReadKeys
        + ReadReplies
        + Processes
        + ReadSchema
        + Verifiers
        + Upkeep
{
}

/// Agents, as operators read them.
#[async_trait]
pub trait ReadAgents: Send + Sync {
    /// Up to `limit` agents in the byte order of their ids, starting after the id `after`.
    async fn agents(&self, after: Option<&AgentId>, limit: i64) -> Result<Vec<Agent>, StoreError>;

    /// Up to `limit` agents that meet the filter and are of this organisation, in the byte order of
    /// their ids, starting after the id `after`. `None` means agents of all organisations. Reads a
    /// bounded number of rows, so there may be fewer although there are more: then `through` tells
    /// where to go on.
    async fn agents_where(
        &self,
        filter: &AgentFilter,
        org_id: Option<&OrgId>,
        after: Option<&AgentId>,
        limit: i64,
    ) -> Result<AgentRows, StoreError>;

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

    /// The organisation of each of these agents. Ids that no agent has are absent.
    async fn agent_orgs(
        &self,
        agent_ids: &[AgentId],
    ) -> Result<HashMap<AgentId, OrgId>, StoreError>;
}

/// The revocation list.
#[async_trait]
pub trait ReadRevocations: Send + Sync {
    /// What changed in the revocation list after version `since`. Tokens whose `exp` is at or
    /// before `now`, and agents killed and keys revoked at or before `kills_after`, are left out.
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

    /// Up to which id the events are settled. If transactions are open that may still commit an
    /// event with a smaller id, the answer is [`Settlement::Unsettled`], and the next question
    /// passes it on as `earlier`. Each question is answered at once, and no transaction stays open
    /// between two of them.
    async fn settled_event(&self, earlier: Option<Unsettled>) -> Result<Settlement, StoreError>;

    /// Up to `limit` events with ids from `after` (exclusive) to `through` (inclusive), in the
    /// order of their ids.
    async fn events(
        &self,
        after: i64,
        through: i64,
        limit: i64,
    ) -> Result<Vec<EventRow>, StoreError>;
}

/// The search for events. Every part of a range is searched in windows, so that each call reads a
/// bounded number of rows.
#[async_trait]
pub trait SearchEvents: Send + Sync {
    /// The first part of `range` in this order that has at most `MAX_WINDOW_ROWS` rows of this
    /// table; the whole range if it has no more.
    async fn search_window(
        &self,
        table: EventTable,
        order: EventOrder,
        range: IdRange,
    ) -> Result<IdRange, StoreError>;

    /// The first `limit` events of this table in this range and order that meet `sought`. Reads all
    /// rows of the range if there are fewer, so `range` should be a window.
    async fn search_events(
        &self,
        table: EventTable,
        sought: &EventCriteria,
        order: EventOrder,
        range: IdRange,
        limit: i64,
    ) -> Result<Vec<EventRow>, StoreError>;

    /// The id and the time of the first event of `token_event` in this range and order.
    async fn first_token(
        &self,
        order: EventOrder,
        range: IdRange,
    ) -> Result<Option<(i64, Timestamp)>, StoreError>;

    /// The indexes of the entries that the log has for these events: an id, and its entry's index.
    /// An issued token has the entry of its block. Events that the log does not have are left out.
    async fn log_indexes(
        &self,
        events: &[(i64, LogEntryKind)],
    ) -> Result<Vec<(i64, u64)>, StoreError>;
}

/// How far each reader of the events has come, and who works for it.
#[async_trait]
pub trait Places: Send + Sync {
    /// Takes the lease of this reader for `ttl`, or renews the holder's own lease. `None` if it is
    /// another holder's. A lease that ends later than twice `ttl` from now counts as over: it was
    /// taken by a clock that was ahead. A store with a clock of its own uses that clock instead of
    /// `now`.
    async fn take_lease(
        &self,
        reader: &'static str,
        holder: HolderId,
        ttl: Duration,
        now: Moment,
    ) -> Result<Option<Lease>, StoreError>;

    /// The id up to which this reader has read; `None` if it never had a lease.
    async fn place(&self, reader: &str) -> Result<Option<i64>, StoreError>;

    /// Writes what the reader made of the events, and moves its place, in one commit. The commit
    /// needs the lease of the pass to be as it was granted, with its holder, its place and the run
    /// of the database server. So a holder that was stopped until another took its lease changes
    /// nothing. If this call fails, the place tells whether the commit was done.
    async fn commit_pass(&self, pass: &Pass) -> Result<PassOutcome, StoreError>;
}

/// The tamper-evident log. Its entries and nodes never change, so several reads of a log at one size
/// need no common snapshot.
#[async_trait]
pub trait ReadLog: Send + Sync {
    /// The log of each generation, in their order. The last one is the log that grows.
    async fn log_heads(&self) -> Result<Vec<LogHead>, StoreError>;

    /// The hashes of the tiles of this level, beginning with the hash at `from`: `count`, or as many
    /// as there are.
    async fn log_hashes(
        &self,
        level: u8,
        from: u64,
        count: u16,
    ) -> Result<Vec<NodeHash>, StoreError>;

    /// Up to `limit` entries, beginning with the one at `from`, in the order of their indexes.
    async fn log_entries(&self, from: u64, limit: i64) -> Result<Vec<LogEntry>, StoreError>;

    /// The entry of this kind for the event with this id, or else the next entry of this kind.
    async fn log_entry_from(
        &self,
        kind: LogEntryKind,
        id: i64,
    ) -> Result<Option<LogEntry>, StoreError>;
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
    /// grace, `token.issued` events more than `keep_events` seconds old and not above the place of
    /// the reader `prune`, rows of terms that no event names any more, batch ids older than a day,
    /// spent codes past their grace, replies older than a day, processes that were not seen for an hour. A store with a clock of its own uses the smaller of its
    /// clock and `now`. Returns how many rows were removed, so that the caller goes on while there
    /// is more.
    async fn prune(&self, now: Timestamp, keep_events: i64, most: i64) -> Result<u64, StoreError>;

    /// Reads which terms of tokens have a row of their own, if that changed. Until the first call,
    /// every token is recorded with its terms.
    async fn refresh_terms(&self) -> Result<(), StoreError>;

    /// Gives rows of their own to terms that many tokens had, within `bounds`, and writes down
    /// which rows were used.
    async fn intern_terms(&self, now: Timestamp, bounds: TermsBounds) -> Result<(), StoreError>;

    /// How many connections each lane to the database has. Asks no database.
    fn lanes(&self) -> Vec<LaneUse>;

    /// The upkeep that a store needs every second: it keeps needed connections ready, and closes
    /// unused ones.
    async fn rest(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
