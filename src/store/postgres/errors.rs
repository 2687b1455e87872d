//! What an error of PostgreSQL means: the one place where its codes are read.
//!
//! Owns which failures are infrastructure, which pass by themselves and which left nothing behind. Must
//! not know what was being asked.

use std::sync::Arc;

use crate::store::error::{OpenError, StoreError};
use crate::store::retry::TIMEOUT;
use crate::store::row::Broken;

/// Bounds a call and says what its error means.
pub(super) async fn bounded<T>(
    work: impl Future<Output = sqlx::Result<T>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(TIMEOUT, work).await {
        Ok(done) => done.map_err(store_error),
        Err(elapsed) => Err(StoreError::Unavailable(Arc::new(elapsed))),
    }
}

fn store_error(error: sqlx::Error) -> StoreError {
    if is_broken(&error) || matches!(&error, sqlx::Error::Database(e) if says_unavailable(&**e)) {
        StoreError::Unavailable(Arc::new(error))
    } else {
        StoreError::Fault(Arc::new(error))
    }
}

/// Classes of codes that are the machine's or the operator's affair and never a caller's: short of disk,
/// memory or connections, an operator who stepped in, an error of the system below.
const INFRASTRUCTURE: [&str; 3] = ["53", "57", "58"];

/// Single codes of the same kind: a lock not had in time, a standby, a transaction that was given up too
/// often, an object in another state than it has to be, a right that was lost, damaged data.
const INFRASTRUCTURE_CODES: [&str; 9] = [
    "55P03", "25006", "40001", "40003", "40P01", "55000", "42501", "XX001", "XX002",
];

fn says_unavailable(error: &dyn sqlx::error::DatabaseError) -> bool {
    let code = error.code().unwrap_or_default();
    INFRASTRUCTURE.iter().any(|class| code.starts_with(class))
        || INFRASTRUCTURE_CODES.contains(&&*code)
        || refuses_entry(error)
}

/// A login that is refused, or a database that is gone.
fn refuses_entry(error: &dyn sqlx::error::DatabaseError) -> bool {
    let code = error.code().unwrap_or_default();
    code.starts_with("28") || code == "3D000"
}

/// What an error means before anything was ever read. While running, a refused login or a missing right
/// is an outage, since somebody changes passwords or restores a database; at the start the address or the
/// role is wrong, and waiting mends nothing.
pub(super) fn open_error(error: StoreError) -> OpenError {
    match error {
        StoreError::Unavailable(cause) if is_refused_entry(&*cause) => OpenError::Fault(cause),
        error => error.into(),
    }
}

fn is_refused_entry(cause: &(dyn std::error::Error + 'static)) -> bool {
    let refuses = |e: &dyn sqlx::error::DatabaseError| {
        refuses_entry(e) || e.code().as_deref() == Some("42501")
    };
    matches!(cause.downcast_ref(), Some(sqlx::Error::Database(e)) if refuses(&**e))
}

/// Whether the connection is gone, so that another one may do better.
pub(super) fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(e) => {
            let code = e.code().unwrap_or_default();
            code.starts_with("08")
                || ["57P01", "57P02", "57P03", "57P04", "57P05", "25P03"].contains(&&*code)
        }
        _ => false,
    }
}

/// Whether doing the same again may succeed although nothing of it was done: a broken connection,
/// a serialization failure, a deadlock, or a row that another process inserted in this moment.
pub(super) fn is_passing(error: &sqlx::Error) -> bool {
    is_broken(error) || is_rolled_back(error) || has_code(error, &["23505"])
}

/// Whether the database gave the transaction up, at its commit too: nothing of it was done.
pub(super) fn is_rolled_back(error: &sqlx::Error) -> bool {
    has_code(error, &["40001", "40P01"])
}

/// Whether the database gives this role, or anybody, no further connection.
pub(super) fn is_full(error: &sqlx::Error) -> bool {
    has_code(error, &["53300"])
}

/// The same of what a [`StoreError`] rests on.
pub(super) fn says_full(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref().is_some_and(is_full)
}

/// Whether a lock was not had in time: nothing was done.
pub(super) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    has_code(error, &["55P03"])
}

fn has_code(error: &sqlx::Error, codes: &[&str]) -> bool {
    matches!(error, sqlx::Error::Database(e) if codes.contains(&&*e.code().unwrap_or_default()))
}

/// A stored value that is not what its column promises.
pub(super) fn broken(error: impl Into<Broken>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
