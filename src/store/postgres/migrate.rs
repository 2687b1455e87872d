//! Changing the schema while other processes use it.
//!
//! Owns how long a change may wait for the tables, and the error if it waited in vain. Must not
//! know what a migration does.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;
use sqlx::migrate::{Migrate, MigrateError};
use sqlx::postgres::PgConnection;

use crate::store::error::{OpenError, StoreError};

use super::errors::{bounded, is_lock_timeout, is_rolled_back, open_error, says_full};
use super::hosts::Hosts;
use super::pooling::demand_own_session;
use super::schema::{
    MIGRATIONS, applied_migrations, backend_pid, blocking_sessions, demand_utf8, migrator,
    server_encoding, table_holders,
};

/// How often a change of the schema is tried. While a change waits for a table, every later read of
/// the table waits too. So a change waits only briefly, and those reads run between two tries.
const TRIES: u32 = 3;

/// How often a connection is tried while the database gives no more.
const FULL_TRIES: u32 = 10;

/// The pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// How often another session looks who keeps the migration waiting.
const WATCH_PERIOD: Duration = Duration::from_millis(300);

/// Session settings for the wait for other processes that migrate at once. This wait blocks nobody
/// else.
const AMONG_MIGRATIONS: &str = "set lock_timeout = '60s'; set statement_timeout = 0; \
                                set default_transaction_isolation = 'read committed';";

/// How long one try waits for any table: well below the timeout that a server has for a read.
const FOR_TABLES: &str = "set lock_timeout = '1s'";

/// Brings the schema up to date. Processes that migrate at once wait for each other. The wait for
/// tables that somebody holds is limited, because every read would queue behind the change.
/// There is one URL for each server that may be the primary.
pub async fn migrate(urls: &[impl AsRef<str> + Sync]) -> Result<(), OpenError> {
    // The driver would print the whole text of a migration that waits.
    let hosts = Hosts::new(urls)?.without_statement_log();
    let (mut tries, mut blockers) = (1, Vec::new());
    loop {
        let mut conn = connect_when_free(&hosts).await.map_err(open_error)?;
        demand_own_session(&hosts, &mut conn).await?;
        demand_utf8(
            bounded(server_encoding(&mut conn))
                .await
                .map_err(open_error)?,
        )?;
        let pid = bounded(backend_pid(&mut conn)).await.map_err(open_error)?;
        let done = tokio::select! {
            done = change(&mut conn) => done,
            never = watch(&hosts, pid, &mut blockers) => match never {},
        };
        let failed_on =
            |test: fn(&sqlx::Error) -> bool| done.as_ref().is_err_and(|error| is(error, test));
        let is_locked = failed_on(is_lock_timeout);
        if is_locked && tries == TRIES {
            let holders = bounded(table_holders(&mut conn)).await.unwrap_or_default();
            let holders = with_blockers(holders, blockers);
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

/// Looks who keeps the migration of this session waiting, on another connection. Logs each new
/// answer in one line.
async fn watch(hosts: &Hosts, pid: i32, blockers: &mut Vec<String>) -> Infallible {
    let mut conn = None;
    loop {
        tokio::time::sleep(WATCH_PERIOD).await;
        if conn.is_none() {
            conn = hosts.connect("").await.ok().map(|(conn, _)| conn);
        }
        let Some(open) = &mut conn else { continue };
        let Ok((version, now)) = bounded(blocking(open, pid)).await else {
            conn = None;
            continue;
        };
        if now.is_empty() || now == *blockers {
            continue;
        }
        let holders = told(&now);
        tracing::warn!(version, holders, "a migration waits");
        *blockers = now;
    }
}

/// The next migration, and the sessions and prepared transactions that keep it waiting.
async fn blocking(conn: &mut PgConnection, pid: i32) -> sqlx::Result<(i64, Vec<String>)> {
    let applied = applied_migrations(conn).await?.unwrap_or_default();
    let versions = MIGRATIONS.iter().map(|(version, _, _)| *version);
    let next = versions.filter(|version| !applied.contains(version)).min();
    let blockers = blocking_sessions(conn, pid).await?;
    Ok((next.unwrap_or_default(), blockers))
}

/// Those who hold tables, and the blockers that are not among them. Both are told by the same words
/// in the same brackets, after which a holder has the names of its tables.
fn with_blockers(mut holders: Vec<String>, blockers: Vec<String>) -> Vec<String> {
    let who = |told: &str| told.split(')').next().map(str::to_owned);
    let known: Vec<_> = holders.iter().map(|holder| who(holder)).collect();
    let unknown = blockers
        .into_iter()
        .filter(|one| !known.contains(&who(one)));
    holders.extend(unknown);
    holders
}

/// Servers that met the limit give connections back within seconds. A migration waits that long.
async fn connect_when_free(hosts: &Hosts) -> Result<PgConnection, StoreError> {
    let mut tries = 1;
    loop {
        match bounded(hosts.connect(AMONG_MIGRATIONS)).await {
            Err(StoreError::Unavailable(cause)) if tries < FULL_TRIES && says_full(&*cause) => {
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            done => return done.map(|(conn, _)| conn),
        }
    }
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
        "somebody who has gone meanwhile held a lock".to_owned()
    } else {
        holders.join("; ")
    }
}
