//! Whether a SQLite file is a copy that lacks its log.
//!
//! While a server has the file open, the newest commits lie in the log beside it. A copy of the file
//! alone is an older state, and may be damaged. So a server notes in the file that the file is in
//! use, and takes that back when it stops. A server that was killed leaves the log beside the file:
//! a file that is in use and has no log is a copy. Must not know what a copy may be used for.

use std::path::Path;

use sqlx::sqlite::SqliteConnection;

use crate::store::error::OpenError;

use super::errors::bounded;
use super::lane::Writer;
use super::serve_lock::{NotAlone, ServeLock};
use super::turn::beside;

/// Whether there is a log beside the database. An empty one counts: it was not forgotten by a copy.
pub(super) fn has_log(path: &Path) -> bool {
    beside(path, "-wal").exists()
}

/// Refuses such a copy too, for every process that opens a file. `had_log` is whether there was a log
/// before this process opened the file. If no server runs, the note of one that was killed is taken
/// back: this process moves the content of its log into the file when it closes the file.
pub(super) async fn settle(
    conn: &mut SqliteConnection,
    path: &Path,
    had_log: bool,
) -> Result<(), OpenError> {
    let is_used = bounded(is_in_use(conn)).await?;
    if !is_used {
        return Ok(());
    }
    // The lock is held by the server that runs, be it another process or this one.
    let lock = ServeLock::take(path);
    if matches!(lock, Err(NotAlone::AlreadyServing)) {
        return Ok(());
    }
    if !had_log {
        return Err(without_log(path));
    }
    Ok(bounded(note_use(conn, false)).await?)
}

/// Whether the file says that a server has it open. A file without the table is older.
pub(super) async fn is_in_use(conn: &mut SqliteConnection) -> sqlx::Result<bool> {
    let sql = "select exists (select 1 from sqlite_master where type = 'table' and name = 'store_generation')";
    if !sqlx::query_scalar(sql).fetch_one(&mut *conn).await? {
        return Ok(false);
    }
    sqlx::query_scalar("select in_use from store_generation")
        .fetch_one(conn)
        .await
}

/// Takes the note back: the last statement of a server.
pub(super) const END_USE: &str = "update store_generation set in_use = false";

/// Notes in the file whether a server has it open.
pub(super) async fn note_use(conn: &mut SqliteConnection, is_used: bool) -> sqlx::Result<()> {
    sqlx::query("update store_generation set in_use = ?1")
        .bind(is_used)
        .execute(conn)
        .await
        .map(drop)
}

/// Notes that a server has the file open, in the file itself.
pub(super) async fn begin_use(lane: &Writer) -> sqlx::Result<()> {
    let mut held = lane.take().await?;
    note_use(&mut held.conn, true).await?;
    // The note must be in the file, and not only in its log. Readers may keep a part of the log from
    // being moved; the next commits try again.
    sqlx::raw_sql("pragma wal_checkpoint(full)")
        .execute(&mut held.conn)
        .await?;
    held.keep();
    Ok(())
}

/// The error of such a copy.
pub(super) fn without_log(path: &Path) -> OpenError {
    OpenError::CopyWithoutLog(path.display().to_string())
}
