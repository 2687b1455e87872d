//! Organizations, on SQLite. The same functions in the same order as on PostgreSQL.

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

use crate::domain::id::AgentId;
use crate::domain::org::{Org, OrgId};
use crate::domain::scope::Scope;
use crate::store::error::StoreError;
use crate::store::holders::ScopeHolders;
use crate::store::org::{OrgColumns, ReadOrgs, org_row};
use crate::store::row::{Broken, json};

use super::errors::broken;
use super::lane::ask_again;
use super::open::SqliteStore;

#[async_trait]
impl ReadOrgs for SqliteStore {
    async fn org(&self, org_id: &OrgId) -> Result<Option<Org>, StoreError> {
        ask_again!(self.readers, org, org_id).await
    }

    async fn orgs(&self, after: Option<&OrgId>, limit: i64) -> Result<Vec<Org>, StoreError> {
        ask_again!(self.readers, orgs, after, limit).await
    }

    async fn holders_beyond(
        &self,
        org_id: &OrgId,
        scopes: &[Scope],
        limit: i64,
    ) -> Result<ScopeHolders, StoreError> {
        ask_again!(self.readers, holders_beyond, org_id, scopes, limit).await
    }

    async fn org_members(
        &self,
        org_id: &OrgId,
        limit: i64,
    ) -> Result<Vec<(AgentId, i64)>, StoreError> {
        ask_again!(self.readers, org_members, org_id, limit).await
    }

    async fn may_make_orgs(&self) -> Result<bool, StoreError> {
        ask_again!(self.readers, may_make_orgs).await
    }
}

async fn org(conn: &mut SqliteConnection, org_id: &OrgId) -> sqlx::Result<Option<Org>> {
    let sql = "select org_id, name, scopes, status, epoch, version, created_at, updated_at
               from org where org_id = ?1";
    let row: Option<OrgColumns> = sqlx::query_as(sql)
        .bind(org_id.as_str())
        .fetch_optional(conn)
        .await?;
    row.map(org_row).transpose().map_err(broken)
}

async fn orgs(
    conn: &mut SqliteConnection,
    after: Option<&OrgId>,
    limit: i64,
) -> sqlx::Result<Vec<Org>> {
    let sql = "select org_id, name, scopes, status, epoch, version, created_at, updated_at
               from org where org_id > ?1 order by org_id limit ?2";
    let rows: Vec<OrgColumns> = sqlx::query_as(sql)
        // The empty string sorts before every id.
        .bind(after.map_or("", OrgId::as_str))
        .bind(limit)
        .fetch_all(conn)
        .await?;
    let orgs: Result<_, _> = rows.into_iter().map(org_row).collect();
    orgs.map_err(broken)
}

pub(super) async fn holders_beyond(
    conn: &mut SqliteConnection,
    org_id: &OrgId,
    scopes: &[Scope],
    limit: i64,
) -> sqlx::Result<ScopeHolders> {
    let names: Vec<&str> = scopes.iter().map(Scope::as_str).collect();
    let sql = "select a.agent_id, count(*) over ()
               from agent a
               where a.org_id = ?1 and a.org_id <> 'default' and a.status <> 'decommissioned'
                 and exists (select 1 from json_each(a.scopes) as held
                                where held.value not in (select value from json_each(?2)))
               order by a.agent_id limit ?3";
    let rows: Vec<(String, i64)> = sqlx::query_as(sql)
        .bind(org_id.as_str())
        .bind(json(&names).map_err(sqlx::Error::Encode)?)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    let first: Result<_, _> = rows.iter().map(|(id, _)| AgentId::parse(id)).collect();
    Ok(ScopeHolders {
        count: rows.first().map_or(0, |(_, count)| *count),
        first: first.map_err(broken)?,
    })
}

async fn org_members(
    conn: &mut SqliteConnection,
    org_id: &OrgId,
    limit: i64,
) -> sqlx::Result<Vec<(AgentId, i64)>> {
    let sql = "select agent_id, longest_ttl
               from agent
               where org_id = ?1 and org_id <> 'default' and status <> 'decommissioned'
               order by agent_id limit ?2";
    let rows: Vec<(String, i64)> = sqlx::query_as(sql)
        .bind(org_id.as_str())
        .bind(limit)
        .fetch_all(conn)
        .await?;
    let member = |(id, longest_ttl): (String, i64)| Ok((AgentId::parse(&id)?, longest_ttl));
    let members: Result<_, Broken> = rows.into_iter().map(member).collect();
    members.map_err(broken)
}

async fn may_make_orgs(conn: &mut SqliteConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists (select 1 from store_default where name = 'organizations')")
        .fetch_one(conn)
        .await
}
