//! Reads of credentials for operators, on SQLite. The same functions in the same order as on
//! PostgreSQL.

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

use crate::domain::id::AgentId;
use crate::store::credential::{
    CredentialColumns, CredentialQuery, CredentialRecord, ReadCredentials,
};
use crate::store::error::StoreError;

use super::errors::broken;
use super::lane::ask_again;
use super::open::SqliteStore;

#[async_trait]
impl ReadCredentials for SqliteStore {
    async fn credentials(
        &self,
        agent_id: &AgentId,
        query: CredentialQuery,
    ) -> Result<Vec<CredentialRecord>, StoreError> {
        ask_again!(self.readers, credentials, agent_id, query).await
    }
}

/// An ended credential is in its own table once its agent's credentials were changed after its end.
async fn credentials(
    conn: &mut SqliteConnection,
    agent_id: &AgentId,
    query: CredentialQuery,
) -> sqlx::Result<Vec<CredentialRecord>> {
    let sql = "select c.credential_id, c.position, c.label, c.prefix, c.created_at, c.created_by, c.expires_at,
                      c.ended_at, c.ended_by, u.last_used_at, c.kind,
                      c.partner_id, c.federation
               from (
                   select credential_id, position, label, prefix, created_at, created_by, expires_at,
                          case when expires_at <= ?2 then expires_at end as ended_at,
                          case when expires_at <= ?2 then ends_by end as ended_by, kind, partner_id, federation
                   from credential
                   where agent_id = ?1 and (expires_at is null or expires_at > ?3)
                   union all
                   select credential_id, position, label, prefix, created_at, created_by, ended_at,
                          ended_at, ended_by, kind, partner_id, federation
                   from ended_credential
                   where agent_id = ?1 and ended_at > ?3 and ?3 < ?2
               ) c
               left join credential_use u on u.agent_id = ?1 and u.credential_id = c.credential_id
               where c.position < ?4
               order by c.position desc
               limit ?5";
    let (now, ended_after, before, limit) = query.columns();
    let rows: Vec<CredentialColumns> = sqlx::query_as(sql)
        .bind(agent_id.as_str())
        .bind(now)
        .bind(ended_after)
        .bind(before)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    let record = |row| CredentialRecord::of_row(row).map_err(broken);
    rows.into_iter().map(record).collect()
}
