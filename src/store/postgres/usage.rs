//! Reads of usage, on PostgreSQL. The same functions in the same order as on SQLite.

use async_trait::async_trait;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::domain::id::AgentId;
use crate::domain::quota::PlanName;
use crate::domain::time::{Month, Timestamp};
use crate::domain::usage::Day;
use crate::store::error::StoreError;
use crate::store::usage::{
    AgentUsage, ExpiringAgent, ExpiringColumns, ExpiringCredential, QuotaUse, ReadUsage,
};

use super::errors::broken;
use super::lane::ask_again;
use super::open::PostgresStore;

#[async_trait]
impl ReadUsage for PostgresStore {
    async fn agent_usage(
        &self,
        agent_id: &AgentId,
        from: Day,
        to: Day,
    ) -> Result<AgentUsage, StoreError> {
        ask_again!(self.general, agent_usage, agent_id, from, to).await
    }

    async fn quota_uses(
        &self,
        agent_ids: &[AgentId],
        month: Month,
    ) -> Result<Vec<QuotaUse>, StoreError> {
        ask_again!(self.general, quota_uses, agent_ids, month).await
    }

    async fn agents_near_quota(
        &self,
        month: Month,
        from: &[(PlanName, i64)],
    ) -> Result<i64, StoreError> {
        ask_again!(self.general, agents_near_quota, month, from).await
    }

    async fn expiring_credentials(
        &self,
        (after, until): (Timestamp, Timestamp),
        days: i64,
        limit: i64,
    ) -> Result<Vec<ExpiringCredential>, StoreError> {
        ask_again!(
            self.general,
            expiring_credentials,
            (after, until),
            days,
            limit
        )
        .await
    }

    async fn expiring_agents(
        &self,
        (after, until): (Timestamp, Timestamp),
        days: i64,
        limit: i64,
    ) -> Result<Vec<ExpiringAgent>, StoreError> {
        ask_again!(self.general, expiring_agents, (after, until), days, limit).await
    }
}

async fn agent_usage(
    conn: &mut PgConnection,
    agent_id: &AgentId,
    from: Day,
    to: Day,
) -> sqlx::Result<AgentUsage> {
    let sql = "select d.day, d.issued
               from generate_series($2::bigint, $3::bigint) as s (day)
               join usage_day d on d.day = s.day and d.agent_id = $1
               order by d.day";
    let issued: Vec<(i64, i64)> = sqlx::query_as(sql)
        .bind(agent_id.as_str())
        .bind(from.0)
        .bind(to.0)
        .fetch_all(&mut *conn)
        .await?;
    let sql = "select d.day, d.reason, d.refused
               from generate_series($2::bigint, $3::bigint) as s (day)
               join refused_day d on d.day = s.day and d.agent_id = $1
               order by d.day, d.reason";
    let refused: Vec<(i64, String, i64)> = sqlx::query_as(sql)
        .bind(agent_id.as_str())
        .bind(from.0)
        .bind(to.0)
        .fetch_all(&mut *conn)
        .await?;
    let sql = "select scope, last_used_at from scope_use where agent_id = $1 order by scope";
    let scopes: Vec<(String, i64)> = sqlx::query_as(sql)
        .bind(agent_id.as_str())
        .fetch_all(&mut *conn)
        .await?;
    let sql = "select credential_id, last_used_at from credential_use where agent_id = $1";
    let credentials: Vec<(Uuid, i64)> = sqlx::query_as(sql)
        .bind(agent_id.as_str())
        .fetch_all(conn)
        .await?;
    Ok(AgentUsage::of_rows(issued, refused, scopes, credentials))
}

async fn quota_uses(
    conn: &mut PgConnection,
    agent_ids: &[AgentId],
    month: Month,
) -> sqlx::Result<Vec<QuotaUse>> {
    let ids: Vec<&str> = agent_ids.iter().map(AgentId::as_str).collect();
    let sql = "select a.agent_id, a.plan, q.used
               from quota q
               join agent a on a.agent_id = q.agent_id
               where q.agent_id = any($1) and q.month = $2";
    let rows: Vec<(String, String, i64)> = sqlx::query_as(sql)
        .bind(&ids)
        .bind(month.key())
        .fetch_all(conn)
        .await?;
    rows.into_iter()
        .map(|row| QuotaUse::of_row(row).map_err(broken))
        .collect()
}

async fn agents_near_quota(
    conn: &mut PgConnection,
    month: Month,
    from: &[(PlanName, i64)],
) -> sqlx::Result<i64> {
    let (plans, least): (Vec<&str>, Vec<i64>) = from
        .iter()
        .map(|(plan, least)| (plan.as_str(), *least))
        .unzip();
    let sql = "select count(distinct q.agent_id)
               from quota_notice n
               join quota q on q.agent_id = n.agent_id and q.month = n.month
               join agent a on a.agent_id = n.agent_id and a.status <> 'decommissioned'
               join unnest($2::text[], $3::bigint[]) as p (plan, least) on p.plan = a.plan
               where n.month = $1 and q.used >= p.least";
    sqlx::query_scalar(sql)
        .bind(month.key())
        .bind(&plans)
        .bind(&least)
        .fetch_one(conn)
        .await
}

/// Credentials without a note of this kind for their expiry, those that expire first.
async fn expiring_credentials(
    conn: &mut PgConnection,
    (after, until): (Timestamp, Timestamp),
    days: i64,
    limit: i64,
) -> sqlx::Result<Vec<ExpiringCredential>> {
    let sql = "select c.agent_id, c.credential_id, c.expires_at, c.kind, c.partner_id, c.federation
               from credential c
               join agent a on a.agent_id = c.agent_id and a.status <> 'decommissioned'
               where c.expires_at > $1 and c.expires_at <= $2
                 and not exists (
                     select from expiry_notice n
                     where n.credential_id = c.credential_id and n.days = $3
                       and n.expires_at = c.expires_at)
               order by c.expires_at, c.credential_id
               limit $4";
    let rows: Vec<ExpiringColumns> = sqlx::query_as(sql)
        .bind(after.0)
        .bind(until.0)
        .bind(days)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.into_iter()
        .map(|row| ExpiringCredential::of_row(row).map_err(broken))
        .collect()
}

/// Agents without a note of this kind for their expiry, those that expire first.
async fn expiring_agents(
    conn: &mut PgConnection,
    (after, until): (Timestamp, Timestamp),
    days: i64,
    limit: i64,
) -> sqlx::Result<Vec<ExpiringAgent>> {
    let sql = "select a.agent_id, a.expires_at
               from agent a
               where a.expires_at > $1 and a.expires_at <= $2 and a.status <> 'decommissioned'
                 and not exists (
                     select from agent_expiry_notice n
                     where n.agent_id = a.agent_id and n.days = $3 and n.expires_at = a.expires_at)
               order by a.expires_at, a.agent_id
               limit $4";
    let rows: Vec<(String, i64)> = sqlx::query_as(sql)
        .bind(after.0)
        .bind(until.0)
        .bind(days)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.into_iter()
        .map(|row| ExpiringAgent::of_row(row).map_err(broken))
        .collect()
}
