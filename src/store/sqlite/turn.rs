//! Taking turns on one SQLite file, by locks of the operating system, which are released when their
//! process ends.
//!
//! Owns the files beside the database that carry the locks. Must not know SQL. With SQLite's own
//! locks alone, a busy server would starve all other writers; with turns, each writer waits in
//! line.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;
use tokio::sync::oneshot;

/// The file beside `database` with `suffix` added to its name.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The file itself, with all links resolved. SQLite keeps its log beside that file, so the locks
/// must be beside it too.
pub(super) fn real_path(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    // The file does not exist yet, but its folder may have several names.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    match (fs::canonicalize(folder), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

/// Opens or creates a file that only its owner may read. A created file gets the owner of `like`. A
/// symbolic link is refused: somebody who may write into the folder could make another user, for
/// example root, create or use a file anywhere.
pub(super) fn open_private(path: &Path, like: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    let opened = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match options.clone().create_new(true).open(path) {
                Ok(made) => give_to_owner_of(like, &made).map(|()| made),
                // Another process created it first.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(path),
                failed => failed,
            }
        }
        opened => opened,
    };
    opened.map_err(|error| {
        if fs::symlink_metadata(path).is_ok_and(|file| file.is_symlink()) {
            return naming(
                path,
                &io::Error::other("it is a symbolic link, which is not followed: remove it"),
            );
        }
        naming(path, &error)
    })
}

/// Gives a file that was just created to the owner of `like`, if this process may do that. A file
/// that root creates must not lock the service's own user out of its store.
pub(crate) fn give_to_owner_of(like: &Path, made: &File) -> io::Result<()> {
    let (like, own) = (fs::metadata(like)?, made.metadata()?);
    if own.uid() == like.uid() {
        return Ok(());
    }
    match fchown(made, Some(like.uid()), Some(like.gid())) {
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether this path leads to the open file.
pub(super) fn has_name(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(naming(path, &error)),
    }
}

/// The same error, with the path of its file.
pub(super) fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Gives this process its turns to write.
#[derive(Debug)]
pub(super) struct Turns {
    database: PathBuf,
    path: PathBuf,
    /// An open file that no turn uses at the moment, so that a process without a free descriptor
    /// can still write.
    spare: Spare,
    /// The caller that gets the turn for which a thread waits. A caller can give up, but the thread
    /// cannot, so the next caller inherits it. So there is at most one such thread, however long
    /// another process keeps the turn.
    next: Arc<Mutex<Option<oneshot::Sender<io::Result<Turn>>>>>,
}

type Spare = Arc<Mutex<Option<File>>>;

/// This process's turn to write. Dropping it ends the turn, and keeps its open file for the next
/// turn.
#[derive(Debug)]
pub(super) struct Turn {
    file: Option<File>,
    spare: Spare,
}

impl Drop for Turn {
    fn drop(&mut self) {
        // If unlocking fails, the file is closed, which ends the turn too.
        if let Some(file) = self.file.take()
            && file.unlock().is_ok()
        {
            *next(&self.spare) = Some(file);
        }
    }
}

impl Turns {
    /// Uses the lock file beside this database file. It is created if there is none.
    pub(super) fn new(database: &Path) -> Self {
        let path = beside(database, ".turn");
        Self {
            database: database.to_owned(),
            path,
            spare: Arc::default(),
            next: Arc::default(),
        }
    }

    /// Waits for this process's turn to write.
    ///
    /// Two callers never share an open file. A lock belongs to one open file, so a caller that gave
    /// up while waiting can neither keep a turn that comes later nor end the turn of another
    /// caller.
    pub(super) async fn take(&self) -> io::Result<Turn> {
        let file = self.open()?;
        match file.try_lock() {
            Ok(()) => Ok(Turn {
                file: Some(file),
                spare: Arc::clone(&self.spare),
            }),
            Err(TryLockError::Error(error)) => Err(naming(&self.path, &error)),
            Err(TryLockError::WouldBlock) => self.wait(file).await,
        }
    }

    /// The lock file, open and with the name at which other processes open it. If somebody removed
    /// it, a new one is made, so that all processes go on to wait for one lock.
    fn open(&self) -> io::Result<File> {
        let Some(spare) = next(&self.spare).take() else {
            return open_private(&self.path, &self.database);
        };
        if has_name(&spare, &self.path)? {
            return Ok(spare);
        }
        // SQLite has locks of its own, so a turn by a file without a name is better than none.
        Ok(open_private(&self.path, &self.database).unwrap_or(spare))
    }

    async fn wait(&self, file: File) -> io::Result<Turn> {
        let (mine, turn) = oneshot::channel();
        let inherited = next(&self.next).replace(mine).is_some();
        if inherited {
            *next(&self.spare) = Some(file);
        } else {
            let (waiting, spare) = (Arc::clone(&self.next), Arc::clone(&self.spare));
            tokio::task::spawn_blocking(move || {
                let turn = file.lock().map(|()| Turn {
                    file: Some(file),
                    spare,
                });
                // If no caller wants the turn any more, it is dropped, which ends it.
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_turn_after_the_first_opens_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a");
        fs::write(&database, "").unwrap();
        let turns = Turns::new(&database);
        drop(turns.take().await.unwrap());
        // Opening the lock file fails from now on, as in a process without a free descriptor.
        folder.close().unwrap();
        for _ in 0..3 {
            drop(turns.take().await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_lock_file_that_was_removed_is_made_again_for_all_processes() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a");
        fs::write(&database, "").unwrap();
        let (ours, theirs) = (Turns::new(&database), Turns::new(&database));
        drop(ours.take().await.unwrap());
        fs::remove_file(folder.path().join("a.turn")).unwrap();
        let turn = ours.take().await.unwrap();
        let waiting = theirs.take();
        let mut waiting = std::pin::pin!(waiting);
        assert!((&mut waiting).now_or_never().is_none());
        drop(turn);
        drop(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn a_turn_is_one_processs_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a");
        fs::write(&database, "").unwrap();
        let (ours, theirs) = (Turns::new(&database), Turns::new(&database));
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
