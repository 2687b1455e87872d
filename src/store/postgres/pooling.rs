//! Whether a pool stands before the database that gives a client another session after each
//! transaction.
//!
//! Owns how such a pool is recognised. Must not know what a session is used for. A setting of the
//! session, above all that a commit is durable before it is answered, would be lost with the
//! session, and a revocation that was answered could be lost in a crash.

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use crate::store::error::OpenError;

use super::errors::{bounded, open_error};
use super::hosts::Hosts;

/// How often it is looked for. Other clients of the pool take sessions meanwhile, so that one look may
/// find nothing.
const LOOKS: u32 = 4;

/// Marks the session.
const MARK: &str = "select set_config('sealwright.session', md5(concat(random(), pg_backend_pid(), now())), false)";

/// The mark of the session.
const READ: &str = "select coalesce(current_setting('sealwright.session', true), '')";

/// Demands that `conn` keeps its session, by several looks.
pub(super) async fn demand_own_session(
    hosts: &Hosts,
    conn: &mut PgConnection,
) -> Result<(), OpenError> {
    for _ in 0..LOOKS {
        if is_session_shared(hosts, conn).await? {
            return Err(OpenError::SharedSession);
        }
    }
    Ok(())
}

/// Whether `conn` shares its session. Marks it, and looks for the mark on a second connection,
/// then on the first one while the second is in a transaction: a pool that shares sessions shows the
/// mark to the second one, or another session to the first. If there is no second connection to be
/// had, nothing is told and nothing is refused.
async fn is_session_shared(hosts: &Hosts, conn: &mut PgConnection) -> Result<bool, OpenError> {
    let mark = bounded(text(conn, MARK)).await.map_err(open_error)?;
    let Ok((mut other, _)) = bounded(hosts.connect("")).await else {
        return Ok(false);
    };
    let mut is_shared = bounded(text(&mut other, READ))
        .await
        .is_ok_and(|seen| seen == mark);
    if !is_shared
        && bounded(sqlx::raw_sql("begin").execute(&mut other))
            .await
            .is_ok()
    {
        is_shared = bounded(text(&mut other, READ))
            .await
            .is_ok_and(|seen| seen == mark);
    }
    let is_kept = is_shared || bounded(text(conn, READ)).await.map_err(open_error)? == mark;
    // Ends the transaction too. The connection is not used again, so an error changes nothing.
    let _ = other.close().await;
    Ok(is_shared || !is_kept)
}

/// Without a prepared statement, which such a pool may refuse with an error of its own.
async fn text(conn: &mut PgConnection, sql: &'static str) -> sqlx::Result<String> {
    let row = sqlx::raw_sql(sql).fetch_one(conn).await?;
    sqlx::Row::try_get(&row, 0)
}
