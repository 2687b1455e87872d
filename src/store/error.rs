//! Why a store gave no answer, or could not be opened. Must not know which backend it is.

use std::error::Error;
use std::sync::Arc;

/// Why a store gave no answer. Never a verdict about a client or a token (contract D9).
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or did not answer in time. The outcome of a write is unknown.
    #[error("the store is unavailable")]
    Unavailable(#[source] Arc<dyn Error + Send + Sync>),
    /// A bounded queue is full; nothing was done.
    #[error("the store is busy")]
    Busy,
    /// Anything else: a bug, a broken row, a schema that does not fit.
    #[error("the store failed")]
    Fault(#[source] Arc<dyn Error + Send + Sync>),
}

/// Another open transaction holds the locks on all that was asked for. Nothing was done.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("another transaction holds what is needed")]
pub(crate) struct LockedElsewhere;

impl StoreError {
    /// Whether another transaction holds what is needed. Then it is certain that nothing was done.
    pub(in crate::store) fn is_locked(&self) -> bool {
        matches!(self, Self::Unavailable(cause) if cause.is::<LockedElsewhere>())
    }
}

/// Why a store could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// The database cannot be reached or did not answer in time; a later try may succeed.
    #[error("the database cannot be reached")]
    Unreachable(#[source] Arc<dyn Error + Send + Sync>),
    /// The database has an older schema than this program needs.
    #[error("the database's schema is older than this program: run `sealwright migrate`")]
    SchemaOlder,
    /// The database stores text in this encoding, which cannot represent every name.
    #[error(
        "the database's encoding is {0}, which cannot hold every name: make one with `create database … \
         encoding 'UTF8' template template0`"
    )]
    Encoding(String),
    /// These sessions held the tables for longer than a schema change may wait.
    #[error(
        "the schema was not changed, it waited in vain: {0}. Run `sealwright migrate` again after that"
    )]
    Locked(String),
    /// A pool gives the session of this process to other clients, or another session to this process.
    #[error(
        "a pool that shares sessions stands before the database (PgBouncer calls that `pool_mode = transaction`): it \
         loses what was set for a session, above all `synchronous_commit`, so a revocation that was answered could be \
         lost. Let `database.url` name PostgreSQL itself, or a pool in session mode"
    )]
    SharedSession,
    /// A SQLite file that was copied while a server had it open, without its log.
    #[error(
        "{0} was copied while a server had it open, without its log ({0}-wal): the newest changes are missing. \
         Copy a store with `sealwright backup FILE`, and put that in place with `sealwright restore FILE`. To use \
         this copy all the same, run `sealwright restore --acknowledge`"
    )]
    CopyWithoutLog(String),
    /// Anything else: a malformed address, a refused login, a migration that failed.
    #[error("the store could not be opened")]
    Fault(#[source] Arc<dyn Error + Send + Sync>),
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(source) => Self::Unreachable(source),
            StoreError::Busy => Self::Unreachable(Arc::new(error)),
            StoreError::Fault(source) => Self::Fault(source),
        }
    }
}
