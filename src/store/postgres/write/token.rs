//! The revocation of one token, on PostgreSQL, and the version of the revocation list. The same
//! functions in the same order as on SQLite.

use sqlx::postgres::PgConnection;

use crate::domain::id::{AgentId, Jti};
use crate::domain::time::Timestamp;
use crate::store::write::{Outcome, TokenChange};

/// Applies one change. `killed` is the version of the revocation list if this change raises it.
pub(super) async fn apply(
    conn: &mut PgConnection,
    change: &TokenChange,
    killed: i64,
) -> sqlx::Result<Outcome> {
    let TokenChange::Revoke {
        jti,
        agent_id,
        expires_at,
    } = change;
    revoke_token(conn, *jti, agent_id.as_ref(), *expires_at, killed).await
}

async fn revoke_token(
    conn: &mut PgConnection,
    jti: Jti,
    agent_id: Option<&AgentId>,
    expires_at: Timestamp,
    killed: i64,
) -> sqlx::Result<Outcome> {
    let sql = "insert into revoked_token (jti, agent_id, expires_at, version)
               values ($1, $2, $3, $4)
               on conflict do nothing";
    let added = sqlx::query(sql)
        .bind(jti.0)
        .bind(agent_id.map(AgentId::as_str))
        .bind(expires_at.0)
        .bind(killed)
        .execute(conn)
        .await?;
    Ok(Outcome::applied_or(
        added.rows_affected(),
        Outcome::Unchanged,
    ))
}

/// The version of the revocation list, locked. A transaction that raises it holds the lock until
/// the commit, so that versions become visible in their order. Every process locks it before any
/// agent. The next version is at least the database's unix milliseconds, so that no version is used
/// twice, even after a restore.
pub(super) async fn revocation_version(conn: &mut PgConnection) -> sqlx::Result<i64> {
    let sql = "select greatest(version, floor(extract(epoch from now()) * 1000)::bigint - 1)
               from revision where name = 'revocation' for update";
    sqlx::query_scalar(sql).fetch_one(conn).await
}

pub(super) async fn set_revocation_version(
    conn: &mut PgConnection,
    version: i64,
) -> sqlx::Result<()> {
    let sql = "update revision set version = $1 where name = 'revocation'";
    sqlx::query(sql).bind(version).execute(conn).await.map(drop)
}
