//! Backups of a SQLite store as files: made beside a running server, and put in place of the store.
//!
//! Owns what may be where, and that a file is never half of one. Must not know how a store is
//! copied.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, DatabaseUrl};
use crate::service::store_keys::keys_open;
use crate::store::sqlite::{Content, ServeLock, SqliteStore, give_to_owner_of};

use super::alone::take_lock;
use super::beside::{demand_private, demand_same_owner};
use super::error::{AppError, system};
use super::files::{create_folder, draft_of, folder_of};
use super::master_key::{parse_master_key, with_previous};
use super::open::not_opened;

/// What makes backups of a Postgres store.
const POSTGRES_TOOLS: &str = "back a Postgres store up with its own tools: `pg_dump`, or `pg_basebackup` with an archive of the \
     write-ahead log";

/// What restores a Postgres store.
const POSTGRES_RESTORE: &str = "restore a Postgres store with its own tools (`pg_restore`, or a base backup and the archived \
     write-ahead log), and then run `sealwright restore --acknowledge`, before any server starts";

/// A backup that was put in place of the store, which this process alone may serve until this is
/// dropped.
pub(crate) struct RestoredFile {
    /// Where the store lies now that was there before, if there was one.
    pub kept: Option<PathBuf>,
    /// Keeps servers away.
    _lock: ServeLock,
}

/// Copies the configured store into `target`, a new file that only its owner may read. Returns how
/// many bytes it has.
pub(crate) async fn back_up(config: &Config, target: &Path) -> Result<u64, AppError> {
    let database = sqlite_file(config, POSTGRES_TOOLS)?;
    if fs::symlink_metadata(target).is_ok() {
        return Err(exists(target));
    }
    if !database.is_file() {
        return Err(AppError::Other(format!(
            "the database {} is not there",
            database.display()
        )));
    }
    let draft = draft_of(&absolute(target));
    let made = async {
        create_private(&draft, &folder_of(target))
            .map_err(system(format!("cannot write {}", draft.display())))?;
        SqliteStore::back_up(database, &draft, SystemClock::default().now())
            .await
            .map_err(not_opened(config))?;
        let written = sync(&draft).and_then(|bytes| {
            name_once(&draft, target)?;
            Ok(bytes)
        });
        written.map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                exists(target)
            } else {
                system(format!("cannot write {}", target.display()))(error)
            }
        })
    };
    let made = made.await;
    remove_draft(&draft);
    let bytes = made?;
    File::open(folder_of(target))
        .and_then(|folder| folder.sync_all())
        .map_err(system(format!("cannot write {}", target.display())))?;
    Ok(bytes)
}

/// Puts a backup in place of the configured store, which must have no server. The store that was
/// there is kept beside it. The restore is not acknowledged yet.
pub(crate) async fn put_in_place(config: &Config, backup: &Path) -> Result<RestoredFile, AppError> {
    let database = sqlite_file(config, POSTGRES_RESTORE)?;
    create_folder(database)?;
    let database = &fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
    let lock = lock(database).await?;
    demand_backup(config, backup, database).await?;
    let draft = draft_of(&absolute(database));
    let placed = async {
        let owner = if database.exists() {
            database.clone()
        } else {
            folder_of(database)
        };
        for suffix in ["", "-wal"] {
            let from = with_suffix(backup, suffix);
            if suffix.is_empty() || from.exists() {
                copy_private(&from, &with_suffix(&draft, suffix), &owner)
                    .map_err(system(format!("cannot copy {}", from.display())))?;
            }
        }
        let now = SystemClock::default().now();
        SqliteStore::make_restorable(&draft, now)
            .await
            .map_err(|cause| AppError::Open {
                url: backup.display().to_string(),
                cause,
            })?;
        sync(&draft)
            .and_then(|_| exchange(&draft, database, &now.to_rfc3339()))
            .map_err(system(format!("cannot replace {}", database.display())))
    };
    let placed = placed.await;
    remove_draft(&draft);
    Ok(RestoredFile {
        kept: placed?,
        _lock: lock,
    })
}

/// Lets an acknowledgement open a copy that lacks its log.
pub(crate) async fn accept_copy(config: &Config) -> Result<(), AppError> {
    let DatabaseUrl::Sqlite(database) = &config.database.url else {
        return Ok(());
    };
    if !database.is_file() {
        return Ok(());
    }
    // A running server holds the lock, and its file is no such copy.
    let Ok(_lock) = SqliteStore::lock_serve(database) else {
        return Ok(());
    };
    SqliteStore::accept_copy(database, SystemClock::default().now())
        .await
        .map_err(not_opened(config))
}

fn sqlite_file<'a>(config: &'a Config, otherwise: &str) -> Result<&'a Path, AppError> {
    match &config.database.url {
        DatabaseUrl::Sqlite(database) => Ok(database),
        DatabaseUrl::Postgres(_) => Err(AppError::Other(otherwise.to_owned())),
    }
}

async fn lock(database: &Path) -> Result<ServeLock, AppError> {
    take_lock(database).await.map_err(|why| {
        let why = crate::telemetry::error_chain(&why);
        AppError::Other(format!(
            "cannot replace {}: {why}. Stop the server first",
            database.display()
        ))
    })
}

/// Demands that the file is a whole store, whose keys the master key opens.
async fn demand_backup(config: &Config, backup: &Path, database: &Path) -> Result<(), AppError> {
    let shown = backup.display();
    let refuse = |why: &str| {
        Err(AppError::Other(format!(
            "{shown} {why}. Nothing was changed"
        )))
    };
    let about = fs::metadata(backup).map_err(system(format!("cannot read {shown}")))?;
    if !about.is_file() {
        return refuse("is no file");
    }
    if fs::canonicalize(backup).is_ok_and(|backup| backup == database) {
        return refuse("is the store itself");
    }
    match SqliteStore::content(backup).await {
        Ok(Content::Store) => {}
        Ok(Content::NoTables | Content::NoKeys) => return refuse("holds no store"),
        Err(_) => return refuse("is no database, or is damaged"),
    }
    SqliteStore::demand_whole(backup)
        .await
        .map_err(|cause| AppError::Open {
            url: shown.to_string(),
            cause,
        })?;
    let master_key = if let Some(key) = &config.keys.master_key {
        key.clone()
    } else {
        let path = folder_of(database).join("master.key");
        if !path.exists() {
            return refuse(&format!(
                "needs the master key of its day: put it into {}, with mode 0600, or set keys.master_key",
                path.display()
            ));
        }
        demand_private(&path)?;
        if database.exists() {
            demand_same_owner(&path, database)?;
        }
        parse_master_key(&path)?
    };
    let master_key = with_previous(config, master_key);
    let opens = keys_open(&SqliteStore::open_to_read(backup), &master_key).await?;
    if opens {
        Ok(())
    } else {
        refuse("does not open under this master key: it needs the one of its day")
    }
}

/// Puts `draft` in place of the database, and returns the name under which the old one is kept, with
/// its log.
fn exchange(draft: &Path, database: &Path, time: &str) -> io::Result<Option<PathBuf>> {
    let kept = fs::symlink_metadata(database)
        .is_ok()
        .then(|| with_suffix(database, &format!(".replaced-{}", time.replace(':', ""))));
    for suffix in ["-wal", "-shm"] {
        let (log, kept) = (
            with_suffix(database, suffix),
            kept.as_deref().map(|kept| with_suffix(kept, suffix)),
        );
        let moved = match kept {
            Some(kept) => fs::rename(&log, kept),
            None => fs::remove_file(&log),
        };
        if let Err(error) = moved
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
    }
    if let Some(kept) = &kept
        && fs::hard_link(database, kept).is_err()
    {
        // The file system has no hard links: for a moment there is no database.
        fs::rename(database, kept)?;
    }
    fs::rename(draft, database)?;
    File::open(folder_of(database))?.sync_all()?;
    Ok(kept)
}

fn exists(target: &Path) -> AppError {
    AppError::Other(format!(
        "{} is there already: a backup replaces nothing",
        target.display()
    ))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Creates an empty file that only its owner may read: the owner of `like`.
fn create_private(path: &Path, like: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    give_to_owner_of(like, &file)?;
    Ok(file)
}

fn copy_private(from: &Path, to: &Path, like: &Path) -> io::Result<()> {
    let (mut from, mut to) = (File::open(from)?, create_private(to, like)?);
    io::copy(&mut from, &mut to).map(drop)
}

/// Waits until the file is on the disk, and returns how many bytes it has.
fn sync(path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

/// Gives the draft its name, unless a file has it.
fn name_once(draft: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(draft, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            // The file system has no hard links.
            if fs::symlink_metadata(path).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(draft, path)
        }
        done => done,
    }
}

/// Removes what is left of a draft.
fn remove_draft(draft: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal", ".turn"] {
        let _ = fs::remove_file(with_suffix(draft, suffix));
    }
}
