//! Taking turns on one SQLite file: locks of the operating system, which die with their process.
//!
//! Owns the files beside the database that carry the locks. Must not know SQL. SQLite alone has a
//! busy server starve everybody else who wants to write; here each stands in line.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;
use tokio::sync::oneshot;

/// Held while a process serves from a database file. Dropped, or with its process, it is free.
#[derive(Debug)]
pub struct ServeLock {
    _file: File,
}

/// Why `SqliteStore::lock_serve` gave no lock.
#[derive(Debug, thiserror::Error)]
pub enum NotAlone {
    /// Another process serves from this file.
    #[error("another server runs on this database file")]
    AlreadyServing,
    /// The file has several names in the file system, each of which would get a log of its own.
    #[error(
        "the database file has hard links, and two programs that open it by two of its names damage it: \
         leave it one name"
    )]
    SeveralNames,
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

/// The file itself, by whichever links it was named: SQLite keeps its log beside that one, and so must the
/// locks lie.
pub(super) fn real_path(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    // Not there yet, but its folder may have several names.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    match (fs::canonicalize(folder), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

/// Opens or makes a file that only its owner may read. One that is made belongs to whom `like` belongs to.
/// A symbolic link is refused: whoever may write into the folder could have another user, root for one, make
/// or use a file anywhere.
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
                // Another process was first.
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

/// Gives a file that was just made to whom `like` belongs to, where this process may: what root makes must
/// not lock the service's own user out of its store.
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

/// The same error, with the file that it is about.
fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Where this process stands in line to write.
#[derive(Debug)]
pub(super) struct Turns {
    database: PathBuf,
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
    /// By the lock beside this database file, which is made when there is none.
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
    /// Two callers never share an opening of the file: a lock belongs to one, so a caller who gave up while
    /// he waited can neither keep a turn that comes to him later nor end somebody else's.
    pub(super) async fn take(&self) -> io::Result<Turn> {
        let spare = next(&self.spare).take();
        let file = spare.map_or_else(|| open_private(&self.path, &self.database), Ok)?;
        match file.try_lock() {
            Ok(()) => Ok(Turn {
                file: Some(file),
                spare: Arc::clone(&self.spare),
            }),
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
                let turn = file.lock().map(|()| Turn {
                    file: Some(file),
                    spare,
                });
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
    let database = real_path(database);
    let path = beside(&database, ".serve");
    let owner = match fs::metadata(&database) {
        Ok(file) if file.is_file() && file.nlink() > 1 => return Err(NotAlone::SeveralNames),
        Ok(_) => &*database,
        // It will be made, for the owner of its folder.
        Err(_) => database.parent().unwrap_or(&database),
    };
    let file = open_private(&path, owner).map_err(NotAlone::Fault)?;
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
        let database = folder.path().join("a");
        fs::write(&database, "").unwrap();
        let turns = Turns::new(&database);
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
