//! Which file on the disk is the store, and whether it still is.
//!
//! SQLite goes on with the files that it opened, even if somebody removes or replaces them. What it
//! then writes is gone when the process ends, and other processes never see it. So each read and
//! each write first compares the files with their names. Must not know any table.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Dev, Stat};

use super::turn::beside;

/// One file on the disk, whatever its name: the device and the number of the inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(Dev, u64);

/// The log and the log's index, which lie beside the database while it is open.
pub(super) type LogFiles = [Option<FileId>; 2];

/// Why the file is not the store any more. Nothing is read or written then.
#[derive(Debug, thiserror::Error)]
enum FileFault {
    #[error(
        "{} was removed while it was in use: put that file back, or stop the server and restore a \
         backup", .0.display()
    )]
    Removed(PathBuf),
    #[error(
        "{} is another file than the one that was opened: put that one back, or restart the server \
         on this one", .0.display()
    )]
    Replaced(PathBuf),
    #[error("{} is damaged: stop the server and restore a backup", .0.display())]
    Damaged(PathBuf),
    #[error(
        "the log of {} was removed while it was in use: restart the server, which moves the log's \
         content into the database when it stops", .0.display()
    )]
    LogRemoved(PathBuf),
}

/// The file that was opened as the store.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    /// The names of the database, its log and the log's index, ready for system calls.
    names: [CString; 3],
    /// `None` if there was no file.
    id: Option<FileId>,
    /// Whether the last look found the content damaged.
    is_damaged: AtomicBool,
}

impl DatabaseFile {
    /// The file that has this name now.
    pub(super) fn at(path: &Path) -> Self {
        // A path with a null byte names no file, and neither does the empty text.
        let name = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
        let names = [
            name(path),
            name(&beside(path, "-wal")),
            name(&beside(path, "-shm")),
        ];
        Self {
            id: look(&names[0]).ok().map(|stat| id_of(&stat)),
            path: path.to_owned(),
            names,
            is_damaged: AtomicBool::new(false),
        }
    }

    /// Demands that the name still leads to the file that was opened, and that its content was not
    /// found damaged.
    pub(super) fn demand(&self) -> io::Result<()> {
        self.demand_same_file()?;
        if self.is_damaged.load(Ordering::Relaxed) {
            return Err(self.fault(FileFault::Damaged));
        }
        Ok(())
    }

    fn demand_same_file(&self) -> io::Result<Stat> {
        match look(&self.names[0]) {
            Ok(stat) if Some(id_of(&stat)) == self.id => Ok(stat),
            Ok(_) => Err(self.fault(FileFault::Replaced)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(self.fault(FileFault::Removed))
            }
            Err(error) => Err(super::turn::naming(&self.path, &error)),
        }
    }

    /// Like [`Self::demand`], for a caller that is about to look whether the content is damaged.
    pub(super) fn demand_content(&self) -> io::Result<()> {
        if self.demand_same_file()?.st_size == 0 {
            return Err(self.note_damage(true));
        }
        Ok(())
    }

    /// Remembers whether the content is damaged, and returns the error that says so.
    pub(super) fn note_damage(&self, is_damaged: bool) -> io::Error {
        self.is_damaged.store(is_damaged, Ordering::Relaxed);
        self.fault(FileFault::Damaged)
    }

    /// The log files that lie beside the database now.
    pub(super) fn log_files(&self) -> LogFiles {
        [&self.names[1], &self.names[2]].map(|name| look(name).ok().map(|stat| id_of(&stat)))
    }

    /// Demands that the log files are those with which an open connection works. SQLite removes
    /// them only after the last connection has closed. A new connection may not have made them yet.
    pub(super) fn demand_log(&self, opened: &LogFiles) -> io::Result<()> {
        let is_kept =
            |(now, opened): (Option<FileId>, &Option<FileId>)| opened.is_none() || now == *opened;
        if self.log_files().into_iter().zip(opened).all(is_kept) {
            Ok(())
        } else {
            Err(self.fault(FileFault::LogRemoved))
        }
    }

    fn fault(&self, why: impl FnOnce(PathBuf) -> FileFault) -> io::Error {
        io::Error::other(why(self.path.clone()))
    }
}

fn look(name: &CString) -> io::Result<Stat> {
    Ok(rustix::fs::stat(name)?)
}

fn id_of(stat: &Stat) -> FileId {
    FileId(stat.st_dev, stat.st_ino)
}
