//! Whether the store may be used. It may not while it is a restored one that no operator has
//! acknowledged: what was killed after the backup would be alive.
//!
//! Must not know how a restored store is recognised.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::StoreError;

/// The gate of one process to its store.
#[derive(Debug, Default)]
pub(crate) struct StoreGate {
    is_closed: AtomicBool,
}

/// The store is a restored one that no operator has acknowledged.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error(
    "a backup was restored into the store, or the store was wound back: run `sealwright restore \
     --acknowledge`"
)]
pub(crate) struct NotAcknowledged;

impl StoreGate {
    /// Lets a call pass, unless the gate is closed.
    pub(crate) fn admit(&self) -> Result<(), StoreError> {
        if self.is_closed() {
            Err(StoreError::Unavailable(Arc::new(NotAcknowledged)))
        } else {
            Ok(())
        }
    }

    /// Whether the gate is closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Closes the gate, and logs why it closes.
    pub(crate) fn close(&self, why: &'static str) {
        if !self.is_closed.swap(true, Ordering::Relaxed) {
            tracing::error!(
                why,
                "the store was restored or wound back: nothing is served from it until an operator runs \
                 `sealwright restore --acknowledge`"
            );
        }
    }

    /// Opens the gate: the restore was acknowledged.
    pub(crate) fn open(&self) {
        self.is_closed.store(false, Ordering::Relaxed);
    }
}
