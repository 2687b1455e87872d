//! Connections to a SQLite file: one that writes, and a few that read.
//!
//! Owns when a connection is opened, kept and dropped. Must not know any table. The writing
//! connection is taken out for use and put back only after success. So a call that failed or was
//! cancelled closes the connection, which rolls back what the call had begun.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Connection, Sqlite};
use tokio::sync::{Mutex, MutexGuard};

use crate::store::error::StoreError;
use crate::store::lane_use::LaneUse;
use crate::store::retry::TIMEOUT;
use crate::telemetry::metrics::LaneSeries;

use super::errors::{bounded, is_damage};
use super::file::{DatabaseFile, LogFiles};
use super::turn::{Turn, Turns};

/// `ask!(lane, function, arguments…)`: one read on a connection of that lane.
macro_rules! ask {
    ($lane:expr, $function:expr $(, $argument:expr)*) => {
        $lane.read(|mut conn| async move { $function(&mut conn $(, $argument)*).await })
    };
}
pub(super) use ask;

/// Like `ask!`, but repeated while the file cannot be read, until the call's timeout. No wrapper of
/// a store repeats these reads.
macro_rules! ask_again {
    ($($read:tt)*) => { $crate::store::retry::again(|| crate::store::sqlite::lane::ask!($($read)*)) };
}
pub(super) use ask_again;

/// How many reads run at once. Each one has its own thread.
const READERS: u32 = 3;

/// Connections that only read. They see what was committed, and never wait for a writer.
#[derive(Debug)]
pub(super) struct Readers {
    pool: SqlitePool,
    options: SqliteConnectOptions,
    file: Arc<DatabaseFile>,
    series: LaneSeries,
}

impl Readers {
    pub(super) fn new(options: SqliteConnectOptions, file: &Arc<DatabaseFile>) -> Self {
        let pool = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(TIMEOUT);
        // In KiB. These connections look up single rows, whose pages the system has in memory as
        // well.
        let options = options.pragma("cache_size", "-512").read_only(true);
        Self {
            pool: pool.connect_lazy_with(options.clone()),
            options,
            file: Arc::clone(file),
            series: LaneSeries::of("read"),
        }
    }

    /// How many connections there are.
    pub(super) fn uses(&self) -> LaneUse {
        let open = usize::try_from(self.pool.size()).unwrap_or(usize::MAX);
        let idle = self.pool.num_idle().min(open);
        LaneUse {
            lane: "read",
            used: open.saturating_sub(idle),
            idle,
        }
    }

    /// Closes all connections. A later read fails.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    /// One read.
    pub(super) async fn read<T, F>(
        &self,
        query: impl Fn(PoolConnection<Sqlite>) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = sqlx::Result<T>>,
    {
        bounded(async {
            self.file.demand()?;
            let asked = Instant::now();
            let conn = self.pool.acquire().await?;
            self.series.waited(asked.elapsed());
            query(conn).await
        })
        .await
    }

    /// One read on a new connection, which remembers no page of the file. It finds out whether the
    /// file is damaged, and every other call of this store then depends on that.
    pub(super) async fn look(&self, sql: &'static str) -> Result<(), StoreError> {
        bounded(async {
            self.file.demand_content()?;
            let looked = async {
                let mut conn = SqliteConnection::connect_with(&self.options).await?;
                sqlx::query(sql).execute(&mut conn).await?;
                conn.close().await
            };
            match looked.await {
                Ok(()) => {
                    let _ = self.file.note_damage(false);
                    Ok(())
                }
                Err(error) if is_damage(&error) => Err(self.file.note_damage(true).into()),
                Err(error) => Err(error),
            }
        })
        .await
    }
}

/// The connection that writes, given out first come, first served.
#[derive(Debug)]
pub(super) struct Writer {
    options: SqliteConnectOptions,
    file: Arc<DatabaseFile>,
    turns: Turns,
    idle: Mutex<Option<IdleConnection>>,
    series: LaneSeries,
}

/// A connection that nobody uses now, and the log files that it writes.
#[derive(Debug)]
struct IdleConnection {
    conn: SqliteConnection,
    log: LogFiles,
}

impl Writer {
    pub(super) fn new(
        options: SqliteConnectOptions,
        database: &Path,
        file: Arc<DatabaseFile>,
    ) -> Self {
        Self {
            options,
            file,
            turns: Turns::new(database),
            idle: Mutex::new(None),
            series: LaneSeries::of("write"),
        }
    }

    /// Waits for this call's turn within the process, then for the process's turn among all
    /// processes. Then takes the connection, or opens one if the last one was dropped.
    pub(super) async fn take(&self) -> sqlx::Result<LaneConnection<'_>> {
        let asked = Instant::now();
        let mut slot = self.idle.lock().await;
        let turn = self.turns.take().await?;
        self.series.waited(asked.elapsed());
        self.file.demand()?;
        if let Some(idle) = &*slot {
            self.file.demand_log(&idle.log)?;
        }
        let IdleConnection { conn, log } = match slot.take() {
            Some(idle) => idle,
            None => self.connect().await?,
        };
        Ok(LaneConnection {
            conn,
            log,
            file: &self.file,
            turn,
            slot,
        })
    }

    /// How many connections there are: one at most, in use or idle.
    pub(super) fn uses(&self) -> LaneUse {
        let (used, idle) = match self.idle.try_lock() {
            Ok(slot) => (0, usize::from(slot.is_some())),
            Err(_) => (1, 0),
        };
        LaneUse {
            lane: "write",
            used,
            idle,
        }
    }

    async fn connect(&self) -> sqlx::Result<IdleConnection> {
        self.file.demand()?;
        let conn = SqliteConnection::connect_with(&self.options).await?;
        // Somebody may have put another file there before SQLite opened it.
        self.file.demand()?;
        let log = self.file.log_files();
        Ok(IdleConnection { conn, log })
    }

    /// Closes the connection, in this process's turn. A later write opens another connection.
    ///
    /// A connection whose file was replaced is closed too: SQLite then leaves the new file and its
    /// log alone. `last` is run before that. If it fails, the files are left as after a crash. Returns
    /// whether it was run.
    pub(super) async fn close(&self, last: Option<String>) -> bool {
        let mut slot = self.idle.lock().await;
        let Ok(turn) = self.turns.take().await else {
            return false;
        };
        let idle = match slot.take() {
            Some(idle) => Ok(idle),
            None => self.connect().await,
        };
        let mut is_run = false;
        if let Ok(IdleConnection { mut conn, .. }) = idle {
            if let Some(sql) = last {
                if sqlx::raw_sql(AssertSqlSafe(sql))
                    .execute(&mut conn)
                    .await
                    .is_err()
                {
                    std::mem::forget(conn);
                    return false;
                }
                is_run = true;
            }
            // If closing fails, the next process that opens the file handles the log that is left.
            let _ = conn.close().await;
        }
        drop(turn);
        is_run
    }
}

/// The connection and the turn to write. Dropping it closes the connection and then ends the turn;
/// [`LaneConnection::keep`] puts the connection back first.
pub(super) struct LaneConnection<'a> {
    pub conn: SqliteConnection,
    log: LogFiles,
    file: &'a DatabaseFile,
    turn: Turn,
    slot: MutexGuard<'a, Option<IdleConnection>>,
}

impl LaneConnection<'_> {
    /// Puts the connection back. Only for a connection without unfinished work.
    pub(super) fn keep(self) {
        let Self {
            conn,
            log,
            file,
            turn,
            mut slot,
        } = self;
        let log = if log.iter().any(Option::is_none) {
            file.log_files()
        } else {
            log
        };
        *slot = Some(IdleConnection { conn, log });
        drop(turn);
    }
}
