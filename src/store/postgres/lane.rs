//! Connections to PostgreSQL, one lane for each kind of traffic.
//!
//! Owns when a connection is opened, kept, given back and dropped. Must not know any table. A
//! connection is taken out of its lane and put back only after success. So a call that failed or
//! was cancelled drops its socket, and no other call meets a transaction that it left open.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::store::error::StoreError;
use crate::telemetry::metrics::LaneSeries;

use super::allowance::Allowance;
pub(super) use super::ask::{ask, ask_again};
use super::errors::{bounded, is_broken, is_full, is_lock_timeout, is_passing, is_rolled_back};
use super::hosts::Hosts;
use super::query_planning::QueryPlanning;
use super::shelf::{Open, Shelf};

mod rest;

/// How often a transaction is tried again if the database rolled it back, or if its connection
/// broke before the commit.
pub(super) const RETRIES: u32 = 3;

/// How long a call waits for a connection if the database gives no more: a little less than the
/// timeout of every call, so that the call can still report the reason.
const FULL_TIMEOUT: Duration = Duration::from_millis(2_200);

/// The pause before such a call tries again, unless a connection comes back to its lane earlier.
const FULL_PAUSE: Duration = Duration::from_millis(50);

/// A limited number of connections, given out first come, first served.
pub(super) struct Lane {
    hosts: Arc<Hosts>,
    planning: QueryPlanning,
    permits: Semaphore,
    /// The number of this lane in the store. Its connections are stored under this number.
    number: usize,
    /// Holds the idle connections of all lanes.
    shelf: Arc<Shelf>,
    /// How many connections this lane has, in use and idle.
    open: Arc<AtomicUsize>,
    /// Notified when a connection comes back.
    returned: Notify,
    allowance: Allowance,
    series: LaneSeries,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane")
            .field("planning", &self.planning)
            .finish_non_exhaustive()
    }
}

impl Lane {
    /// The lane with this name and number, with one connection at most; see [`Lane::widen`].
    pub(super) fn new(
        hosts: &Arc<Hosts>,
        planning: QueryPlanning,
        shelf: &Arc<Shelf>,
        (name, number): (&'static str, usize),
    ) -> Self {
        Self {
            hosts: Arc::clone(hosts),
            planning,
            permits: Semaphore::new(1),
            number,
            shelf: Arc::clone(shelf),
            open: Arc::default(),
            returned: Notify::new(),
            allowance: Allowance::default(),
            series: LaneSeries::of(name),
        }
    }

    /// Allows this many more connections.
    pub(super) fn widen(&self, connections: u32) {
        self.permits
            .add_permits(usize::try_from(connections).unwrap_or(0));
    }

    /// Takes a connection out of the lane, or opens one if none is idle. If the database gives no
    /// more, the other lanes close their idle connections, and this call takes whichever comes
    /// first: a connection that comes back to this lane, or a new one.
    pub(super) async fn take(&self) -> sqlx::Result<LaneConnection<'_>> {
        let asked = Instant::now();
        let permit = self
            .permits
            .acquire()
            .await
            .map_err(|_| sqlx::Error::PoolClosed)?;
        let began = Instant::now();
        loop {
            if let Some((conn, open)) = self.shelf.take(self.number) {
                self.series.waited(asked.elapsed());
                return Ok(self.lend(conn, open, permit));
            }
            if self.may_open() {
                match self.connect().await {
                    Ok((conn, open)) => {
                        self.series.waited(asked.elapsed());
                        return Ok(self.lend(conn, open, permit));
                    }
                    Err(error) if is_full(&error) && began.elapsed() < FULL_TIMEOUT => {
                        self.lower_allowance();
                    }
                    Err(error) => return Err(error),
                }
            }
            // Try again after a notice or the pause: a connection that came back is on the shelf.
            let _ = tokio::time::timeout(FULL_PAUSE, self.returned.notified()).await;
        }
    }

    /// One read. It is repeated once on a new connection if the first connection is broken, as all
    /// are after a restart of the database.
    pub(super) async fn read<'a, T, F>(
        &'a self,
        query: impl Fn(LaneConnection<'a>) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = sqlx::Result<T>>,
    {
        bounded(async {
            match query(self.take().await?).await {
                Err(error) if is_broken(&error) => {
                    self.forget();
                    query(self.take().await?).await
                }
                Err(error) if is_rolled_back(&error) => query(self.take().await?).await,
                done => done,
            }
        })
        .await
    }

    /// Repeats work after a passing failure. Only for work that itself finds out what an earlier
    /// try did, or that fails before it changes anything.
    pub(super) async fn retry<T, F>(&self, work: impl Fn() -> F) -> sqlx::Result<T>
    where
        F: Future<Output = sqlx::Result<T>>,
    {
        let mut tries = 0;
        loop {
            match work().await {
                Err(error) if tries < RETRIES && is_passing(&error) => {
                    tries += 1;
                    if is_broken(&error) {
                        self.forget();
                    }
                }
                done => return done,
            }
        }
    }

    /// Drops all idle connections: if one is broken, all are.
    pub(super) fn forget(&self) {
        self.shelf.clear(|lane| lane == self.number);
    }

    /// Takes a connection out of the lane if one is idle.
    pub(super) fn take_idle(&self) -> Option<LaneConnection<'_>> {
        let permit = self.permits.try_acquire().ok()?;
        let (conn, open) = self.shelf.take(self.number)?;
        Some(self.lend(conn, open, permit))
    }

    /// How many connections this lane has, in use and idle.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many of these are idle.
    pub(super) fn idle(&self) -> usize {
        self.shelf.count(self.number)
    }

    /// Others need connections: if this lane has several, it uses fewer for a while.
    pub(super) fn lower_own_allowance(&self) {
        if self.open() > 1 {
            self.allowance.lower(self.open());
        }
    }

    /// A connection that is taken out of the lane.
    fn lend<'a>(
        &'a self,
        conn: PgConnection,
        open: Open,
        permit: SemaphorePermit<'a>,
    ) -> LaneConnection<'a> {
        LaneConnection {
            conn,
            lane: self,
            open,
            _permit: permit,
        }
    }

    async fn connect(&self) -> sqlx::Result<(PgConnection, Open)> {
        // Counted before it is open, so that two calls that connect at once see each other.
        let mut open = Open::one_of(&self.open);
        let (conn, turn) = self.hosts.connect(self.planning.settings()).await?;
        open.turn = turn;
        // What other servers say is out of date once one of them was left.
        self.shelf.clear_before(turn);
        Ok((conn, open))
    }

    /// Whether this lane may open one more connection.
    fn may_open(&self) -> bool {
        self.open() < self.allowance.max_connections()
    }

    /// The database gives no more connections: this lane uses fewer for a while, and the other
    /// lanes close their idle ones.
    fn lower_allowance(&self) {
        self.allowance.lower(self.open());
        self.shelf.clear(|lane| lane != self.number);
    }
}

/// A connection in use. Dropping it closes it; [`LaneConnection::keep`] puts it back.
pub(super) struct LaneConnection<'a> {
    pub conn: PgConnection,
    lane: &'a Lane,
    open: Open,
    _permit: SemaphorePermit<'a>,
}

impl LaneConnection<'_> {
    /// Puts the connection back if the work on it succeeded.
    pub(super) fn settle<T>(self, done: sqlx::Result<T>) -> sqlx::Result<T> {
        if done.is_ok() {
            self.keep();
        }
        done
    }

    /// After a statement that the database refused or rolled back: puts the connection back. Only
    /// outside of a transaction. After any other error, the connection is dropped.
    pub(super) fn release(self, error: sqlx::Error) -> sqlx::Error {
        if leaves_sound(&error) {
            self.keep();
        }
        error
    }

    /// As [`LaneConnection::release`], and ends the transaction before that.
    pub(super) async fn recover(mut self, error: sqlx::Error) -> sqlx::Error {
        if leaves_sound(&error)
            && sqlx::raw_sql("rollback")
                .execute(&mut self.conn)
                .await
                .is_ok()
        {
            self.keep();
        }
        error
    }

    /// Puts the connection back, unless another server is the primary now. Only for a connection
    /// without unfinished work.
    pub(super) fn keep(self) {
        let Self {
            conn,
            lane,
            open,
            _permit,
        } = self;
        let is_of_primary = open.turn == lane.hosts.turn();
        if is_of_primary && lane.open() <= lane.allowance.max_connections() {
            lane.shelf.put(lane.number, conn, open);
        } else {
            // Close it before a waiting call is woken, because that call must not count it as open.
            drop((conn, open));
        }
        lane.returned.notify_one();
    }
}

/// Whether a connection can be used after a statement that failed like this.
fn leaves_sound(error: &sqlx::Error) -> bool {
    is_lock_timeout(error) || is_rolled_back(error)
}
