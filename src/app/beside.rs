//! The files beside a SQLite database.
//!
//! Owns which of them show that the database was lost, who may read them, and the file that holds
//! an agent's secret. Must not know what a store holds.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::config::{Config, DatabaseUrl};
use crate::domain::id::AgentId;
use crate::service::clients::secret::Secret;

use super::error::{AppError, system};
use super::files::{folder_of, replace_file};

/// Whether a new store may be created beside the files of an earlier store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewStore {
    /// No: the earlier store's database was lost, or is in another place.
    OnCleanGround,
    /// Yes: the operator asked for it.
    Anywhere,
}

/// The longest file that is read as a file of credentials, in bytes.
const MAX_CREDENTIALS: u64 = 64 * 1024;

/// The path of the operator file, which holds the credentials of the first start.
pub(super) fn operator_file(database: &Path) -> PathBuf {
    folder_of(database).join("operator.env")
}

/// Refuses a missing or empty database while files of an earlier store lie beside it. Otherwise the
/// server would take this for a first start.
pub(super) fn demand_no_remains(url: &DatabaseUrl) -> Result<(), AppError> {
    let DatabaseUrl::Sqlite(database) = url else {
        return Ok(());
    };
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let candidates = [
        folder_of(database).join("master.key"),
        operator_file(database),
        log.into(),
    ];
    // Look for these files before looking at the database. A process that creates a store at the
    // same time creates its database first, so its other files are never seen without the database.
    let remains: Vec<String> = candidates
        .iter()
        .filter(|path| fs::symlink_metadata(path).is_ok_and(|file| file.len() > 0))
        .map(|path| path.display().to_string())
        .collect();
    let what = match fs::metadata(database) {
        Ok(file) if file.len() == 0 => "is empty",
        Err(error) if error.kind() == io::ErrorKind::NotFound => "is not there",
        // Opening the database reports any other fault.
        Ok(_) | Err(_) => return Ok(()),
    };
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

/// Refuses a SQLite store that does not exist yet, for a command that works on what is there. A
/// misspelt path must not answer that there is nothing. Without any path from the operator, every
/// command makes the store (contract §7).
pub(super) fn demand_store(config: &Config) -> Result<(), AppError> {
    let DatabaseUrl::Sqlite(database) = &config.database.url else {
        return Ok(());
    };
    if !config.database.is_chosen {
        return Ok(());
    }
    match fs::symlink_metadata(database) {
        Ok(file) if file.is_file() && file.len() == 0 => Err(no_store(database, "is empty")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(no_store(database, "is not there"))
        }
        // Opening the database reports any other fault.
        Ok(_) | Err(_) => Ok(()),
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
    for path in [database.to_owned(), operator_file(database)] {
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

/// Keeps the operator file free of a dead secret. If the file holds the credentials of `agent_id`,
/// writes the new `secret` into it, or removes the file when `secret` is `None`. Returns the path
/// if the file was changed or removed.
pub(crate) fn renew_operator_file(
    config: &Config,
    agent_id: &AgentId,
    secret: Option<&Secret>,
) -> Result<Option<PathBuf>, AppError> {
    let DatabaseUrl::Sqlite(database) = &config.database.url else {
        return Ok(None);
    };
    let path = operator_file(database);
    let shown = path.display().to_string();
    let text = match read_bounded(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(system(format!("cannot read {shown}"))(error)),
    };
    // An operator may have added quotes or `export`: a shell reads the line in that form too.
    let names_agent = |line: &str| {
        let line = line.trim().strip_prefix("export ").unwrap_or(line.trim());
        line.strip_prefix("CLIENT_ID=")
            .is_some_and(|id| id.trim_matches(['"', '\'']) == agent_id.as_str())
    };
    if !text.lines().any(names_agent) {
        return Ok(None);
    }
    match secret {
        Some(secret) => {
            let text = zeroize::Zeroizing::new(credentials(agent_id, secret) + "\n");
            replace_file(&path, text.as_bytes())
                .map_err(system(format!("cannot write {shown}")))?;
        }
        None => fs::remove_file(&path).map_err(system(format!("cannot remove {shown}")))?,
    }
    Ok(Some(path))
}

/// Reads a regular file of at most [`MAX_CREDENTIALS`] bytes. Neither a pipe at this path nor an
/// endless file can block the command, which still has its result to print.
fn read_bounded(path: &Path) -> io::Result<zeroize::Zeroizing<String>> {
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no ordinary file"));
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    let mut bounded = file.take(MAX_CREDENTIALS + 1);
    bounded.read_to_string(&mut text)?;
    if bounded.limit() == 0 {
        return Err(io::Error::other("it holds more than 64 KiB"));
    }
    Ok(text)
}

/// The content of the operator file: shell variables.
pub(super) fn credentials(agent_id: &AgentId, secret: &Secret) -> String {
    format!("CLIENT_ID={agent_id}\nCLIENT_SECRET={}", secret.expose())
}
