//! The log of a store: its name and its key, made at first need. Must not know what is logged.

use std::sync::Arc;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::act::Act;
use crate::domain::tree::verifier_key::KeyName;
use crate::entropy::Entropy;
use crate::keys::Keyring;
use crate::keys::log::{self, LogKey};
use crate::service::error::Error;
use crate::service::store_keys::new_store_key;
use crate::store::{Change, FIRST_GENERATION, LogChange, LogHead, Records, Store, StoreKey, Write};

use super::broken;

/// Opens the log of one store.
pub(crate) struct LogOpener {
    store: Arc<dyn Store>,
    records: Arc<dyn Records>,
    keyring: Arc<Keyring>,
    clock: Arc<StoreClock>,
    entropy: Arc<dyn Entropy>,
    issuer: String,
}

/// The log that grows, and the key that signs its checkpoints.
pub(crate) struct OpenLog {
    /// The log as the store has it.
    pub head: LogHead,
    /// Its key.
    pub key: LogKey,
}

impl LogOpener {
    /// `issuer` names the log if it does not exist yet, and nothing else.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        records: Arc<dyn Records>,
        keyring: Arc<Keyring>,
        clock: Arc<StoreClock>,
        entropy: Arc<dyn Entropy>,
        issuer: String,
    ) -> Self {
        Self {
            store,
            records,
            keyring,
            clock,
            entropy,
            issuer,
        }
    }

    /// The log of the store's current generation. Its name and its key are made in one commit if
    /// the store has none.
    pub(crate) async fn open(&self) -> Result<OpenLog, Error> {
        let (mut head, mut key) = self.read().await?;
        if key.is_none() && head.as_ref().is_some_and(|head| head.note.is_some()) {
            // Another key would be another log, whose checkpoints nobody could compare.
            return Err(broken("the key of the log was removed from the store"));
        }
        if head.is_none() || key.is_none() {
            self.make(head.is_none(), key.is_none()).await?;
            // Another process may have been first: only what the store holds counts.
            (head, key) = self.read().await?;
        }
        let head = head.ok_or_else(|| broken("the log that was just made is missing"))?;
        let stored = key.ok_or_else(|| broken("the log key that was just made is missing"))?;
        let origin = KeyName::parse(&head.origin).map_err(broken)?;
        let key = LogKey::open(&stored, self.keyring.master_key(), origin)
            .ok_or_else(|| broken("the store's log key does not open under this master key"))?;
        Ok(OpenLog { head, key })
    }

    async fn read(&self) -> Result<(Option<LogHead>, Option<StoreKey>), Error> {
        let heads = self.records.log_heads().await?;
        let keys = self.records.store_keys().await?;
        let of_log = |key: &StoreKey| key.purpose == log::PURPOSE;
        Ok((heads.into_iter().next_back(), keys.into_iter().find(of_log)))
    }

    async fn make(&self, lacks_log: bool, lacks_key: bool) -> Result<(), Error> {
        let mut changes = Vec::new();
        if lacks_key {
            let master = self.keyring.master_key();
            changes.push(new_store_key(log::PURPOSE, master, &*self.entropy)?);
        }
        if lacks_log {
            let generation = u64::try_from(FIRST_GENERATION).map_err(broken)?;
            let origin = KeyName::of_log(&self.issuer, generation).map_err(broken)?;
            changes.push(Change::Log(LogChange::Begin {
                generation: FIRST_GENERATION,
                origin: origin.as_str().to_owned(),
            }));
        }
        let write = |change| Write::new(Act::system(self.clock.moment()), change);
        self.store
            .commit(changes.into_iter().map(write).collect())
            .await?;
        Ok(())
    }
}
