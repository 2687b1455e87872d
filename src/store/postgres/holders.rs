//! Which agents hold a scope or are on a plan, on PostgreSQL. The same functions in the same order as on
//! SQLite.

use async_trait::async_trait;
use sqlx::postgres::PgConnection;

use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::quota::PlanName;
use crate::domain::scope::Scope;
use crate::store::error::StoreError;
use crate::store::holders::{ReadHolders, ScopeHolders};

use super::errors::broken;
use super::lane::ask_again;
use super::open::PostgresStore;

#[async_trait]
impl ReadHolders for PostgresStore {
    async fn scope_counts(&self, org_id: Option<&OrgId>) -> Result<Vec<(Scope, i64)>, StoreError> {
        ask_again!(self.general, scope_counts, org_id).await
    }

    async fn scope_holders(
        &self,
        scope: &Scope,
        org_id: Option<&OrgId>,
        limit: i64,
    ) -> Result<ScopeHolders, StoreError> {
        ask_again!(self.general, scope_holders, scope, org_id, limit).await
    }

    async fn plan_counts(
        &self,
        org_id: Option<&OrgId>,
    ) -> Result<Vec<(PlanName, i64)>, StoreError> {
        ask_again!(self.general, plan_counts, org_id).await
    }
}

async fn scope_counts(
    conn: &mut PgConnection,
    org_id: Option<&OrgId>,
) -> sqlx::Result<Vec<(Scope, i64)>> {
    let sql = "select held.name, count(*) from agent, jsonb_array_elements_text(scopes::jsonb) as held (name)
               where status <> 'decommissioned' and ($1::text is null or agent.org_id = $1)
               group by held.name order by held.name collate \"C\"";
    let rows: Vec<(String, i64)> = sqlx::query_as(sql)
        .bind(org_id.map(OrgId::as_str))
        .fetch_all(conn)
        .await?;
    rows.into_iter()
        .map(|(name, count)| Ok((Scope::parse(&name).map_err(broken)?, count)))
        .collect()
}

/// A scope cannot contain a quotation mark or a backslash (RFC 6749 §3.3). So the JSON text of a list
/// contains the scope in quotation marks if and only if the list contains the scope.
async fn scope_holders(
    conn: &mut PgConnection,
    scope: &Scope,
    org_id: Option<&OrgId>,
    limit: i64,
) -> sqlx::Result<ScopeHolders> {
    let sql = "select count(*) from agent
               where status <> 'decommissioned' and strpos(scopes, '\"' || $1 || '\"') > 0
                 and ($2::text is null or agent.org_id = $2)";
    let count = sqlx::query_scalar(sql)
        .bind(scope.as_str())
        .bind(org_id.map(OrgId::as_str))
        .fetch_one(&mut *conn)
        .await?;
    let sql = "select agent_id from agent
               where status <> 'decommissioned' and strpos(scopes, '\"' || $1 || '\"') > 0
                 and ($2::text is null or agent.org_id = $2)
               order by agent_id limit $3";
    let first: Vec<String> = sqlx::query_scalar(sql)
        .bind(scope.as_str())
        .bind(org_id.map(OrgId::as_str))
        .bind(limit)
        .fetch_all(conn)
        .await?;
    let first: Result<_, _> = first.iter().map(|id| AgentId::parse(id)).collect();
    Ok(ScopeHolders {
        count,
        first: first.map_err(broken)?,
    })
}

async fn plan_counts(
    conn: &mut PgConnection,
    org_id: Option<&OrgId>,
) -> sqlx::Result<Vec<(PlanName, i64)>> {
    let sql = "select plan, count(*) from agent
               where status <> 'decommissioned' and ($1::text is null or agent.org_id = $1)
               group by plan order by plan";
    let rows: Vec<(String, i64)> = sqlx::query_as(sql)
        .bind(org_id.map(OrgId::as_str))
        .fetch_all(conn)
        .await?;
    rows.into_iter()
        .map(|(name, count)| Ok((PlanName::parse(&name).map_err(broken)?, count)))
        .collect()
}
