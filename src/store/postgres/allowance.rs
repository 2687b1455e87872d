//! How many connections a lane may have after the database refused to give more.
//!
//! Owns how long this lasts. Must not know how a connection is opened.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a lane that met the database's limit uses half of the connections that it had, so that
/// others, among them commands, can get a connection.
const LOWERED_TTL: Duration = Duration::from_secs(10);

/// How many connections a lane may have: no limit, until the database refuses it a connection.
#[derive(Debug, Default)]
pub(super) struct Allowance(Mutex<Option<Lowered>>);

#[derive(Debug, Clone, Copy)]
struct Lowered {
    max_connections: usize,
    until: Instant,
}

impl Allowance {
    fn lowered(&self) -> MutexGuard<'_, Option<Lowered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The most connections that the lane may have now.
    pub(super) fn max_connections(&self) -> usize {
        let mut lowered = self.lowered();
        *lowered = lowered.filter(|lowered| Instant::now() < lowered.until);
        lowered.map_or(usize::MAX, |lowered| lowered.max_connections)
    }

    /// Lowers the limit, after the database refused another connection to a lane with `open`
    /// connections.
    pub(super) fn lower(&self, open: usize) {
        let max_connections = (open / 2).max(1);
        *self.lowered() = Some(Lowered {
            max_connections,
            until: Instant::now() + LOWERED_TTL,
        });
    }
}
