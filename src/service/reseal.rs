//! Another master key: seals the keys of the store under it, once every process that serves holds it.
//!
//! Owns when that may be done. Must not know how a key is sealed, or where master keys come from.

use std::sync::Arc;

use crate::domain::act::Act;
use crate::keys::reseal::{self, Resealing};
use crate::keys::seal::MasterKey;
use crate::store::{Change, KeyChange, KeyResealing, Outcome, Records};

use super::error::{Cause, Error};
use super::keys::KeyService;
use super::processes::{SERVING_MILLIS, describe, serving, silent_users};

/// How often it is decided again because keys or processes changed meanwhile.
const MAX_TRIES: usize = 5;

/// What came of sealing the keys anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resealed {
    /// Everything is sealed under the master key.
    Done {
        /// How many keys were sealed anew.
        keys: i64,
        /// How many rows were left as they are, because they are no keys of this store.
        foreign: i64,
    },
    /// Nothing was changed. These processes serve without the master key, or cannot say whether they
    /// have it.
    InTheWay(Vec<String>),
}

/// How the keys of a store are sealed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SealCounts {
    /// How many are sealed under the master key.
    pub newest: i64,
    /// How many are sealed under the one before.
    pub previous: i64,
    /// How many rows are no keys of this store.
    pub foreign: i64,
}

impl SealCounts {
    fn note<T>(&mut self, row: &Resealing<T>) {
        let count = match row {
            Resealing::Done => &mut self.newest,
            Resealing::Replace(_) => &mut self.previous,
            Resealing::Foreign => &mut self.foreign,
        };
        *count = count.saturating_add(1);
    }
}

impl KeyService {
    /// Seals every key of the store under the newest master key, in one commit: if the process ends
    /// before it, nothing was changed, and after it nothing is left to do. Refused while a process
    /// serves that lacks the key, because it could open nothing any more.
    pub async fn reseal(&self, act: &Act) -> Result<Resealed, Error> {
        let master = self.keyring.master_key();
        let newest = master.fingerprints().into_iter().next().unwrap_or_default();
        for _ in 0..MAX_TRIES {
            let (change, counts) = self.resealing(master, newest.clone()).await?;
            if counts.previous == 0 {
                return Ok(Resealed::Done {
                    keys: 0,
                    foreign: counts.foreign,
                });
            }
            let in_the_way = self.in_the_way(&newest).await?;
            if !in_the_way.is_empty() {
                return Ok(Resealed::InTheWay(in_the_way));
            }
            let change = Change::Key(KeyChange::Reseal(Box::new(change)));
            if self.commit(change, act).await? == Outcome::Applied {
                return Ok(Resealed::Done {
                    keys: counts.previous,
                    foreign: counts.foreign,
                });
            }
        }
        let why = Cause("keys or processes keep changing".to_owned());
        Err(Error::Unavailable(Arc::new(why)))
    }

    /// What is to be sealed anew.
    async fn resealing(
        &self,
        master: &MasterKey,
        newest: String,
    ) -> Result<(KeyResealing, SealCounts), Error> {
        let stored = self.records.keys().await?;
        let (mut signing, mut own, mut counts) = (vec![], vec![], SealCounts::default());
        for key in &stored.keys {
            let row = reseal::signing_key(key, master, &*self.entropy)?;
            counts.note(&row);
            if let Resealing::Replace(key) = row {
                signing.push(key);
            }
        }
        for key in self.records.store_keys().await? {
            let row = reseal::store_key(&key, master, &*self.entropy)?;
            counts.note(&row);
            if let Resealing::Replace(sealed) = row {
                own.push((key, sealed.sealed));
            }
        }
        let change = KeyResealing {
            keys_version: stored.version,
            signing,
            own,
            master_key: newest,
            serving_millis: SERVING_MILLIS,
        };
        Ok((change, counts))
    }

    /// The processes that serve without this master key, and the programs that do not say.
    async fn in_the_way(&self, newest: &str) -> Result<Vec<String>, Error> {
        let processes = serving(&*self.records, &self.clock).await?;
        let lacks = |keys: &[String]| !keys.iter().any(|key| key == newest);
        let mut found: Vec<String> = processes
            .iter()
            .filter(|process| lacks(&process.report.master_keys))
            .map(describe)
            .collect();
        let silent = silent_users(&*self.records, &self.clock).await?;
        found.extend(
            silent
                .into_iter()
                .map(|who| format!("{who}, which reports nothing")),
        );
        Ok(found)
    }
}

/// How the keys of this store are sealed.
pub(crate) async fn count_seals(
    records: &dyn Records,
    master: &MasterKey,
    entropy: &dyn crate::entropy::Entropy,
) -> Result<SealCounts, Error> {
    let mut counts = SealCounts::default();
    for key in &records.keys().await?.keys {
        counts.note(&reseal::signing_key(key, master, entropy)?);
    }
    for key in &records.store_keys().await? {
        counts.note(&reseal::store_key(key, master, entropy)?);
    }
    Ok(counts)
}
