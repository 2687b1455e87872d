//! Opening a SQLite file: who may read the file, how it is written, and how it is only read.
//!
//! Owns the settings of SQLite for the file. Must not know any table.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};

use crate::store::error::{OpenError, StoreError};
use crate::store::named_terms::NamedTerms;
use crate::store::terms_book::TermsBook;

use super::errors::{bounded, open_error, store_error};
use super::file::DatabaseFile;
use super::in_use::{NO_RUN, has_log, settle};
use super::lane::{Readers, Writer, ask_again};
use super::schema::migrator;
use super::serve_lock::{NotAlone, ServeLock, demand_one_name};
use super::turn;

/// How long SQLite itself waits for a lock. Turns make such a wait rare: a connection that was
/// dropped in the middle of its work may still be rolling back.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the log may stay, in bytes, after everything in it is in the database too. This is
/// twice the length to which it grows by itself. Only a reader that stays open makes the log
/// longer; the second write after that reader has gone cuts the log.
const MAX_LOG: u32 = 8 * 1024 * 1024;

/// What a SQLite file holds of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// No table of a store. A young store's file is like this when its log was lost.
    NoTables,
    /// The tables, without the keys that the first start draws.
    NoKeys,
    /// A store.
    Store,
}

/// A SQLite file that holds everything.
#[derive(Debug)]
pub struct SqliteStore {
    /// Every write.
    pub(super) writer: Writer,
    /// Every read.
    pub(super) readers: Readers,
    /// The terms that have a row of their own.
    pub(super) terms: TermsBook,
    /// The terms that events named lately.
    pub(super) named_terms: NamedTerms,
    /// The run that the file names while this process serves from it.
    pub(super) run: AtomicI64,
    /// The file.
    pub(super) path: PathBuf,
}

impl SqliteStore {
    /// Opens the file. If there is none, creates it, readable only for its owner; the folder must
    /// exist. Brings the schema up to date. Accepts a newer schema. Refuses a copy of an open file that lacks
    /// its log.
    pub async fn open(path: &Path) -> Result<SqliteStore, OpenError> {
        let real = turn::real_path(path);
        // A new store belongs to the owner of its folder.
        let owner = real.parent().unwrap_or(&real);
        turn::open_private(&real, owner).map_err(|e| OpenError::from(store_error(e.into())))?;
        let path = &turn::real_path(path);
        demand_one_name(path).map_err(|e| OpenError::Fault(Arc::new(e)))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            // A write that was answered survives a loss of power. Apple's disks need `fullfsync`
            // for this.
            .synchronous(SqliteSynchronous::Full)
            .pragma("fullfsync", "on");
        let had_log = has_log(path);
        let file = Arc::new(DatabaseFile::at(path));
        let readers = Readers::new(options.clone(), &file);
        let options = options.journal_mode(SqliteJournalMode::Wal);
        let options = options.pragma("journal_size_limit", MAX_LOG.to_string());
        let writer = Writer::new(options, path, file);
        let mut held = bounded(writer.take()).await.map_err(open_error)?;
        settle(&mut held.conn, path, had_log).await?;
        let migrated = migrator().run_direct(None, &mut held.conn, false).await;
        migrated.map_err(|e| OpenError::Fault(Arc::new(e)))?;
        held.keep();
        Ok(SqliteStore {
            writer,
            readers,
            terms: TermsBook::default(),
            named_terms: NamedTerms::default(),
            run: AtomicI64::new(NO_RUN),
            path: path.to_owned(),
        })
    }

    /// Opens an existing file for reading. Nothing is written, created or migrated.
    pub fn open_to_read(path: &Path) -> SqliteStore {
        let path = &turn::real_path(path);
        let log = turn::beside(path, "-wal");
        // If there is no log, no process has the file open, and a reader need not create the log's
        // files.
        let is_closed = std::fs::metadata(log).map_or(true, |log| log.len() == 0);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY_TIMEOUT)
            .immutable(is_closed);
        let file = Arc::new(DatabaseFile::at(path));
        let readers = Readers::new(options.clone(), &file);
        SqliteStore {
            writer: Writer::new(options.read_only(true), path, file),
            readers,
            terms: TermsBook::default(),
            named_terms: NamedTerms::default(),
            run: AtomicI64::new(NO_RUN),
            path: path.to_owned(),
        }
    }

    /// What an existing file holds. Nothing is written, created or migrated.
    pub async fn content(path: &Path) -> Result<Content, StoreError> {
        let store = Self::open_to_read(path);
        ask_again!(store.readers, content).await
    }

    /// Makes this process the only one that serves from the file.
    pub fn lock_serve(path: &Path) -> Result<ServeLock, NotAlone> {
        ServeLock::take(path)
    }
}

async fn content(conn: &mut SqliteConnection) -> sqlx::Result<Content> {
    let tables =
        "select exists (select 1 from sqlite_master where type = 'table' and name = 'store_key')";
    if !sqlx::query_scalar(tables).fetch_one(&mut *conn).await? {
        return Ok(Content::NoTables);
    }
    let keys = "select exists (select 1 from store_key)";
    let has_keys = sqlx::query_scalar(keys).fetch_one(conn).await?;
    Ok(if has_keys {
        Content::Store
    } else {
        Content::NoKeys
    })
}
