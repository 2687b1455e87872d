//! What `config check` finds in the files and in the store that a configuration names. Nothing is
//! written.
//!
//! Owns which files are looked at. Must not know how faults are printed.

use std::path::Path;

use crate::config::{Config, DatabaseUrl, certificate_faults};
use crate::keys::seal::MasterKey;
use crate::service::store_keys::{foreign, keys_open};

use super::beside::{demand_no_remains, demand_private, demand_same_owner};
use super::files::folder_of;
use super::master_key::{KeyFile, find_key_file, lost, parse_master_key, with_previous};
use super::open::open_to_read;
use super::plans::missing_plans;

/// The faults of the files that the configuration names, and of a master key that does not open the
/// store: the key to blame and what is wrong.
pub(crate) async fn file_faults(config: &Config) -> Vec<(&'static str, String)> {
    let mut faults = match &config.database.url {
        DatabaseUrl::Postgres(url) => {
            // The same files for every server.
            let faults = url.each().first().map(|url| certificate_faults(url));
            let faults = faults.unwrap_or_default().into_iter();
            faults.map(|why| ("database.url", why)).collect()
        }
        DatabaseUrl::Sqlite(database) => database_fault(config, database).await,
    };
    if faults.is_empty() {
        let fault = master_key_fault(config).await.into_iter();
        faults.extend(fault.map(|why| ("keys.master_key", why)));
    }
    faults
}

/// The fault that the configuration lacks plans of agents: the key to blame and what is wrong.
pub(crate) async fn plan_fault(config: &Config) -> Option<(&'static str, String)> {
    // A store that cannot be read is no fault of the configuration.
    let store = open_to_read(config).await.ok()??;
    let missing = missing_plans(config, &*store).await.ok()??;
    Some(("plans", missing))
}

async fn database_fault(config: &Config, database: &Path) -> Vec<(&'static str, String)> {
    let mut faults = vec![];
    if std::fs::metadata(database).is_ok_and(|file| !file.is_file()) {
        faults.push(("database.url", format!("{} is no file", database.display())));
    }
    if let Err(remains) = demand_no_remains(&config.database.url).await {
        faults.push(("database.url", remains.to_string()));
    }
    faults
}

async fn master_key_fault(config: &Config) -> Option<String> {
    let key = match configured_key(config).await {
        Ok(key) => key?,
        Err(fault) => return Some(fault),
    };
    // A store that cannot be read is no fault of the configuration.
    let store = open_to_read(config).await.ok()??;
    let opens = keys_open(&*store, &key).await.unwrap_or(true);
    (!opens).then(|| foreign(&key).to_owned())
}

/// The master key of the configuration, or the one beside a SQLite database, with the one before it.
/// `None` if a first start would draw it.
pub(super) async fn configured_key(config: &Config) -> Result<Option<MasterKey>, String> {
    let newest = match (&config.keys.master_key, &config.database.url) {
        (Some(key), _) => Some(key.clone()),
        // Every command but a few demands a key of the configuration.
        (None, DatabaseUrl::Postgres(_)) => None,
        (None, DatabaseUrl::Sqlite(database)) => key_beside(config, database).await?,
    };
    Ok(newest.map(|newest| with_previous(config, newest)))
}

/// The master key beside a SQLite database; `None` if a first start would draw it.
async fn key_beside(config: &Config, database: &Path) -> Result<Option<MasterKey>, String> {
    let path = folder_of(database).join("master.key");
    match find_key_file(&path, async || Ok::<_, String>(is_sealed(config).await)).await? {
        KeyFile::Found => {}
        KeyFile::NotMade => return Ok(None),
        KeyFile::Lost => return Err(lost(&path)),
    }
    let owned = || {
        if database.exists() {
            demand_same_owner(&path, database)
        } else {
            Ok(())
        }
    };
    let checked = demand_private(&path)
        .and_then(|()| owned())
        .and_then(|()| parse_master_key(&path).map(Some));
    checked.map_err(|fault| fault.to_string())
}

/// Whether the store holds keys that a master key sealed. A store that cannot be read is no fault
/// of the configuration.
async fn is_sealed(config: &Config) -> bool {
    match open_to_read(config).await {
        Ok(Some(records)) => records
            .store_keys()
            .await
            .is_ok_and(|keys| !keys.is_empty()),
        Ok(None) | Err(_) => false,
    }
}
