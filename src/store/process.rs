//! The processes that serve from a store, as each of them reports itself. Must not know SQL, or what
//! follows from a report.

use async_trait::async_trait;

use crate::domain::id::ProcessId;
use crate::domain::time::Moment;

use super::error::StoreError;

/// How long, in seconds, the row of a process is kept that died without a word.
pub const PROCESS_TTL: i64 = 3_600;

/// What a process reports about itself. The store adds the newest change of the schema that its
/// program knows, and the times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessReport {
    /// Drawn at random when the process starts.
    pub process_id: ProcessId,
    /// The name of the machine or container.
    pub host: String,
    /// The number of the process on that machine.
    pub pid: i64,
    /// The release.
    pub release: String,
    /// The fingerprints of the master keys that the process holds. The first is that of the key
    /// which seals.
    pub master_keys: Vec<String>,
}

/// A process as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessRecord {
    /// What it reported.
    pub report: ProcessReport,
    /// The number of the newest change of the schema that it knows.
    pub schema: i64,
    /// When it reported for the first time, by the store's clock.
    pub started_at: Moment,
    /// When it reported last, by the store's clock.
    pub seen_at: Moment,
    /// How many milliseconds ago that was, by the store's clock. Negative if that clock was set back.
    pub age_millis: i64,
}

/// A program that uses the store, and of which there is no report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilentUser {
    /// Who it is, in words.
    pub who: String,
    /// Whether it may be a process that reports soon.
    pub may_report: bool,
}

/// The processes that serve from the store.
#[async_trait]
pub trait Processes: Send + Sync {
    /// Records that this process serves. A store with a clock of its own uses that clock instead of
    /// `now`. The report waits while a change is committed that depends on which processes serve.
    async fn report_process(&self, report: &ProcessReport, now: Moment) -> Result<(), StoreError>;

    /// Removes what this process reported: it has stopped.
    async fn end_process(&self, process_id: ProcessId) -> Result<(), StoreError>;

    /// All processes that are known, the longest-serving first. Those that died are among them for
    /// [`PROCESS_TTL`].
    async fn processes(&self, now: Moment) -> Result<Vec<ProcessRecord>, StoreError>;

    /// Switches on what an older release does not enforce. The caller has found that none runs.
    async fn finish_upgrade(&self) -> Result<(), StoreError>;

    /// The programs that use the store now and report nothing, as releases without such reports do.
    /// A store that cannot tell its users apart takes a report since `since` for theirs.
    async fn silent_users(&self, since: Moment) -> Result<Vec<SilentUser>, StoreError>;
}
