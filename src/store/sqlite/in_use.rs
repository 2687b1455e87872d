//! Whether a SQLite file is a copy that lacks its log.
//!
//! While a server has the file open, the newest commits lie in the log beside it. A copy of the file
//! alone is an older state, and may be damaged. So a server names its run in the file and in its lock
//! file beside it, and takes both back when it stops. A server that was killed leaves the log beside
//! the file, until some program moves its content into the file; the lock file still names the run
//! then. So a file that is in use, without a log, and beside no lock file of that run is a copy. Must
//! not know what a copy may be used for.

use std::fs::OpenOptions;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use sqlx::sqlite::SqliteConnection;

use crate::store::error::OpenError;

use super::errors::bounded;
use super::lane::Writer;
use super::serve_lock::{NotAlone, ServeLock};
use super::turn::beside;

/// What a file says that no server has open.
pub(super) const NO_RUN: i64 = 0;

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
    let run = bounded(run_in_file(conn)).await?;
    if run == NO_RUN {
        return Ok(());
    }
    // The lock is held by the server that runs, be it another process or this one.
    let lock = ServeLock::take(path);
    if matches!(lock, Err(NotAlone::AlreadyServing)) {
        return Ok(());
    }
    if !had_log && lacks_log(path, run) {
        return Err(without_log(path));
    }
    Ok(bounded(note_run(conn, NO_RUN)).await?)
}

/// Whether a file that names this run, and has no log, is a copy.
pub(super) fn lacks_log(path: &Path, run: i64) -> bool {
    run != NO_RUN && run_beside(path) != Some(run)
}

/// The run that the lock file names.
fn run_beside(path: &Path) -> Option<i64> {
    let text = std::fs::read_to_string(beside(path, ".serve")).ok()?;
    text.trim().parse().ok()
}

/// Writes the run into the lock file, which is there while a server runs.
fn write_beside(path: &Path, run: Option<i64>) -> std::io::Result<()> {
    let text = run.map_or_else(String::new, |run| format!("{run}\n"));
    let mut file = OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(beside(path, ".serve"))?;
    file.write_all(text.as_bytes())
}

/// The run that the file names. A file without the table is older.
pub(super) async fn run_in_file(conn: &mut SqliteConnection) -> sqlx::Result<i64> {
    let sql = "select exists (select 1 from sqlite_master where type = 'table' and name = 'store_generation')";
    if !sqlx::query_scalar(sql).fetch_one(&mut *conn).await? {
        return Ok(NO_RUN);
    }
    sqlx::query_scalar("select in_use from store_generation")
        .fetch_one(conn)
        .await
}

/// Takes the run out of the file, whichever it names: the last statement of the server of this run. If
/// another server has taken this one's place, the lock file names that server's run, which stays.
pub(super) fn end_use(path: &Path, run: i64) -> String {
    let other = run_beside(path).filter(|beside| *beside != run);
    let kept = other.unwrap_or(NO_RUN);
    format!("update store_generation set in_use = {NO_RUN} where in_use <> {kept}")
}

/// Takes the run out of the lock file, once it is out of the file.
pub(super) fn end_run(path: &Path, run: i64) {
    if run_beside(path) == Some(run) {
        // If this fails, a copy of the file may be taken for the file of a killed server.
        let _ = write_beside(path, None);
    }
}

/// Names a run in the file.
pub(super) async fn note_run(conn: &mut SqliteConnection, run: i64) -> sqlx::Result<()> {
    sqlx::query("update store_generation set in_use = ?1")
        .bind(run)
        .execute(conn)
        .await
        .map(drop)
}

/// Names a new run in the lock file and in the file, and leaves its number in `current`. Even if this
/// fails, the file may name the run.
pub(super) async fn begin_use(lane: &Writer, path: &Path, current: &AtomicI64) -> sqlx::Result<()> {
    // A random number above 0.
    let random = RandomState::new().hash_one(std::process::id());
    let run = i64::try_from(random >> 1).unwrap_or(i64::MAX) | 1;
    current.store(run, Ordering::Relaxed);
    let mut held = lane.take().await?;
    // Without it, the file of a killed server may be taken for a copy.
    let _ = write_beside(path, Some(run));
    note_run(&mut held.conn, run).await?;
    // The run must be in the file, and not only in its log. Readers may keep a part of the log from
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
