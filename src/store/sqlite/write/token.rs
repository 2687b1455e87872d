//! The revocation of one token, on SQLite, and the version of the revocation list. The same
//! functions in the same order as on PostgreSQL.

use sqlx::sqlite::SqliteConnection;

use crate::domain::id::{AgentId, Jti};
use crate::domain::time::{Moment, Timestamp};
use crate::store::write::{Outcome, TokenChange};

/// Applies one change. `killed` is the version of the revocation list if this change raises it.
pub(super) async fn apply(
    conn: &mut SqliteConnection,
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
    conn: &mut SqliteConnection,
    jti: Jti,
    agent_id: Option<&AgentId>,
    expires_at: Timestamp,
    killed: i64,
) -> sqlx::Result<Outcome> {
    let sql = "insert into revoked_token (jti, agent_id, expires_at, version)
               values (?1, ?2, ?3, ?4)
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

/// The version of the revocation list. The transaction holds the write lock from its beginning, so
/// versions become visible in their order. The next version is at least the unix milliseconds of
/// `at`, so that no version is used twice, even after a restore.
pub(super) async fn revocation_version(
    conn: &mut SqliteConnection,
    at: Moment,
) -> sqlx::Result<i64> {
    let sql = "select max(version, ?1 - 1) from revision where name = 'revocation'";
    sqlx::query_scalar(sql).bind(at.0).fetch_one(conn).await
}

pub(super) async fn set_revocation_version(
    conn: &mut SqliteConnection,
    version: i64,
) -> sqlx::Result<()> {
    let sql = "update revision set version = ?1 where name = 'revocation'";
    sqlx::query(sql).bind(version).execute(conn).await.map(drop)
}
