//! What an error of PostgreSQL means. Only this file reads its codes.
//!
//! Owns which failures are infrastructure, which pass by themselves and which changed nothing. Must
//! not know what was asked.

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

fn store_error(error: sqlx::Error) -> StoreError {
    if is_broken(&error) || matches!(&error, sqlx::Error::Database(e) if says_unavailable(&**e)) {
        metrics::store_error("unavailable");
        StoreError::Unavailable(Arc::new(error))
    } else {
        metrics::store_error("fault");
        StoreError::Fault(Arc::new(error))
    }
}

/// Classes of codes whose cause is the machine or the operator, never the caller: lack of disk,
/// memory or connections, an operator's intervention, an error of the operating system.
const INFRASTRUCTURE: [&str; 3] = ["53", "57", "58"];

/// Single codes of the same kind: a lock that was not granted in time, a transaction
/// that was rolled back too often, an object in the wrong state, a missing privilege, damaged data.
const INFRASTRUCTURE_CODES: [&str; 8] = [
    "55P03", "40001", "40003", "40P01", "55000", "42501", "XX001", "XX002",
];

fn says_unavailable(error: &dyn sqlx::error::DatabaseError) -> bool {
    let code = error.code().unwrap_or_default();
    INFRASTRUCTURE.iter().any(|class| code.starts_with(class))
        || INFRASTRUCTURE_CODES.contains(&&*code)
        || refuses_entry(error)
}

/// Whether the login is refused, or the database does not exist.
fn refuses_entry(error: &dyn sqlx::error::DatabaseError) -> bool {
    let code = error.code().unwrap_or_default();
    code.starts_with("28") || code == "3D000"
}

/// What an error means before anything was read. In a running server, a refused login or a missing
/// privilege is an outage, because somebody changes passwords or restores a database. At the start,
/// the address or the role is wrong, and waiting does not help.
pub(super) fn open_error(error: StoreError) -> OpenError {
    match error {
        StoreError::Unavailable(cause) if is_refused_entry(&*cause) => OpenError::Fault(cause),
        StoreError::Fault(cause) if is_of_another_session(&*cause) => OpenError::SharedSession,
        error => error.into(),
    }
}

/// Whether a statement that this session prepared is unknown, or one that it did not prepare is
/// there: a pool gave it another session.
fn is_of_another_session(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause
        .downcast_ref()
        .is_some_and(|error| has_code(error, &["26000", "42P05"]))
}

fn is_refused_entry(cause: &(dyn std::error::Error + 'static)) -> bool {
    let refuses = |e: &dyn sqlx::error::DatabaseError| {
        refuses_entry(e) || e.code().as_deref() == Some("42501")
    };
    matches!(cause.downcast_ref(), Some(sqlx::Error::Database(e)) if refuses(&**e))
}

/// Whether the connection is broken, or goes to a server that takes no writes (any longer), so that
/// another connection may succeed.
pub(super) fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(e) => {
            let code = e.code().unwrap_or_default();
            code.starts_with("08")
                // Another server is the primary now.
                || code == "25006"
                || ["57P01", "57P02", "57P03", "57P04", "57P05", "25P03"].contains(&&*code)
        }
        _ => false,
    }
}

/// Whether the same work may succeed if it is repeated: after a broken connection, a serialization
/// failure, a deadlock, or a row that another process inserted just now. Except perhaps after a
/// broken connection, nothing of the work was done.
pub(super) fn is_passing(error: &sqlx::Error) -> bool {
    is_broken(error) || is_rolled_back(error) || has_code(error, &["23505"])
}

/// Whether the database rolled the transaction back, even at its commit. Then nothing of it was
/// done.
pub(super) fn is_rolled_back(error: &sqlx::Error) -> bool {
    has_code(error, &["40001", "40P01"])
}

/// Whether the database refuses another connection to this role, or to every role.
pub(super) fn is_full(error: &sqlx::Error) -> bool {
    has_code(error, &["53300"])
}

/// Like [`is_full`], for the cause of a [`StoreError`].
pub(super) fn says_full(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref().is_some_and(is_full)
}

/// Whether a lock was not granted in time. Then nothing was done.
pub(super) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    has_code(error, &["55P03"])
}

fn has_code(error: &sqlx::Error, codes: &[&str]) -> bool {
    matches!(error, sqlx::Error::Database(e) if codes.contains(&&*e.code().unwrap_or_default()))
}

/// An error for a stored value that breaks the rule of its column.
pub(super) fn broken(error: impl Into<Broken>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
