//! The store in a SQLite file: the default, which needs no set-up.
//!
//! Owns the file, its schema and what an error of SQLite means. Must not know what is cached or
//! batched in front of it. `lane` keeps connections, `turn` has processes take turns, `read` asks
//! (`killed` for the tokens of killed agents), `write` changes (`agents` what belongs to one), `issue`
//! counts tokens, `redeem` those that cost a code.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use crate::domain::agent::{Agent, RedirectUri, UserId};
use crate::domain::catalogue::Catalogue;
use crate::domain::credential::HashCost;
use crate::domain::id::{AgentId, CodeId, Jti};
use crate::domain::time::{Month, Timestamp};

use super::write::{revoked_jtis, with_known, without_known};
use super::{
    AgentRecord, Batch, ExchangedToken, Freshness, IssuedToken, KeyRecord, KilledTokens, OpenError, Outcome,
    Revocations, Sought, Standing, Store, StoreError, StoreKey, TokenRef, Verdict, Write,
};
use lane::{Readers, Writer, ask};

mod agents;
mod issue;
mod killed;
mod lane;
mod read;
mod redeem;
mod turn;
mod write;

pub use turn::{NotAlone, ServeLock, give_to_owner_of};

/// How long any one call may take. Longer is an answer of its own: unavailable.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// How long SQLite itself waits for a lock. Turns make it rare: a connection that was dropped in
/// the middle of its work may still be rolling back.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the log may stay, in bytes, once everything in it is in the database too. Twice what it grows to
/// by itself: only a reader that stays open makes it longer, and the second write after that one has gone
/// cuts it.
const MAX_LOG: u32 = 8 * 1024 * 1024;

/// Every schema change, in order. A line here goes with a file of the same number on the other side.
const MIGRATIONS: [(i64, &str, &str); 7] = [
    (1, "initial", include_str!("../../../migrations/sqlite/0001_initial.sql")),
    (2, "authorization_code", include_str!("../../../migrations/sqlite/0002_authorization_code.sql")),
    (3, "raw_basic", include_str!("../../../migrations/sqlite/0003_raw_basic.sql")),
    (4, "known_user", include_str!("../../../migrations/sqlite/0004_known_user.sql")),
    (5, "imported_cost", include_str!("../../../migrations/sqlite/0005_imported_cost.sql")),
    (6, "spent_token", include_str!("../../../migrations/sqlite/0006_spent_token.sql")),
    (7, "signing_key_seal", include_str!("../../../migrations/sqlite/0007_signing_key_seal.sql")),
];

/// A SQLite file that holds everything.
#[derive(Debug)]
pub struct SqliteStore {
    /// Every write.
    writer: Writer,
    /// Every read.
    readers: Readers,
}

impl SqliteStore {
    /// Opens the file, which it makes, readable for its owner only, when there is none; the folder
    /// must exist. Brings the schema up to date. A newer schema is accepted.
    pub async fn open(path: &Path) -> Result<SqliteStore, OpenError> {
        let real = turn::real_path(path);
        // A new store belongs to whom its folder belongs to.
        let owner = real.parent().unwrap_or(&real);
        turn::open_private(&real, owner).map_err(|e| OpenError::from(store_error(e.into())))?;
        let path = &turn::real_path(path);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            // What was answered survives a loss of power: Apple's disks need to be told twice.
            .synchronous(SqliteSynchronous::Full)
            .pragma("fullfsync", "on");
        let readers = Readers::new(options.clone());
        let options = options.journal_mode(SqliteJournalMode::Wal);
        let options = options.pragma("journal_size_limit", MAX_LOG.to_string());
        let writer = Writer::new(options, path);
        let mut held = bounded(writer.take()).await.map_err(open_error)?;
        let migrated = migrator().run_direct(None, &mut held.conn, false).await;
        migrated.map_err(|e| OpenError::Fault(Arc::new(e)))?;
        held.keep();
        Ok(SqliteStore { writer, readers })
    }

    /// A look into a file that is there: nothing is written, made or migrated.
    pub fn look(path: &Path) -> SqliteStore {
        let path = &turn::real_path(path);
        let log = turn::beside(path, "-wal");
        // Without a log nobody has the file open, and a reader need not make the files of one.
        let is_closed = std::fs::metadata(log).map_or(true, |log| log.len() == 0);
        let options =
            SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT).immutable(is_closed);
        let writer = Writer::new(options.clone().read_only(true), path);
        SqliteStore { writer, readers: Readers::new(options) }
    }

    /// Makes this process the only one that serves from the file.
    pub fn lock_serve(path: &Path) -> Result<ServeLock, NotAlone> {
        turn::lock_serve(path)
    }
}

fn migrator() -> Migrator {
    let migration = |(version, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(MIGRATIONS.into_iter().map(migration).collect());
    // A newer program may have been here: migrations only expand, so this one goes on.
    migrator.set_ignore_missing(true);
    migrator
}

/// Bounds a call and says what its error means.
async fn bounded<T>(work: impl Future<Output = sqlx::Result<T>>) -> Result<T, StoreError> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done.map_err(store_error),
        Err(elapsed) => Err(StoreError::Unavailable(Arc::new(elapsed))),
    }
}

fn store_error(error: sqlx::Error) -> StoreError {
    let unavailable = match &error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(e) => says_unavailable(&**e),
        _ => false,
    };
    if unavailable { StoreError::Unavailable(Arc::new(error)) } else { StoreError::Fault(Arc::new(error)) }
}

/// At the start, waiting mends no file that is damaged or no database.
fn open_error(error: StoreError) -> OpenError {
    match error {
        StoreError::Unavailable(cause) if is_damage(&*cause) => OpenError::Fault(cause),
        error => error.into(),
    }
}

fn is_damage(cause: &(dyn std::error::Error + 'static)) -> bool {
    matches!(cause.downcast_ref(), Some(sqlx::Error::Database(e)) if [11, 26].contains(&primary_code(&**e)))
}

/// The low byte of an extended code.
fn primary_code(error: &dyn sqlx::error::DatabaseError) -> i32 {
    error.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or_default() & 0xFF
}

fn says_unavailable(error: &dyn sqlx::error::DatabaseError) -> bool {
    // PERM, BUSY, LOCKED, NOMEM, READONLY, IOERR,
    // CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB.
    [3, 5, 6, 7, 8, 10, 11, 13, 14, 15, 26].contains(&primary_code(error))
}

#[async_trait]
impl Store for SqliteStore {
    async fn agent(
        &self,
        agent_id: &AgentId,
        _freshness: Freshness,
    ) -> Result<Option<Arc<AgentRecord>>, StoreError> {
        ask!(self.readers, read::agent, agent_id).await
    }

    async fn admits_code(
        &self,
        agent_id: &AgentId,
        redirect_uri: &RedirectUri,
        user: Option<&UserId>,
    ) -> Result<bool, StoreError> {
        ask!(self.readers, read::admits_code, agent_id, redirect_uri, user).await
    }

    async fn agents(&self, after: Option<&AgentId>, limit: i64) -> Result<Vec<Agent>, StoreError> {
        ask!(self.readers, read::agents, after, limit).await
    }

    async fn used(&self, agent_ids: &[AgentId], month: Month) -> Result<HashMap<AgentId, i64>, StoreError> {
        ask!(self.readers, read::used, agent_ids, month).await
    }

    async fn catalogue(&self, _freshness: Freshness) -> Result<Arc<Catalogue>, StoreError> {
        ask!(self.readers, read::catalogue).await
    }

    async fn imported_costs(&self, _freshness: Freshness) -> Result<Arc<[HashCost]>, StoreError> {
        ask!(self.readers, read::imported_costs).await
    }

    async fn standing(&self, tokens: &[TokenRef]) -> Result<Vec<Standing>, StoreError> {
        ask!(self.readers, read::standing, tokens).await
    }

    async fn revocations(
        &self,
        since: i64,
        now: Timestamp,
        kills_after: Timestamp,
    ) -> Result<Revocations, StoreError> {
        ask!(self.readers, read::revocations, since, now, kills_after).await
    }

    async fn newest_event(&self) -> Result<i64, StoreError> {
        ask!(self.readers, killed::newest_event).await
    }

    async fn killed_tokens(
        &self,
        sought: &[Sought],
        after: Option<i64>,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<KilledTokens>, StoreError> {
        killed::killed_tokens(&self.readers, sought, after, now, most).await
    }

    async fn issued_token(&self, jti: Jti) -> Result<Option<IssuedToken>, StoreError> {
        read::issued_token(&self.readers, jti).await
    }

    async fn exchanged(&self, code: CodeId) -> Result<Option<ExchangedToken>, StoreError> {
        ask!(self.readers, redeem::exchanged, code).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        ask!(self.readers, read::keys).await
    }

    async fn store_keys(&self) -> Result<Vec<StoreKey>, StoreError> {
        ask!(self.readers, read::store_keys).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        ask!(self.readers, read::ping).await
    }

    async fn clock(&self) -> Result<Option<i64>, StoreError> {
        Ok(None)
    }

    async fn issue(&self, batch: &Batch) -> Result<Vec<Verdict>, StoreError> {
        // Whether any token costs a code is asked here, so that counting the others does not ask.
        if batch.grants.iter().any(|grant| grant.code().is_some()) {
            redeem::issue(&self.writer, batch).await
        } else {
            issue::issue(&self.writer, batch).await
        }
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Vec<Outcome>, StoreError> {
        // What is revoked already costs no turn.
        let known = match revoked_jtis(&writes) {
            Some(jtis) => {
                let jtis = &jtis;
                ask!(self.readers, read::revoked, jtis).await?
            }
            None => HashSet::new(),
        };
        let rest = without_known(&writes, &known);
        let outcomes = write::commit(&self.writer, &rest).await?;
        Ok(with_known(&writes, &known, outcomes))
    }

    async fn prune(&self, now: Timestamp, keep_events: i64, most: i64) -> Result<u64, StoreError> {
        write::prune(&self.writer, now, keep_events, most).await
    }

    /// The last connection to close moves what is in the write-ahead log into the file. Somebody who
    /// keeps the turn to write must not keep the process.
    async fn close(&self) {
        let close = async {
            self.readers.close().await;
            self.writer.close().await;
        };
        let _ = tokio::time::timeout(PATIENCE, close).await;
    }
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    #[test]
    fn every_migration_file_is_in_the_list() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
        names.sort_unstable();
        let listed = MIGRATIONS.map(|(version, name, _)| format!("{version:04}_{name}.sql"));
        assert_eq!(names, listed);
    }
}
