//! What `config check` finds in the files that a configuration names. Nothing is written.
//!
//! Owns which files are looked at. Must not know how faults are printed.

use std::path::Path;

use crate::config::{Config, DatabaseUrl, certificate_faults};

use super::beside::{demand_private, demand_same_owner};
use super::files::folder_of;
use super::open::{open_to_read, parse_master_key};

/// The faults of the files that the configuration names: the key to blame and what is wrong.
pub(crate) async fn file_faults(config: &Config) -> Vec<(&'static str, String)> {
    match &config.database.url {
        DatabaseUrl::Postgres(url) => {
            let faults = certificate_faults(url).into_iter();
            faults.map(|why| ("database.url", why)).collect()
        }
        DatabaseUrl::Sqlite(_) if config.keys.master_key.is_some() => vec![],
        DatabaseUrl::Sqlite(database) => {
            let fault = master_key_fault(config, database).await.into_iter();
            fault.map(|why| ("keys.master_key", why)).collect()
        }
    }
}

async fn master_key_fault(config: &Config, database: &Path) -> Option<String> {
    let path = folder_of(database).join("master.key");
    if std::fs::symlink_metadata(&path).is_err() {
        return is_sealed(config).await.then(|| {
            format!(
                "{} is missing and sealed the keys of this store: restore it, or set keys.master_key",
                path.display()
            )
        });
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
        .and_then(|()| parse_master_key(&path).map(drop));
    checked.err().map(|fault| fault.to_string())
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
