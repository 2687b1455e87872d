//! Taking turns on one SQLite file: locks of the operating system, which die with their process.
//!
//! Owns the files beside the database that carry the locks. Must not know SQL. SQLite alone has a
//! busy server starve everybody else who wants to write; here each stands in line.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Held while a process serves from a database file. Dropped, or with its process, it is free.
#[derive(Debug)]
pub struct ServeLock {
    _file: File,
}

/// Why [`super::SqliteStore::lock_serve`] gave no lock.
#[derive(Debug, thiserror::Error)]
pub enum NotAlone {
    /// Another process serves from this file.
    #[error("another server runs on this database file")]
    AlreadyServing,
    /// The lock file cannot be used.
    #[error("the lock beside the database file cannot be taken")]
    Fault(#[source] io::Error),
}

/// The file beside `database` with `suffix` added to its name.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens or makes a file that only its owner may read.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Waits for this process's turn to write; the turn lasts until the file is dropped.
///
/// Each turn opens the file anew: a lock belongs to one opening, so a caller who gave up while he
/// waited can neither keep a turn that comes to him later nor end somebody else's.
pub(super) async fn take_turn(path: &Path) -> io::Result<File> {
    let file = open_private(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(error),
        Err(TryLockError::WouldBlock) => {
            let wait = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
            wait.await.map_err(io::Error::other)?
        }
    }
}

pub(super) fn lock_serve(database: &Path) -> Result<ServeLock, NotAlone> {
    let file = open_private(&beside(database, ".serve")).map_err(NotAlone::Fault)?;
    match file.try_lock() {
        Ok(()) => Ok(ServeLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(NotAlone::AlreadyServing),
        Err(TryLockError::Error(error)) => Err(NotAlone::Fault(error)),
    }
}
