//! The master key of a store: as it is configured, or in a file beside a SQLite database.
//!
//! Owns who may read that file, and when it is made. Must not know what the key seals.

use std::path::Path;

use crate::config::{Config, DatabaseUrl};
use crate::entropy::Entropy;
use crate::keys::seal::MasterKey;
use crate::store::Records;

use super::beside::{demand_private, demand_same_owner};
use super::error::{AppError, system};
use super::files::{folder_of, publish_file, read_bounded};

/// The master key, with the one before it if that is configured.
pub(super) async fn master_key(
    config: &Config,
    records: &dyn Records,
    entropy: &dyn Entropy,
) -> Result<MasterKey, AppError> {
    let newest = newest_key(config, records, entropy).await?;
    Ok(with_previous(config, newest))
}

/// This key, with the one before it if that is configured.
pub(super) fn with_previous(config: &Config, newest: MasterKey) -> MasterKey {
    match &config.keys.master_key_previous {
        Some(previous) => newest.and_previous(previous),
        None => newest,
    }
}

/// The configured master key. With SQLite and no configured key, the key file beside the database,
/// which is created if it is missing.
async fn newest_key(
    config: &Config,
    records: &dyn Records,
    entropy: &dyn Entropy,
) -> Result<MasterKey, AppError> {
    if let Some(key) = &config.keys.master_key {
        return Ok(key.clone());
    }
    let DatabaseUrl::Sqlite(database) = &config.database.url else {
        return Err(AppError::Other("Postgres needs keys.master_key".to_owned()));
    };
    let path = folder_of(database).join("master.key");
    let has_keys = async || {
        let keys = records.store_keys().await;
        Ok::<_, crate::service::Error>(!keys?.is_empty())
    };
    match find_key_file(&path, has_keys).await? {
        KeyFile::Found => {}
        KeyFile::Lost => return Err(AppError::Other(lost(&path))),
        // Two processes may start at once. One of them links its complete file to `path`; both then
        // read that file.
        KeyFile::NotMade => {
            let fresh = MasterKey::generate(entropy).map_err(crate::service::Error::from)?;
            publish_file(&path, fresh.to_text().as_bytes(), database)
                .map_err(system(format!("cannot write {}", path.display())))?;
        }
    }
    read_master_key(&path, database)
}

/// What there is of the key file beside a SQLite database.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyFile {
    /// It is there.
    Found,
    /// There is none, and the store holds no keys: a first start makes the file.
    NotMade,
    /// There is none, but the store holds keys that a master key sealed. A new master key could not
    /// open them.
    Lost,
}

/// Looks for the key file. `has_keys` tells whether the store holds a key.
pub(super) async fn find_key_file<E>(
    path: &Path,
    has_keys: impl AsyncFnOnce() -> Result<bool, E>,
) -> Result<KeyFile, E> {
    // Of a file that cannot be looked for, its reader says why.
    let is_there = || path.try_exists().unwrap_or(true);
    if is_there() {
        return Ok(KeyFile::Found);
    }
    let has_keys = has_keys().await?;
    // Another process that starts for the first time writes the file before it seals the first key.
    // It may have done both since the first look.
    Ok(match (is_there(), has_keys) {
        (true, _) => KeyFile::Found,
        (false, true) => KeyFile::Lost,
        // A link that leads nowhere is a fault, which its reader names.
        (false, false) if path.is_symlink() => KeyFile::Found,
        (false, false) => KeyFile::NotMade,
    })
}

/// What to tell of a key file that is [`KeyFile::Lost`].
pub(super) fn lost(path: &Path) -> String {
    format!(
        "{} is missing and sealed the keys of this store: restore it, or set keys.master_key",
        path.display()
    )
}

/// Reads a master key from a file that only the database's owner may read.
fn read_master_key(path: &Path, database: &Path) -> Result<MasterKey, AppError> {
    demand_private(path)?;
    demand_same_owner(path, database)?;
    parse_master_key(path)
}

/// The master key in this file, whoever may read the file.
pub(super) fn parse_master_key(path: &Path) -> Result<MasterKey, AppError> {
    let shown = path.display();
    let text = read_bounded(path).map_err(system(format!("cannot read {shown}")))?;
    MasterKey::parse(&text).map_err(|rule| AppError::Other(format!("{shown}: {rule}")))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[tokio::test]
    async fn a_key_file_that_another_process_makes_meanwhile_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let find = async |has_keys: bool, makes_file: bool| {
            let look = async || {
                if makes_file {
                    std::fs::write(&path, "").unwrap();
                }
                Ok::<_, Infallible>(has_keys)
            };
            let found = find_key_file(&path, look).await.unwrap();
            let _ = std::fs::remove_file(&path);
            found
        };
        assert_eq!(find(false, false).await, KeyFile::NotMade);
        assert_eq!(find(true, false).await, KeyFile::Lost);
        assert_eq!(find(true, true).await, KeyFile::Found);
        std::fs::write(&path, "").unwrap();
        assert_eq!(find(true, false).await, KeyFile::Found);
        // The file that a link leads to may be gone.
        std::os::unix::fs::symlink("/no/such/file", &path).unwrap();
        assert_eq!(find(true, false).await, KeyFile::Lost);
        std::os::unix::fs::symlink("/no/such/file", &path).unwrap();
        assert_eq!(find(false, false).await, KeyFile::Found);
    }
}
