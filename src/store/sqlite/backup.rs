//! Copies of a SQLite store: a backup beside a running server, and what makes a copy a store again.
//!
//! Owns how a copy is made and marked. Must not know where backups lie, or what an acknowledgement
//! does. Nothing here has a timeout: a large file takes a while.

use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::domain::time::Timestamp;
use crate::store::error::{OpenError, StoreError};
use crate::store::generation::NoteUse;

use super::errors::{bounded, store_error};
use super::in_use::{NO_RUN, begin_use, has_log, lacks_log, note_run, run_in_file, without_log};
use super::lane::ask_again;
use super::open::{BUSY_TIMEOUT, SqliteStore};
use super::turn::{beside, real_path};

/// A copy that cannot be a store.
#[derive(Debug, thiserror::Error)]
#[error("it is damaged: {0}")]
struct DamagedCopy(String);

#[async_trait]
impl NoteUse for SqliteStore {
    async fn begin_use(&self) -> Result<(), StoreError> {
        bounded(begin_use(&self.writer, &self.path, &self.run)).await
    }
}

impl SqliteStore {
    /// Refuses a copy of a file that a server had open, without its log. For a server that has the
    /// serve lock. Nothing is written or created.
    pub async fn demand_whole(path: &Path) -> Result<(), OpenError> {
        let path = real_path(path);
        if has_log(&path) || !path.is_file() {
            return Ok(());
        }
        let store = Self::open_to_read(&path);
        // A file that cannot be read is reported where it is opened.
        let run = ask_again!(store.readers, run_in_file).await;
        if run.is_ok_and(|run| lacks_log(&path, run)) {
            return Err(without_log(&path));
        }
        Ok(())
    }

    /// Copies what is committed into `target`, an empty file: one state, whatever a server writes
    /// meanwhile. The copy is marked as a restored store since `now`.
    pub async fn back_up(path: &Path, target: &Path, now: Timestamp) -> Result<(), OpenError> {
        let target_text = target.to_str().ok_or_else(|| {
            let why = io::Error::other("the path of the copy is not UTF-8");
            OpenError::Fault(Arc::new(why))
        })?;
        let copied = async {
            let mut conn = options(&real_path(path)).connect().await?;
            sqlx::query("vacuum into ?1")
                .bind(target_text)
                .execute(&mut conn)
                .await?;
            conn.close().await
        };
        copied.await.map_err(opening)?;
        Self::make_restorable(target, now).await
    }

    /// Makes a complete copy of a store a store that can be put in place: checks it, brings its
    /// schema up to date, and marks it as restored since `now`.
    pub async fn make_restorable(copy: &Path, now: Timestamp) -> Result<(), OpenError> {
        check(copy).await.map_err(opening)?;
        let store = SqliteStore::open(copy).await?;
        store.readers.close().await;
        store.writer.close(None).await;
        let marked = async {
            let mut conn = options(copy).connect().await?;
            let sql = "update store_generation set restored_at = coalesce(restored_at, ?1)";
            sqlx::query(sql).bind(now.0).execute(&mut conn).await?;
            conn.close().await
        };
        marked.await.map_err(opening)?;
        // Nobody else uses the copy.
        let _ = std::fs::remove_file(beside(copy, ".turn"));
        Ok(())
    }

    /// Takes a copy that lacks its log for a whole store, if it is not damaged, and marks it as
    /// restored since `now`. A file that is no such copy stays as it is. For a process that has the
    /// serve lock.
    pub async fn accept_copy(path: &Path, now: Timestamp) -> Result<(), OpenError> {
        if Self::demand_whole(path).await.is_ok() {
            return Ok(());
        }
        let path = real_path(path);
        check(&path).await.map_err(opening)?;
        Self::make_restorable(&path, now).await
    }
}

/// Demands that the content is sound, and takes back the note that a server has the file open.
async fn check(path: &Path) -> sqlx::Result<()> {
    let mut conn = options(path).connect().await?;
    let found: Vec<String> = sqlx::query_scalar("pragma quick_check(1)")
        .fetch_all(&mut conn)
        .await?;
    if found != ["ok"] {
        return Err(sqlx::Error::Io(io::Error::other(DamagedCopy(
            found.join("; "),
        ))));
    }
    if run_in_file(&mut conn).await? != NO_RUN {
        note_run(&mut conn, NO_RUN).await?;
    }
    conn.close().await
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
}

fn opening(error: sqlx::Error) -> OpenError {
    OpenError::from(store_error(error))
}
