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
    let shown = path.display().to_string();
    // Two processes may start at once. One of them links its complete file to `path`; both then
    // read that file.
    if !path.exists() {
        // A new master key cannot open what the old one sealed. Report the missing file instead of
        // creating a new key.
        if !records
            .store_keys()
            .await
            .map_err(crate::service::Error::from)?
            .is_empty()
        {
            let what =
                "is missing and sealed the keys of this store: restore it, or set keys.master_key";
            return Err(AppError::Other(format!("{shown} {what}")));
        }
        let fresh = MasterKey::generate(entropy).map_err(crate::service::Error::from)?;
        publish_file(&path, fresh.to_text().as_bytes(), database)
            .map_err(system(format!("cannot write {shown}")))?;
    }
    read_master_key(&path, database)
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
