//! Changing the schema while other processes use it.
//!
//! Owns how long a change may wait for the tables, and the error if it waited in vain. Must not
//! know what a migration does.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;
use sqlx::migrate::{Migrate, MigrateError};
use sqlx::postgres::{PgConnectOptions, PgConnection};

use crate::store::error::OpenError;

use super::errors::{bounded, is_lock_timeout, is_rolled_back, open_error};
use super::options::options;
use super::schema::{demand_utf8, migrator, server_encoding, table_holders};

/// How often a change of the schema is tried. While a change waits for a table, every later read of
/// the table waits too. So a change waits only briefly, and those reads run between two tries.
const TRIES: u32 = 3;

/// The pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Session settings for the wait for other processes that migrate at once. This wait blocks nobody
/// else.
const AMONG_MIGRATIONS: &str = "set lock_timeout = '60s'; set statement_timeout = 0; \
                                set default_transaction_isolation = 'read committed'";

/// How long one try waits for any table: well below the timeout that a server has for a read.
const FOR_TABLES: &str = "set lock_timeout = '1s'";

/// Brings the schema up to date. Processes that migrate at once wait for each other. The wait for
/// tables that somebody holds is limited, because every read would queue behind the change.
pub async fn migrate(url: &str) -> Result<(), OpenError> {
    let options = options(url)?;
    let mut tries = 1;
    loop {
        let mut conn = bounded(connect(&options)).await.map_err(open_error)?;
        demand_utf8(
            bounded(server_encoding(&mut conn))
                .await
                .map_err(open_error)?,
        )?;
        let done = change(&mut conn).await;
        let failed_on =
            |test: fn(&sqlx::Error) -> bool| done.as_ref().is_err_and(|error| is(error, test));
        let is_locked = failed_on(is_lock_timeout);
        if is_locked && tries == TRIES {
            let holders = bounded(table_holders(&mut conn)).await.unwrap_or_default();
            return Err(OpenError::Locked(told(&holders)));
        }
        // The schema is done, or the next try opens its own connection. So an error on closing
        // changes nothing.
        let _ = conn.close().await;
        if tries == TRIES || !(is_locked || failed_on(is_rolled_back)) {
            return done.map_err(|error| OpenError::Fault(Arc::new(error)));
        }
        tries += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let mut conn = PgConnection::connect_with(options).await?;
    sqlx::raw_sql(AMONG_MIGRATIONS).execute(&mut conn).await?;
    Ok(conn)
}

async fn change(conn: &mut PgConnection) -> Result<(), MigrateError> {
    conn.lock().await?;
    sqlx::raw_sql(FOR_TABLES)
        .execute(&mut *conn)
        .await
        .map_err(MigrateError::Execute)?;
    let mut migrator = migrator();
    // `conn.lock()` already holds the lock.
    migrator.set_locking(false);
    migrator.run_direct(None, conn, false).await?;
    conn.unlock().await
}

/// Whether the database reported this error, however deep it is in the chain of causes.
fn is(error: &(dyn Error + 'static), test: fn(&sqlx::Error) -> bool) -> bool {
    error.downcast_ref::<sqlx::Error>().is_some_and(test)
        || error.source().is_some_and(|cause| is(cause, test))
}

fn told(holders: &[String]) -> String {
    if holders.is_empty() {
        "somebody who has gone meanwhile".to_owned()
    } else {
        holders.join("; ")
    }
}
