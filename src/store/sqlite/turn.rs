//! Taking turns on one SQLite file: locks of the operating system, which die with their process.
//!
//! Owns the files beside the database that carry the locks. Must not know SQL. SQLite alone has a
//! busy server starve everybody else who wants to write; here each stands in line.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

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
    #[error("the lock cannot be taken")]
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
    options.open(path).map_err(|error| naming(path, &error))
}

/// The same error, with the file that it is about.
fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Where this process stands in line to write.
#[derive(Debug)]
pub(super) struct Turns {
    path: PathBuf,
    /// An opening of the file that nobody uses: a process without a free descriptor writes on.
    spare: Spare,
    /// Who gets the turn for which a thread waits. Callers give up; the thread cannot, so the next
    /// caller inherits it: there is one at most, however long somebody else keeps the turn.
    next: Arc<Mutex<Option<oneshot::Sender<io::Result<Turn>>>>>,
}

type Spare = Arc<Mutex<Option<File>>>;

/// This process's turn to write. Dropped, it ends, and its opening of the file waits for the next.
#[derive(Debug)]
pub(super) struct Turn {
    file: Option<File>,
    spare: Spare,
}

impl Drop for Turn {
    fn drop(&mut self) {
        // One that cannot be unlocked is closed, which ends the turn too.
        if let Some(file) = self.file.take()
            && file.unlock().is_ok()
        {
            *next(&self.spare) = Some(file);
        }
    }
}

impl Turns {
    /// By the lock of this file, which is made when there is none.
    pub fn new(path: PathBuf) -> Self {
        Self { path, spare: Arc::default(), next: Arc::default() }
    }

    /// Waits for this process's turn to write.
    ///
    /// Two callers never share an opening of the file: a lock belongs to one, so a caller who gave up while
    /// he waited can neither keep a turn that comes to him later nor end somebody else's.
    pub async fn take(&self) -> io::Result<Turn> {
        let spare = next(&self.spare).take();
        let file = spare.map_or_else(|| open_private(&self.path), Ok)?;
        match file.try_lock() {
            Ok(()) => Ok(Turn { file: Some(file), spare: Arc::clone(&self.spare) }),
            Err(TryLockError::Error(error)) => Err(naming(&self.path, &error)),
            Err(TryLockError::WouldBlock) => self.wait(file).await,
        }
    }

    async fn wait(&self, file: File) -> io::Result<Turn> {
        let (mine, turn) = oneshot::channel();
        let inherited = next(&self.next).replace(mine).is_some();
        if inherited {
            *next(&self.spare) = Some(file);
        } else {
            let (waiting, spare) = (Arc::clone(&self.next), Arc::clone(&self.spare));
            tokio::task::spawn_blocking(move || {
                let turn = file.lock().map(|()| Turn { file: Some(file), spare });
                // When nobody wants it any more it is dropped, which ends it.
                if let Some(caller) = next(&waiting).take() {
                    let _ = caller.send(turn);
                }
            });
        }
        turn.await.map_err(io::Error::other)?
    }
}

fn next<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn lock_serve(database: &Path) -> Result<ServeLock, NotAlone> {
    let path = beside(database, ".serve");
    let file = open_private(&path).map_err(NotAlone::Fault)?;
    match file.try_lock() {
        Ok(()) => Ok(ServeLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(NotAlone::AlreadyServing),
        Err(TryLockError::Error(error)) => Err(NotAlone::Fault(naming(&path, &error))),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_turn_after_the_first_opens_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let turns = Turns::new(folder.path().join("a.turn"));
        drop(turns.take().await.unwrap());
        // Whoever opens it now fails, as one does who has no descriptor left.
        folder.close().unwrap();
        for _ in 0..3 {
            drop(turns.take().await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_turn_is_one_processs_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.turn");
        let (ours, theirs) = (Turns::new(path.clone()), Turns::new(path));
        for _ in 0..3 {
            let turn = ours.take().await.unwrap();
            let waiting = theirs.take();
            let mut waiting = std::pin::pin!(waiting);
            assert!((&mut waiting).now_or_never().is_none());
            drop(turn);
            drop(waiting.await.unwrap());
        }
    }
}
