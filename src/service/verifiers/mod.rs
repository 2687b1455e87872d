//! What verifiers report, and who of them already enforces a version of the revocation list.
//!
//! Reports are kept in memory and written to the store every two seconds, so that all replicas know
//! all verifiers. Owns when they are written. Must not know how a report arrives.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::{Clock as _, StoreClock};
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::time::Moment;
use crate::domain::verifier::{
    Convergence, ConvergenceState, VERIFIER_TTL, VerifierId, VerifierReport, converge,
};
use crate::store::{Change, Outcome, Records, Store, VerifierChange, Write};
use crate::telemetry::metrics::{self, VerifiersMeasure};

use super::error::Error;
use super::manage::ManageError;
use super::manage::request::ChangeRequest;
use noted::Noted;
pub(crate) use noted::Said;

mod noted;

/// How many reports one statement writes.
const MAX_WRITTEN: usize = 500;

/// How many reports wait for the proof of who sent them, and how many are proven at once. A proof is a
/// look-up in the store, and many of them are one question.
const MAX_QUEUED: usize = 20_000;
const MAX_PROVING: usize = 256;

/// The reports of this process, and those of all others in the store.
pub struct VerifierReports {
    store: Arc<dyn Store>,
    records: Arc<dyn Records>,
    clock: Arc<StoreClock>,
    noted: Mutex<Noted>,
    /// The latest version that all verifiers were seen to enforce.
    complete: AtomicI64,
    /// How many reports wait for a proof, and how many are being proven.
    queued: Arc<Semaphore>,
    proving: Arc<Semaphore>,
}

/// A report's turn to be proven. The place in the queue is given back when dropped.
pub(crate) struct ProofTurn {
    _queued: OwnedSemaphorePermit,
    _proving: Option<OwnedSemaphorePermit>,
}

impl VerifierReports {
    /// Reports over this store.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        records: Arc<dyn Records>,
        clock: Arc<StoreClock>,
    ) -> Self {
        Self {
            store,
            records,
            clock,
            noted: Mutex::default(),
            complete: AtomicI64::new(0),
            queued: Arc::new(Semaphore::new(MAX_QUEUED)),
            proving: Arc::new(Semaphore::new(MAX_PROVING)),
        }
    }

    /// Waits until it is this report's turn to be proven. `None` if too many wait: the verifier
    /// reports again.
    pub(crate) fn queue(&self) -> Option<impl Future<Output = ProofTurn> + Send + use<>> {
        let queued = Arc::clone(&self.queued).try_acquire_owned().ok()?;
        let proving = Arc::clone(&self.proving);
        Some(async move {
            ProofTurn {
                _queued: queued,
                // The semaphore is never closed.
                _proving: proving.acquire_owned().await.ok(),
            }
        })
    }

    /// Notes a report. `known` is the version of this process's list.
    pub fn note(&self, said: Said, known: i64) {
        let now = self.clock.moment();
        let mut noted = self.lock();
        if said.version <= known {
            noted.ahead.remove(&said.id);
            noted.note(said, now);
        } else {
            noted.keep_ahead(said, now);
        }
    }

    /// How many reports of versions that it knows this process was told.
    pub fn noted(&self) -> u64 {
        self.lock().count
    }

    /// How many verifiers have reported a version that this process does not know.
    pub fn ahead(&self) -> usize {
        self.lock().ahead.len()
    }

    /// Writes new reports to the store. Run every two seconds. `known` is the version of this
    /// process's list.
    pub async fn write(&self, known: i64) -> Result<(), Error> {
        let now = self.clock.moment();
        let reports = {
            let mut noted = self.lock();
            noted.settle_ahead(known, now);
            noted.forget_before(Moment(now.0.saturating_sub(VERIFIER_TTL)));
            noted.unwritten()
        };
        for part in reports.chunks(MAX_WRITTEN) {
            let reports: Vec<_> = part.iter().map(|(_, report)| report.clone()).collect();
            self.records.put_reports(&reports).await?;
            self.lock().note_written(part);
        }
        Ok(())
    }

    /// The newest version in the store.
    pub async fn newest_version(&self) -> Result<i64, Error> {
        let now = self.clock.now();
        let nothing_but_the_version = self.records.revocations(i64::MAX, now, now).await?;
        Ok(nothing_but_the_version.version)
    }

    /// Who enforces this version, by the store and by what this process was told since.
    pub async fn convergence(&self, version: i64) -> Result<Convergence, Error> {
        let now = self.clock.moment();
        let oldest = Moment(now.0.saturating_sub(VERIFIER_TTL));
        let stored = self.records.verifiers(oldest).await?;
        let reports = self.lock().merge(stored);
        Ok(converge(reports, version, now))
    }

    /// Sets the metrics of this version. The time until all enforce it is measured once.
    pub async fn measure(&self, version: i64) -> Result<(), Error> {
        let found = self.convergence(version).await?;
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let millis = |millis: i64| Duration::from_millis(millis.max(0).unsigned_abs());
        let now = self.clock.moment();
        let lag = match found.committed_at {
            Some(committed) if found.behind > 0 => millis(now.0.saturating_sub(committed.0)),
            _ => Duration::ZERO,
        };
        metrics::verifiers(&VerifiersMeasure {
            converged: number(found.converged),
            behind: number(found.behind),
            silent: number(found.silent),
            unauthenticated: number(found.unauthenticated),
            lag,
        });
        if found.state == ConvergenceState::Complete
            && self.complete.fetch_max(version, Ordering::Relaxed) < version
            && let Some(took) = found.p100_millis
        {
            metrics::convergence(millis(took));
        }
        Ok(())
    }

    /// Forgets a verifier that does not run any more. If it runs after all, its next report makes it
    /// known again.
    pub async fn remove(
        &self,
        id: &VerifierId,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<VerifierReport, ManageError> {
        let request = request.into();
        let found = self.find(id).await?;
        request.demand(None).map_err(Rejection::from)?;
        let found = found.ok_or_else(not_known)?;
        if request.is_dry_run() {
            return Ok(found);
        }
        // What only this process knows is written first, so that its removal has an event. A report
        // that is written later would make the verifier known again.
        let known = std::slice::from_ref(&found);
        self.records.put_reports(known).await.map_err(Error::from)?;
        self.forget(id);
        let act = request.act.committed_at(self.clock.moment());
        let change = Change::Verifier(VerifierChange::Remove(id.clone()));
        let outcomes = self.store.commit(vec![Write::new(act, change)]).await;
        match outcomes.map_err(Error::from)?.first() {
            Some(Outcome::Applied) => Ok(found),
            _ => Err(not_known().into()),
        }
    }

    async fn find(&self, id: &VerifierId) -> Result<Option<VerifierReport>, Error> {
        let oldest = self.clock.moment().0.saturating_sub(VERIFIER_TTL);
        let stored = self.records.verifiers(Moment(oldest)).await?;
        let mut known = self.lock().merge(stored);
        let place = known.iter().position(|report| report.id == *id);
        Ok(place.map(|place| known.swap_remove(place)))
    }

    fn forget(&self, id: &VerifierId) {
        let mut noted = self.lock();
        noted.ahead.remove(id);
        noted.remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_known() -> Rejection {
    RejectionCode::VerifierNotFound.into()
}
