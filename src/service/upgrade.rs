//! The end of an upgrade: what an older release does not enforce is switched on.
//!
//! Owns when that may be done: once no process of an older release serves. Must not know what is
//! switched on, or how a schema changes.

use crate::clock::StoreClock;
use crate::store::Records;

use super::error::Error;
use super::processes::{describe, serving, silent_users};

/// What came of finishing an upgrade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finished {
    /// It is finished.
    Done,
    /// Nothing was changed, because these processes of older releases serve.
    InTheWay(Vec<String>),
}

/// Finishes the upgrade of this store. It may be finished already.
pub async fn finish_upgrade(records: &dyn Records, clock: &StoreClock) -> Result<Finished, Error> {
    let known = records.schema().await?.known;
    let processes = serving(records, clock).await?;
    let mut older: Vec<String> = processes
        .iter()
        .filter(|process| process.schema < known)
        .map(describe)
        .collect();
    older.extend(silent_users(records, clock).await?);
    if !older.is_empty() {
        return Ok(Finished::InTheWay(older));
    }
    records.finish_upgrade().await?;
    Ok(Finished::Done)
}
