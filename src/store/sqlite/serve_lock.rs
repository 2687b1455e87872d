//! The lock of the one server of a database file.
//!
//! Owns who may serve, and what happens if somebody removes the lock file. Must not know what is
//! served. The lock lies in a file of its own: SQLite loses its locks on the database as soon as
//! any other descriptor of the database is closed in its process.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::turn::{beside, has_name, naming, open_private, real_path};

/// How often a lock is taken if another process removes the lock file in the same moment.
const MAX_TRIES: u32 = 10;

/// Held while a process serves from a database file. The lock is released when this value is
/// dropped or the process ends.
#[derive(Debug)]
pub struct ServeLock {
    database: PathBuf,
    file: File,
}

/// Why `SqliteStore::lock_serve` gave no lock.
#[derive(Debug, thiserror::Error)]
pub enum NotAlone {
    /// Another process serves from this file.
    #[error("another server runs on this database file")]
    AlreadyServing,
    /// The file has several names in the file system. Each name would get its own log.
    #[error(
        "the database file has hard links, and two programs that open it by two of its names damage it: \
         leave it one name"
    )]
    SeveralNames,
    /// The lock file cannot be used.
    #[error("the lock cannot be taken")]
    Fault(#[source] io::Error),
}

impl ServeLock {
    /// Makes this process the only one that serves from the file.
    pub(super) fn take(database: &Path) -> Result<Self, NotAlone> {
        let database = real_path(database);
        demand_one_name(&database)?;
        let file = lock(&database)?;
        Ok(Self { database, file })
    }

    /// Takes the lock again if somebody removed or replaced the lock file: another server would
    /// lock a new file. Fails with [`NotAlone::AlreadyServing`] if that has happened. The new file
    /// holds what the old one held: the name of the server's run.
    pub fn renew(&mut self) -> Result<(), NotAlone> {
        if !has_name(&self.file, &lock_file(&self.database)).map_err(NotAlone::Fault)? {
            let file = lock(&self.database)?;
            copy_text(&self.file, &file).map_err(NotAlone::Fault)?;
            self.file = file;
        }
        Ok(())
    }
}

fn lock_file(database: &Path) -> PathBuf {
    beside(database, ".serve")
}

fn lock(database: &Path) -> Result<File, NotAlone> {
    let path = lock_file(database);
    let owner = match fs::metadata(database) {
        Ok(_) => database,
        // The database will be created for the owner of its folder.
        Err(_) => database.parent().unwrap_or(database),
    };
    for _ in 0..MAX_TRIES {
        let file = open_private(&path, owner).map_err(NotAlone::Fault)?;
        match file.try_lock() {
            Ok(()) if has_name(&file, &path).map_err(NotAlone::Fault)? => return Ok(file),
            // The file was removed before it was locked. Another process may lock a new one.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(NotAlone::AlreadyServing),
            Err(TryLockError::Error(error)) => return Err(NotAlone::Fault(naming(&path, &error))),
        }
    }
    let error = io::Error::other("it is removed again and again");
    Err(NotAlone::Fault(naming(&path, &error)))
}

/// Replaces the text of a lock file by that of another one, which may have no name any more.
fn copy_text(from: &File, to: &File) -> io::Result<()> {
    let mut text = [0; 64];
    let length = from.read_at(&mut text, 0)?;
    to.set_len(0)?;
    to.write_all_at(text.get(..length).unwrap_or_default(), 0)
}

/// Refuses a file with hard links: SQLite would keep a log of its own for each of its names.
pub(super) fn demand_one_name(database: &Path) -> Result<(), NotAlone> {
    match fs::metadata(database) {
        Ok(file) if file.is_file() && file.nlink() > 1 => Err(NotAlone::SeveralNames),
        Ok(_) | Err(_) => Ok(()),
    }
}
