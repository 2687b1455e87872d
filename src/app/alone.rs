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

/// How often the lock is asked for before its holder is taken for a server.
const MAX_TRIES: u32 = 15;

/// The pause between two of these tries.
const TRY_PAUSE: Duration = Duration::from_millis(100);

/// The right to serve from a database: a lock with SQLite. PostgreSQL serves any number of servers.
pub(super) struct Alone {
    lock: Option<ServeLock>,
    url: String,
}

impl Alone {
    /// Locks this SQLite file, or nothing.
    pub(super) async fn demand(file: Option<&Path>, url: String) -> Result<Self, AppError> {
        let mut lock = None;
        if let Some(file) = file {
            lock = Some(take_lock(file).await.map_err(|why| refused(&url, &why))?);
        }
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

/// Takes the lock of a file without a server. A command has the lock too, for a moment, while it
/// settles what a server that was killed left.
pub(super) async fn take_lock(file: &Path) -> Result<ServeLock, NotAlone> {
    let mut tries = 1;
    loop {
        match SqliteStore::lock_serve(file) {
            Err(NotAlone::AlreadyServing) if tries < MAX_TRIES => {
                tries += 1;
                tokio::time::sleep(TRY_PAUSE).await;
            }
            done => return done,
        }
    }
}

fn refused(url: &str, why: &NotAlone) -> AppError {
    AppError::Other(format!("cannot serve {url}: {}", error_chain(why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lock_that_a_command_has_for_a_moment_keeps_no_server_from_its_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sealwright.db");
        let demand = || Alone::demand(Some(&file), "sqlite://x".to_owned());
        let of_command = SqliteStore::lock_serve(&file).unwrap();
        let (alone, ()) = tokio::join!(demand(), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(of_command);
        });
        let alone = alone.unwrap();
        let refused = demand().await.err().expect("another server has it");
        assert!(refused.to_string().contains("another server runs"));
        drop(alone);
        demand().await.unwrap();
    }
}
