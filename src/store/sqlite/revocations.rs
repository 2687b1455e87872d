//! What changed in the revocation list, on SQLite. The same functions in the same order as on
//! PostgreSQL.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::domain::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::records::ReadRevocations;
use crate::store::revocation::{KilledAgentQuery, KilledTokens, Revocations};
use crate::store::row::{self, Broken, RevocationRow};

use super::errors::broken;
use super::killed;
use super::lane::ask_again;
use super::open::SqliteStore;

#[async_trait]
impl ReadRevocations for SqliteStore {
    async fn revocations(
        &self,
        since: i64,
        now: Timestamp,
        kills_after: Timestamp,
    ) -> Result<Revocations, StoreError> {
        ask_again!(self.readers, revocations, since, now, kills_after).await
    }

    async fn killed_tokens(
        &self,
        sought: &[KilledAgentQuery],
        after: Option<i64>,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<KilledTokens>, StoreError> {
        killed::killed_tokens(&self.readers, sought, after, now, most).await
    }
}

pub(super) async fn revocations(
    conn: &mut SqliteConnection,
    since: i64,
    now: Timestamp,
    kills_after: Timestamp,
) -> sqlx::Result<Revocations> {
    let rows = sqlx::query(
        "select version, null as jti, null as agent_id, 0 as at, 0 as epoch, 0 as longest_ttl, null as kid, null as org_id
         from revision
         where name = 'revocation'
         union all
         select version, jti, null, expires_at, 0, 0, null, null
         from revoked_token
         where version > ?1 and expires_at > ?2
         union all
         select killed_version, null, agent_id, killed_at, epoch, longest_ttl, null, null
         from agent
         where killed_version > ?1 and killed_at > ?3
         union all
         select version, null, null, revoked_at, 0, 0, kid, null
         from revoked_key
         where version > ?1 and revoked_at > ?3
         union all
         select killed_version, null, null, killed_at, epoch, 0, null, org_id
         from org
         where killed_version > ?1 and killed_at > ?3
         order by version, jti, agent_id, kid, org_id",
    )
    .bind(since)
    .bind(now.0)
    .bind(kills_after.0)
    .fetch_all(conn)
    .await?;
    row::revocations(
        rows.iter()
            .map(|row| revocation_row(row).map_err(Broken::from)),
    )
    .map_err(broken)
}

fn revocation_row(row: &SqliteRow) -> sqlx::Result<RevocationRow> {
    Ok(RevocationRow {
        version: row.try_get("version")?,
        jti: row.try_get("jti")?,
        agent_id: row.try_get("agent_id")?,
        at: row.try_get("at")?,
        epoch: row.try_get("epoch")?,
        longest_ttl: row.try_get("longest_ttl")?,
        kid: row.try_get("kid")?,
        org_id: row.try_get("org_id")?,
    })
}
