//! Connections to PostgreSQL, one lane for each kind of traffic.
//!
//! Owns when a connection is opened, kept and dropped. Must not know any table. A connection is
//! taken out of its lane for use and put back only after success, so a call that failed or was
//! cancelled drops its socket, and nobody meets a transaction that somebody else left open.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{RETRIES, StoreError, bounded, is_broken, is_passing, is_rolled_back};

/// `ask!(lane, function, arguments…)`: one read on a connection of that lane.
macro_rules! ask {
    ($lane:expr, $function:expr $(, $argument:expr)*) => {
        $lane.read(|mut held| async move {
            let answer = $function(&mut held.conn $(, $argument)*).await;
            held.settle(answer)
        })
    };
}
pub(super) use ask;

/// A connection that nobody used for so long is not trusted: something between here and the
/// database may have forgotten it without a word.
const TRUSTED_IDLE: Duration = Duration::from_mins(2);

/// How the database may plan the statements of a lane.
#[derive(Debug, Clone, Copy)]
pub(super) enum Plan {
    /// As it thinks best.
    Free,
    /// Row by row along the indexes: three to four times faster for a batch of ids against a large
    /// table, and rows are locked in the order in which they were asked for.
    Indexed,
}

impl Plan {
    /// What a new connection is told first. A commit is durable before it answers, whatever the
    /// server's own setting, and a statement sees what was committed when it began: what is decided here
    /// rests on locks and versions, not on stricter isolation. A statement that its caller gave up must not hold its locks for ever.
    /// A standby cannot say who was revoked a moment ago, so it is asked whether it is one.
    fn greeting(self) -> &'static str {
        match self {
            Self::Free => {
                "set synchronous_commit = on; set default_transaction_isolation = 'read committed'; \
                 set statement_timeout = 2500; \
                 set idle_in_transaction_session_timeout = 5000; \
                 select pg_is_in_recovery()"
            }
            Self::Indexed => {
                "set synchronous_commit = on; set default_transaction_isolation = 'read committed'; \
                 set statement_timeout = 2500; \
                 set idle_in_transaction_session_timeout = 5000; \
                 set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; \
                 select pg_is_in_recovery()"
            }
        }
    }
}

/// At most so many connections, given out first come, first served.
pub(super) struct Lane {
    options: PgConnectOptions,
    plan: Plan,
    permits: Semaphore,
    idle: Mutex<Vec<(Instant, PgConnection)>>,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The options hold a password.
        f.debug_struct("Lane").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl Lane {
    pub fn new(options: PgConnectOptions, plan: Plan, connections: u32) -> Self {
        let connections = usize::try_from(connections.max(1)).unwrap_or(1);
        Self { options, plan, permits: Semaphore::new(connections), idle: Mutex::new(Vec::new()) }
    }

    /// Takes a connection out of the lane, or opens one when none lies idle.
    pub async fn take(&self) -> sqlx::Result<Held<'_>> {
        let permit = self.permits.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let idle = self.idle().pop().filter(|(since, _)| since.elapsed() < TRUSTED_IDLE);
        let conn = match idle {
            Some((_, conn)) => conn,
            None => self.connect().await?,
        };
        Ok(Held { conn, lane: self, _permit: permit })
    }

    /// One read, once more on a new connection when the first one turns out to be broken, as all
    /// are after a restart of the database.
    pub async fn read<'a, T, F>(&'a self, query: impl Fn(Held<'a>) -> F) -> Result<T, StoreError>
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

    /// Work that may be done again after it failed in passing: it says itself what became of an earlier
    /// try, or failed before anything was changed.
    pub async fn retry<T, F>(&self, work: impl Fn() -> F) -> sqlx::Result<T>
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

    /// Drops all idle connections: when one is broken, they are.
    pub fn forget(&self) {
        let broken = std::mem::take(&mut *self.idle());
        drop(broken);
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        let mut conn = PgConnection::connect_with(&self.options).await?;
        let row = sqlx::raw_sql(self.plan.greeting()).fetch_one(&mut conn).await?;
        if sqlx::Row::try_get(&row, 0)? {
            return Err(sqlx::Error::Io(std::io::Error::other("the database is a standby")));
        }
        Ok(conn)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(Instant, PgConnection)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use. Dropped, it is closed; [`Held::keep`] puts it back.
pub(super) struct Held<'a> {
    pub conn: PgConnection,
    lane: &'a Lane,
    _permit: SemaphorePermit<'a>,
}

impl Held<'_> {
    /// Keeps the connection if what was done with it went well.
    pub fn settle<T>(self, done: sqlx::Result<T>) -> sqlx::Result<T> {
        if done.is_ok() {
            self.keep();
        }
        done
    }

    /// Puts the connection back: for a connection that has nothing unfinished on it.
    pub fn keep(self) {
        self.lane.idle().push((Instant::now(), self.conn));
    }
}
