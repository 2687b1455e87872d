//! Which processes serve from the store, and the report of this one.
//!
//! Owns how often a process reports, and when it counts as gone. Must not know what follows from that
//! for a change. A process that stops in order takes its report with it.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock as _, StoreClock};
use crate::store::{ProcessRecord, ProcessReport, Records};
use crate::telemetry::error_chain;

use super::error::Error;

/// How often a process reports, in seconds.
pub(crate) const REPORT_PERIOD: u64 = 20;

/// For how many milliseconds after its last report a process counts as one that serves.
pub(super) const SERVING_MILLIS: i64 = 60_000;

/// How many milliseconds are waited for the next report of a server: a period, and some time for the
/// report itself.
const REPORT_TIMEOUT: i64 = 25_000;

/// How often it is looked whether such a report has come.
const LOOK_PERIOD: Duration = Duration::from_millis(250);

/// The report of this process.
pub struct ServingReport {
    records: Arc<dyn Records>,
    clock: Arc<StoreClock>,
    report: ProcessReport,
}

impl ServingReport {
    /// Reports nothing before [`ServingReport::report`] is called.
    pub(crate) fn new(
        records: Arc<dyn Records>,
        clock: Arc<StoreClock>,
        report: ProcessReport,
    ) -> Self {
        Self {
            records,
            clock,
            report,
        }
    }

    /// Reports that this process serves. Run before the first key is read, and then every
    /// [`REPORT_PERIOD`].
    pub async fn report(&self) -> Result<(), Error> {
        let now = self.clock.moment();
        Ok(self.records.report_process(&self.report, now).await?)
    }

    /// The same for a process that starts. It serves even if it cannot report; its loop tries again.
    pub(crate) async fn begin(&self) {
        if let Err(error) = self.report().await {
            let error = error_chain(&error);
            tracing::warn!(error, "this process could not report that it serves");
        }
    }

    /// Takes the report back: this process stops.
    pub async fn end(&self) {
        let process_id = self.report.process_id;
        if let Err(error) = self.records.end_process(process_id).await {
            // It counts as one that serves for another minute.
            let error = error_chain(&error);
            tracing::warn!(error, "this process could not report that it stops");
        }
    }
}

/// Whether this process reported a short while ago, so that it counts as one that serves.
pub(crate) fn is_serving(process: &ProcessRecord) -> bool {
    process.age_millis < SERVING_MILLIS
}

/// A process in words, for people who look for it.
pub(crate) fn describe(process: &ProcessRecord) -> String {
    let ProcessReport {
        host, pid, release, ..
    } = &process.report;
    let since = process.started_at.second().to_rfc3339();
    format!("pid {pid} on {host} (release {release}, since {since})")
}

/// The processes that serve from the store now.
pub(crate) async fn serving(
    records: &dyn Records,
    clock: &StoreClock,
) -> Result<Vec<ProcessRecord>, Error> {
    let mut processes = records.processes(clock.moment()).await?;
    processes.retain(is_serving);
    Ok(processes)
}

/// The programs that use the store and report nothing, each in words. Waits for the report of one
/// that may still come.
pub(crate) async fn silent_users(
    records: &dyn Records,
    clock: &StoreClock,
) -> Result<Vec<String>, Error> {
    let (since, began) = (clock.moment(), clock.steady());
    loop {
        let silent = records.silent_users(since).await?;
        let waited = clock.steady().saturating_sub(began);
        if !silent.iter().all(|user| user.may_report)
            || waited > REPORT_TIMEOUT
            || silent.is_empty()
        {
            return Ok(silent.into_iter().map(|user| user.who).collect());
        }
        tokio::time::sleep(LOOK_PERIOD).await;
    }
}
