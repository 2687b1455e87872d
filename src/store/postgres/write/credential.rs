//! What can be changed about an agent's secrets, on PostgreSQL. The same functions in the same
//! order as on SQLite.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::domain::credential::{Credential, SecretHash};
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::time::Timestamp;
use crate::store::write::{CredentialChange, Effect, Outcome, Previous, effect};

use super::status::status_of;

/// Applies one change.
pub(super) async fn apply(
    conn: &mut PgConnection,
    at: Timestamp,
    change: &CredentialChange,
) -> sqlx::Result<Effect> {
    match change {
        CredentialChange::Rotate {
            credential,
            overlap,
            max_live,
        } => rotate_secret(conn, at, credential, *overlap, *max_live).await,
        CredentialChange::Rehash {
            agent_id,
            credential_id,
            from,
            to,
        } => rehash_credential(conn, agent_id, *credential_id, from, to).await,
    }
}

async fn rotate_secret(
    conn: &mut PgConnection,
    at: Timestamp,
    credential: &Credential,
    overlap: i64,
    max_live: i64,
) -> sqlx::Result<Effect> {
    let agent_id = &credential.agent_id;
    match status_of(conn, agent_id).await? {
        None => return Ok(effect(Outcome::NotFound)),
        Some(status) if status.is_final() => return Ok(effect(Outcome::Conflict)),
        Some(_) => {}
    }
    let sql = "select count(*) from credential where agent_id = $1 and (expires_at is null or expires_at > $2)";
    let live: i64 = sqlx::query_scalar(sql)
        .bind(agent_id.as_str())
        .bind(at.0)
        .fetch_one(&mut *conn)
        .await?;
    if overlap > 0 && live >= max_live {
        return Ok(effect(Outcome::TooMany));
    }
    let sql = "update credential set expires_at = least(expires_at, $2)
               where agent_id = $1 and (expires_at is null or expires_at > $3)
               returning position, credential_id, expires_at";
    let mut ended: Vec<(i64, Uuid, i64)> = sqlx::query_as(sql)
        .bind(agent_id.as_str())
        .bind(at.saturating_add(overlap).0)
        .bind(at.0)
        .fetch_all(&mut *conn)
        .await?;
    ended.sort_unstable();
    let ends = ended
        .into_iter()
        .map(|(_, id, ends_at)| (CredentialId(id), Timestamp(ends_at)))
        .collect();
    let sql = "delete from credential where agent_id = $1 and expires_at <= $2";
    sqlx::query(sql)
        .bind(agent_id.as_str())
        .bind(at.0)
        .execute(&mut *conn)
        .await?;
    insert_credential(conn, credential).await?;
    let sql = "update agent
               set version = greatest(version + 1, floor(extract(epoch from now()) * 1000)::bigint), updated_at = $2
               where agent_id = $1";
    sqlx::query(sql)
        .bind(agent_id.as_str())
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok((Outcome::Applied, Previous::Ends(ends)))
}

async fn rehash_credential(
    conn: &mut PgConnection,
    agent_id: &AgentId,
    credential_id: CredentialId,
    from: &SecretHash,
    to: &SecretHash,
) -> sqlx::Result<Effect> {
    let sql =
        "update credential set hash = $4 where agent_id = $1 and credential_id = $2 and hash = $3
               returning expires_at";
    let changed: Option<Option<i64>> = sqlx::query_scalar(sql)
        .bind(agent_id.as_str())
        .bind(credential_id.0)
        .bind(&from.0)
        .bind(&to.0)
        .fetch_optional(conn)
        .await?;
    Ok(match changed {
        Some(expires_at) => {
            let expiry = Previous::Expiry(expires_at.map(Timestamp));
            (Outcome::Applied, expiry)
        }
        None => effect(Outcome::NotFound),
    })
}

pub(super) async fn insert_credential(
    conn: &mut PgConnection,
    credential: &Credential,
) -> sqlx::Result<()> {
    let sql = "insert into credential (credential_id, agent_id, hash, tag, prefix, created_at, expires_at, raw_basic)
               values ($1, $2, $3, $4, $5, $6, $7, $8)";
    sqlx::query(sql)
        .bind(credential.credential_id.0)
        .bind(credential.agent_id.as_str())
        .bind(&*credential.hash.0)
        .bind(credential.tag.as_ref().map(|tag| &*tag.0))
        .bind(&credential.prefix)
        .bind(credential.created_at.0)
        .bind(credential.expires_at.map(|t| t.0))
        .bind(credential.raw_basic)
        .execute(conn)
        .await
        .map(drop)
}
