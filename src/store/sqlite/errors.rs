//! What an error of SQLite means. Only this file reads its codes.
//!
//! Owns which failures are infrastructure. Must not know what was asked.

use std::sync::Arc;

use crate::store::error::{OpenError, StoreError};
use crate::store::retry::TIMEOUT;
use crate::store::row::Broken;
use crate::telemetry::metrics;

/// Runs `work` with the call timeout, and classifies its error.
pub(super) async fn bounded<T>(
    work: impl Future<Output = sqlx::Result<T>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(TIMEOUT, work).await {
        Ok(done) => done.map_err(store_error),
        Err(elapsed) => {
            metrics::store_error("unavailable");
            Err(StoreError::Unavailable(Arc::new(elapsed)))
        }
    }
}

pub(super) fn store_error(error: sqlx::Error) -> StoreError {
    let unavailable = match &error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(e) => says_unavailable(&**e),
        _ => false,
    };
    if unavailable {
        metrics::store_error("unavailable");
        StoreError::Unavailable(Arc::new(error))
    } else {
        metrics::store_error("fault");
        StoreError::Fault(Arc::new(error))
    }
}

/// At the start, waiting does not help if the file is damaged or is not a database.
pub(super) fn open_error(error: StoreError) -> OpenError {
    match error {
        StoreError::Unavailable(cause) if cause.downcast_ref().is_some_and(is_damage) => {
            OpenError::Fault(cause)
        }
        error => error.into(),
    }
}

/// Whether the file is damaged, or is not a database: CORRUPT, NOTADB.
pub(super) fn is_damage(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(e) if [11, 26].contains(&primary_code(&**e)))
}

/// The low byte of an extended code.
fn primary_code(error: &dyn sqlx::error::DatabaseError) -> i32 {
    error
        .code()
        .and_then(|code| code.parse::<i32>().ok())
        .unwrap_or_default()
        & 0xFF
}

fn says_unavailable(error: &dyn sqlx::error::DatabaseError) -> bool {
    // PERM, BUSY, LOCKED, NOMEM, READONLY, IOERR,
    // CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB.
    [3, 5, 6, 7, 8, 10, 11, 13, 14, 15, 26].contains(&primary_code(error))
}

/// An error for a stored value that breaks the rule of its column.
pub(super) fn broken(error: impl Into<Broken>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
