//! The one server of a SQLite file: keeps its lock, and ends the process that has lost it.
//!
//! Owns how often the lock is looked at. Must not know how the lock works.

use std::path::Path;
use std::time::Duration;

use crate::store::sqlite::{NotAlone, ServeLock, SqliteStore};
use crate::telemetry::error_chain;

use super::error::AppError;

/// How often the server looks whether it is still the only one.
const RENEW_PERIOD: Duration = Duration::from_secs(1);

/// The right to serve from a database: a lock with SQLite. PostgreSQL serves any number of servers.
pub(super) struct Alone {
    lock: Option<ServeLock>,
    url: String,
}

impl Alone {
    /// Locks this SQLite file, or nothing.
    pub(super) fn demand(file: Option<&Path>, url: String) -> Result<Self, AppError> {
        let lock = match file.map(SqliteStore::lock_serve).transpose() {
            Ok(lock) => lock,
            Err(why) => return Err(refused(&url, &why)),
        };
        Ok(Self { lock, url })
    }

    /// Returns as soon as another server has the lock, because somebody removed the lock file.
    pub(super) async fn is_over(&mut self) -> AppError {
        let Some(lock) = &mut self.lock else {
            return std::future::pending().await;
        };
        let mut is_failing = false;
        loop {
            tokio::time::sleep(RENEW_PERIOD).await;
            match lock.renew() {
                Ok(()) => is_failing = false,
                Err(why @ NotAlone::AlreadyServing) => return refused(&self.url, &why),
                Err(why) if !is_failing => {
                    is_failing = true;
                    let error = error_chain(&why);
                    tracing::warn!(error, "the lock of this server cannot be made again");
                }
                Err(_) => {}
            }
        }
    }
}

fn refused(url: &str, why: &NotAlone) -> AppError {
    AppError::Other(format!("cannot serve {url}: {}", error_chain(why)))
}
