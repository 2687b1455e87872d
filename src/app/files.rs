//! Small files of secrets. Each file that this process writes exists completely or not at all, and
//! only its owner may open it.
//!
//! Must not know what the files contain.

use std::fs::{self, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::store::sqlite::give_to_owner_of;

use super::error::{AppError, system};

/// The longest file of credentials or keys that is read, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// The folder that a database file lies in.
pub(super) fn folder_of(database: &Path) -> PathBuf {
    database
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
        .to_owned()
}

/// Creates the folder of a database file. Only the owner may use it.
pub(super) fn create_folder(database: &Path) -> Result<(), AppError> {
    let folder = folder_of(database);
    if folder.is_dir() {
        return Ok(());
    }
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder);
    made.map_err(system(format!("cannot create {}", folder.display())))
}

/// Creates the file `path` with mode 0600. Writes it under a temporary name first and then links it
/// to `path`, so that `path` never holds half of it. An existing file at `path` stays unchanged.
///
/// The new file belongs to the owner of `like`. When this function returns, a power failure loses
/// neither the file nor its name.
pub(super) fn publish_file(path: &Path, text: &[u8], like: &Path) -> io::Result<()> {
    publish_by(|draft, path| fs::hard_link(draft, path), path, text, like)
}

fn publish_by(
    link: impl FnOnce(&Path, &Path) -> io::Result<()>,
    path: &Path,
    text: &[u8],
    like: &Path,
) -> io::Result<()> {
    let draft = draft_of(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    let owned = give_to_owner_of(like, &file);
    let written = owned
        .and_then(|()| file.write_all(text))
        .and_then(|()| file.write_all(b"\n"));
    let named = written
        .and_then(|()| file.sync_all())
        .and_then(|()| match link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // FAT and some network and FUSE file systems have no hard links. Each reports that with
            // a different error.
            Err(_) => rename_once(&draft, path),
            Ok(()) => Ok(()),
        });
    allow(fs::remove_file(&draft), io::ErrorKind::NotFound)?;
    named?;
    fs::File::open(folder_of(path))?.sync_all()
}

/// A temporary name beside `path` that no other writer has. The process id alone would not do: two
/// containers that share a folder may both be process 1.
pub(super) fn draft_of(path: &Path) -> PathBuf {
    let number = RandomState::new().hash_one(std::process::id());
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{number:016x}"));
    PathBuf::from(draft)
}

/// Renames `draft` to `path` without replacing a file. A lock on the folder makes concurrent
/// processes take turns.
fn rename_once(draft: &Path, path: &Path) -> io::Result<()> {
    let folder = fs::File::open(folder_of(path))?;
    // Ignore a failed lock: the only risk is two first starts at the same moment.
    let _locked = folder.lock();
    if fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    fs::rename(draft, path)
}

fn allow(done: io::Result<()>, kind: io::ErrorKind) -> io::Result<()> {
    done.or_else(|error| {
        if error.kind() == kind {
            Ok(())
        } else {
            Err(error)
        }
    })
}

/// Reads a regular file of at most [`MAX_FILE_BYTES`]. Neither a pipe at this path nor an endless
/// file can block the caller.
pub(super) fn read_bounded(path: &Path) -> io::Result<Zeroizing<String>> {
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)?;
    let about = file.metadata()?;
    if about.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !about.is_file() {
        return Err(io::Error::other("it is no ordinary file"));
    }
    let mut text = Zeroizing::new(String::new());
    let mut bounded = file.take(MAX_FILE_BYTES + 1);
    bounded.read_to_string(&mut text)?;
    if bounded.limit() == 0 {
        return Err(io::Error::other("it holds more than 64 KiB"));
    }
    Ok(text)
}

/// Replaces an existing file, completely or not at all. The new file has mode 0600 and the old
/// file's owner. If the path is a symbolic link, the file that it leads to is replaced.
pub(super) fn replace_file(path: &Path, text: &[u8]) -> io::Result<()> {
    let path = &fs::canonicalize(path)?;
    let old = fs::metadata(path)?;
    let draft = draft_of(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    let same_owner = file
        .metadata()
        .map(|new| (new.uid(), new.gid()) == (old.uid(), old.gid()));
    let owned = same_owner.and_then(|same| {
        if same {
            Ok(())
        } else {
            fchown(&file, Some(old.uid()), Some(old.gid()))
        }
    });
    let written = owned
        .and_then(|()| file.write_all(text))
        .and_then(|()| file.sync_all());
    let moved = written.and_then(|()| fs::rename(&draft, path));
    if moved.is_err() {
        let _ = fs::remove_file(&draft);
    }
    moved?;
    fs::File::open(folder_of(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_file_is_its_owners_alone_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        publish_file(&path, b"first", folder.path()).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        publish_file(&path, b"second", folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_without_hard_links_gets_its_file_once_too() {
        for kind in [
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::Unsupported,
            io::ErrorKind::Other,
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("master.key");
            let publish =
                |text: &[u8]| publish_by(|_, _| Err(kind.into()), &path, text, folder.path());
            publish(b"first").unwrap();
            publish(b"second").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "first\n");
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn of_many_that_write_a_file_at_once_all_read_one() {
        for has_hard_links in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("master.key");
            let link = |draft: &Path, path: &Path| {
                if has_hard_links {
                    fs::hard_link(draft, path)
                } else {
                    Err(io::ErrorKind::Unsupported.into())
                }
            };
            // They are of one process, as those in two containers may seem to be.
            let seen: Vec<String> = std::thread::scope(|scope| {
                let writers: Vec<_> = (0..8)
                    .map(|i| {
                        let (path, folder) = (&path, folder.path());
                        scope.spawn(move || {
                            let text = format!("{i}").repeat(1_000);
                            publish_by(link, path, text.as_bytes(), folder).unwrap();
                            fs::read_to_string(path).unwrap()
                        })
                    })
                    .collect();
                writers
                    .into_iter()
                    .map(|writer| writer.join().unwrap())
                    .collect()
            });
            assert!(seen.iter().all(|text| *text == seen[0]), "{seen:?}");
            assert_eq!(seen[0].len(), 1_001);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }
}
