//! Connections to a SQLite file: one that writes, and a few that read.
//!
//! Owns when a connection is opened, kept and dropped. Must not know any table. The writing
//! connection is taken out for use and put back only after success. So a call that failed or was
//! cancelled closes the connection, which rolls back what the call had begun.

use std::path::Path;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePool, SqlitePoolOptions};
use sqlx::{Connection, Sqlite};
use tokio::sync::{Mutex, MutexGuard};

use crate::store::error::StoreError;
use crate::store::retry::TIMEOUT;

use super::errors::bounded;
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
pub(super) struct Readers(SqlitePool);

impl Readers {
    pub(super) fn new(options: SqliteConnectOptions) -> Self {
        let pool = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(TIMEOUT);
        // In KiB. These connections look up single rows, whose pages the system has in memory as
        // well.
        let options = options.pragma("cache_size", "-512");
        Self(pool.connect_lazy_with(options.read_only(true)))
    }

    /// Closes all connections. A later read fails.
    pub(super) async fn close(&self) {
        self.0.close().await;
    }

    /// One read.
    pub(super) async fn read<T, F>(
        &self,
        query: impl Fn(PoolConnection<Sqlite>) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = sqlx::Result<T>>,
    {
        bounded(async { query(self.0.acquire().await?).await }).await
    }
}

/// The connection that writes, given out first come, first served.
#[derive(Debug)]
pub(super) struct Writer {
    options: SqliteConnectOptions,
    turns: Turns,
    idle: Mutex<Option<SqliteConnection>>,
}

impl Writer {
    pub(super) fn new(options: SqliteConnectOptions, database: &Path) -> Self {
        Self {
            options,
            turns: Turns::new(database),
            idle: Mutex::new(None),
        }
    }

    /// Waits for this call's turn within the process, then for the process's turn among all
    /// processes. Then takes the connection, or opens one if the last one was dropped.
    pub(super) async fn take(&self) -> sqlx::Result<LaneConnection<'_>> {
        let mut slot = self.idle.lock().await;
        let turn = self.turns.take().await?;
        let conn = match slot.take() {
            Some(conn) => conn,
            None => SqliteConnection::connect_with(&self.options).await?,
        };
        Ok(LaneConnection { conn, turn, slot })
    }
}

impl Writer {
    /// Closes the connection, in this process's turn. A later write opens another connection.
    pub(super) async fn close(&self) {
        if let Ok(held) = self.take().await {
            let LaneConnection { conn, turn, slot } = held;
            // If closing fails, the next process that opens the file handles the log that is left.
            let _ = conn.close().await;
            drop(turn);
            drop(slot);
        }
    }
}

/// The connection and the turn to write. Dropping it closes the connection and then ends the turn;
/// [`LaneConnection::keep`] puts the connection back first.
pub(super) struct LaneConnection<'a> {
    pub conn: SqliteConnection,
    turn: Turn,
    slot: MutexGuard<'a, Option<SqliteConnection>>,
}

impl LaneConnection<'_> {
    /// Puts the connection back. Only for a connection without unfinished work.
    pub(super) fn keep(self) {
        let Self {
            conn,
            turn,
            mut slot,
        } = self;
        *slot = Some(conn);
        drop(turn);
    }
}
