//! The files beside a SQLite database.
//!
//! Owns which of them show that the database was lost, and who may read them. Must not know what a
//! store holds.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::config::{Config, DatabaseUrl};
use crate::store::sqlite::{Content, SqliteStore};

use super::error::{AppError, system};
use super::files::folder_of;

/// The name of the operator file, which holds the credentials of the first start.
pub(super) const OPERATOR_FILE: &str = "operator.env";

/// Whether a new store may be created beside the files of an earlier store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewStore {
    /// No: the earlier store's database was lost, or is in another place.
    OnCleanGround,
    /// Yes: the operator asked for it.
    Anywhere,
}

/// Refuses a database that is missing or holds no store while files of an earlier store lie beside
/// it. Otherwise the server would take this for a first start.
pub(super) async fn demand_no_remains(url: &DatabaseUrl) -> Result<(), AppError> {
    let DatabaseUrl::Sqlite(database) = url else {
        return Ok(());
    };
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let key = folder_of(database).join("master.key");
    let operator = folder_of(database).join(OPERATOR_FILE);
    let candidates = [key, operator, log.into()];
    // Look for these files before looking at the database. A process that creates a store at the
    // same time creates its database first, then the tables, the master key, the store's own keys
    // and the operator file, so a file is never seen without all that comes before it.
    let remains = candidates.map(|path| {
        let is_there = fs::symlink_metadata(&path).is_ok_and(|file| file.len() > 0);
        is_there.then(|| path.display().to_string())
    });
    let [key, operator, log] = remains;
    let (what, remains) = match state_of(database).await {
        DatabaseState::Missing => ("is not there", vec![key, operator, log]),
        DatabaseState::Empty => ("is empty", vec![key, operator, log]),
        DatabaseState::Holds(Content::NoTables) => ("holds no store", vec![key, operator]),
        DatabaseState::Holds(Content::NoKeys) => ("holds an empty store", vec![operator]),
        DatabaseState::Holds(Content::Store) | DatabaseState::Unknown => return Ok(()),
    };
    let remains: Vec<String> = remains.into_iter().flatten().collect();
    if remains.is_empty() {
        return Ok(());
    }
    Err(AppError::Other(format!(
        "the database {} {what}, but {} of a store that was there: restore it, or correct database.url; \
         `sealwright serve --new-store` begins a new store, under that master key if there is one. Nothing \
         was changed",
        database.display(),
        remains.join(" and ")
    )))
}

/// What is at the path of a database.
enum DatabaseState {
    Missing,
    Empty,
    Holds(Content),
    /// It cannot be read. Opening it reports the fault.
    Unknown,
}

async fn state_of(database: &Path) -> DatabaseState {
    match fs::metadata(database) {
        Ok(file) if file.is_file() && file.len() == 0 => DatabaseState::Empty,
        Ok(file) if file.is_file() => {
            let content = SqliteStore::content(database).await;
            content.map_or(DatabaseState::Unknown, DatabaseState::Holds)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => DatabaseState::Missing,
        Ok(_) | Err(_) => DatabaseState::Unknown,
    }
}

/// Refuses a SQLite store that does not exist yet, for a command that works on what is there. A
/// misspelt path must not answer that there is nothing. Without any path from the operator, every
/// command makes the store (contract §7).
pub(super) async fn demand_store(config: &Config) -> Result<(), AppError> {
    let DatabaseUrl::Sqlite(database) = &config.database.url else {
        return Ok(());
    };
    if !config.database.is_chosen {
        return Ok(());
    }
    match state_of(database).await {
        DatabaseState::Empty => Err(no_store(database, "is empty")),
        // A link that leads nowhere is reported by opening it.
        DatabaseState::Missing if fs::symlink_metadata(database).is_err() => {
            Err(no_store(database, "is not there"))
        }
        DatabaseState::Holds(Content::NoTables) => Err(no_store(database, "holds no store")),
        DatabaseState::Holds(_) | DatabaseState::Missing | DatabaseState::Unknown => Ok(()),
    }
}

fn no_store(database: &Path, what: &str) -> AppError {
    let path = std::path::absolute(database).unwrap_or_else(|_| database.to_owned());
    AppError::Other(format!(
        "the database {} {what}: correct database.url, or make a store with `sealwright serve`, \
         `sealwright migrate` or `sealwright agent create`",
        path.display()
    ))
}

/// Refuses a file whose owner is not the database's owner: that other user could change its
/// content.
pub(super) fn demand_same_owner(file: &Path, database: &Path) -> Result<(), AppError> {
    let owner = |path: &Path| {
        fs::metadata(path)
            .map(|file| file.uid())
            .map_err(system(format!("cannot read {}", path.display())))
    };
    let (file_owner, database_owner) = (owner(file)?, owner(database)?);
    if file_owner == database_owner {
        return Ok(());
    }
    Err(AppError::Other(format!(
        "{} belongs to user {file_owner}, and {} to user {database_owner}: they must have one owner",
        file.display(),
        database.display()
    )))
}

/// Refuses a file of secrets that other users may open.
///
/// The file's group may open it when the folder passes its own group to its files (setgid), as with
/// `fsGroup` of a Kubernetes pod: the operator of the pod has given the volume to that group.
pub(super) fn demand_private(path: &Path) -> Result<(), AppError> {
    let shown = path.display();
    let about =
        |path: &Path| fs::metadata(path).map_err(system(format!("cannot read {}", path.display())));
    let (file, folder) = (about(path)?, about(&folder_of(path))?);
    let group_may = folder.mode() & 0o2000 != 0 && folder.gid() == file.gid();
    if file.mode() & if group_may { 0o007 } else { 0o077 } == 0 {
        return Ok(());
    }
    Err(AppError::Other(format!(
        "{shown} must be readable by its owner alone: chmod 600 it"
    )))
}

/// Warns of files of the store that every user of the machine may read or write. Warns too of a
/// folder of these files that every user may write to: any user could replace the files.
pub(super) fn warn_of_open_files(database: &Path) {
    let real = fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
    let (named, real) = (folder_of(database), folder_of(&real));
    let is_same = fs::canonicalize(&named).is_ok_and(|named| named == real);
    for folder in [Some(named), Some(real).filter(|_| !is_same)]
        .into_iter()
        .flatten()
    {
        if let Ok(file) = fs::metadata(&folder)
            && file.mode() & 0o002 != 0
        {
            let (path, mode) = (folder.display(), file.mode() & 0o7777);
            tracing::warn!(
                "every user of this machine may put files into {path} (mode {mode:04o}), where the database and \
                 its keys lie: chmod 700 it"
            );
        }
    }
    for path in [database.to_owned(), folder_of(database).join(OPERATOR_FILE)] {
        if let Ok(file) = fs::metadata(&path)
            && file.permissions().mode() & 0o007 != 0
        {
            let (path, mode) = (path.display(), file.permissions().mode() & 0o7777);
            tracing::warn!(
                "every user of this machine may open {path} (mode {mode:04o}): chmod 600 it"
            );
        }
    }
}
