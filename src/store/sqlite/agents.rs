//! Reads about agents, on SQLite. The same functions in the same order as on PostgreSQL.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use uuid::Uuid;

use crate::domain::Invalid;
use crate::domain::agent::{Agent, AgentName, RedirectUri, UserId};
use crate::domain::agent_filter::AgentFilter;
use crate::domain::credential::{Credential, HashCost, PublicKeys, SecretHash, Tag};
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::org::OrgId;
use crate::domain::time::{Month, Timestamp};
use crate::store::agent_search::AgentRows;
use crate::store::credential::federation_of_row;
use crate::store::error::StoreError;
use crate::store::org::org_standing;
use crate::store::records::ReadAgents;
use crate::store::row;
use crate::store::token::{AgentRecord, MAX_COSTS};

use super::agent_columns::{agent_columns, agent_row};
use super::agent_search::agents_where;
use super::errors::broken;
use super::lane::ask_again;
use super::open::SqliteStore;

#[async_trait]
impl ReadAgents for SqliteStore {
    async fn agents(&self, after: Option<&AgentId>, limit: i64) -> Result<Vec<Agent>, StoreError> {
        ask_again!(self.readers, agents, after, limit).await
    }

    async fn agents_where(
        &self,
        filter: &AgentFilter,
        org_id: Option<&OrgId>,
        after: Option<&AgentId>,
        limit: i64,
    ) -> Result<AgentRows, StoreError> {
        ask_again!(self.readers, agents_where, filter, org_id, after, limit).await
    }

    async fn agents_named(&self, name: &AgentName, limit: i64) -> Result<Vec<Agent>, StoreError> {
        ask_again!(self.readers, agents_named, name, limit).await
    }

    async fn used(
        &self,
        agent_ids: &[AgentId],
        month: Month,
    ) -> Result<HashMap<AgentId, i64>, StoreError> {
        ask_again!(self.readers, used, agent_ids, month).await
    }

    async fn agent_orgs(
        &self,
        agent_ids: &[AgentId],
    ) -> Result<HashMap<AgentId, OrgId>, StoreError> {
        ask_again!(self.readers, agent_orgs, agent_ids).await
    }
}

pub(super) async fn agent(
    conn: &mut SqliteConnection,
    agent_id: &AgentId,
) -> sqlx::Result<Option<Arc<AgentRecord>>> {
    let rows = sqlx::query(concat!(
        "select ",
        agent_columns!(),
        ", c.credential_id, c.hash, c.tag, c.prefix, c.created_at as made_at, c.expires_at as ends_at, c.raw_basic,
         c.jwks, c.partner_id, c.federation, o.status as org_status, o.epoch as org_epoch
         from agent a
         left join org o on o.org_id = a.org_id and a.org_id <> 'default'
         left join credential c on c.agent_id = a.agent_id
         where a.agent_id = ?1
         order by c.position desc",
    ))
    .bind(agent_id.as_str())
    .fetch_all(conn)
    .await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let agent = agent_row(first)?;
    let org_status: Option<String> = first.try_get("org_status")?;
    let org = org_standing(org_status.as_deref(), first.try_get("org_epoch")?).map_err(broken)?;
    let credentials = rows
        .iter()
        .filter_map(|row| credential_row(row, &agent.agent_id).transpose());
    let credentials = credentials.collect::<sqlx::Result<_>>()?;
    Ok(Some(Arc::new(AgentRecord {
        agent,
        org,
        credentials,
    })))
}

/// All three conditions are always checked. If there is no such agent, placeholder lists are
/// checked instead of its lists, so that the response time does not tell which agents exist.
pub(super) async fn admits_code(
    conn: &mut SqliteConnection,
    agent_id: &AgentId,
    redirect_uri: &RedirectUri,
    user: Option<&UserId>,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let sql = "select exists (select 1 from json_each(coalesce(redirect_uris, '[\"https://a.example/cb\"]'))
                              where value = ?2)
                    + (?3 is null
                       or exists (select 1 from json_each(coalesce(user_ids, '[\"a\"]')) where value = ?3))
                    + coalesce(status = 'active' and ifnull(expires_at > ?4, true)
                               and not exists (select 1 from org o where o.org_id = agent.org_id and o.status <> 'active'),
                               false) = 3
               from (select ?1 as asked) left join agent on agent_id = asked";
    let asked = sqlx::query_scalar(sql)
        .bind(agent_id.as_str())
        .bind(redirect_uri.as_str());
    asked
        .bind(user.map(UserId::as_str))
        .bind(now.0)
        .fetch_one(conn)
        .await
}

/// Steps from one cost to the next. With an index, this takes as many steps as there are different
/// costs.
pub(super) async fn imported_costs(conn: &mut SqliteConnection) -> sqlx::Result<Arc<[HashCost]>> {
    let costs: Vec<String> = sqlx::query_scalar(
        "with recursive held (cost) as (
             select min(cost) from credential where tag is null
             union all
             select (select min(c.cost) from credential c where c.tag is null and c.cost > held.cost)
             from held where held.cost is not null
         )
         select cost from held where cost is not null limit ?1",
    )
    .bind(MAX_COSTS)
    .fetch_all(conn)
    .await?;
    Ok(costs
        .into_iter()
        .map(|cost| HashCost(cost.into()))
        .collect())
}

pub(super) async fn agents(
    conn: &mut SqliteConnection,
    after: Option<&AgentId>,
    limit: i64,
) -> sqlx::Result<Vec<Agent>> {
    let rows = sqlx::query(concat!(
        "select ",
        agent_columns!(),
        " from agent a
         where agent_id > ?1
         order by agent_id
         limit ?2",
    ))
    // The empty string sorts before every id.
    .bind(after.map_or("", AgentId::as_str))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(agent_row).collect()
}

pub(super) async fn agents_named(
    conn: &mut SqliteConnection,
    name: &AgentName,
    limit: i64,
) -> sqlx::Result<Vec<Agent>> {
    let rows = sqlx::query(concat!(
        "select ",
        agent_columns!(),
        " from agent a
         where name = ?1 and status <> 'decommissioned'
         order by agent_id
         limit ?2",
    ))
    .bind(name.as_str())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(agent_row).collect()
}

pub(super) async fn used(
    conn: &mut SqliteConnection,
    agent_ids: &[AgentId],
    month: Month,
) -> sqlx::Result<HashMap<AgentId, i64>> {
    let ids = row::list(agent_ids.iter().map(AgentId::as_str));
    let sql = "select agent_id, used from quota
               where agent_id in (select value from json_each(?1)) and month = ?2 and used > 0";
    let rows: Vec<(String, i64)> = sqlx::query_as(sql)
        .bind(ids)
        .bind(month.key())
        .fetch_all(conn)
        .await?;
    let used = |(id, used): (String, i64)| Ok((AgentId::parse(&id).map_err(broken)?, used));
    rows.into_iter().map(used).collect()
}

pub(super) async fn agent_orgs(
    conn: &mut SqliteConnection,
    agent_ids: &[AgentId],
) -> sqlx::Result<HashMap<AgentId, OrgId>> {
    let ids = row::list(agent_ids.iter().map(AgentId::as_str));
    let sql =
        "select agent_id, org_id from agent where agent_id in (select value from json_each(?1))";
    let rows: Vec<(String, String)> = sqlx::query_as(sql).bind(ids).fetch_all(conn).await?;
    let pair =
        |(id, org): (String, String)| Ok::<_, Invalid>((AgentId::parse(&id)?, OrgId::parse(&org)?));
    rows.into_iter()
        .map(|row| pair(row).map_err(broken))
        .collect()
}

fn credential_row(row: &SqliteRow, agent_id: &AgentId) -> sqlx::Result<Option<Credential>> {
    let Some(credential_id) = row.try_get::<Option<Uuid>, _>("credential_id")? else {
        return Ok(None);
    };
    Ok(Some(Credential {
        credential_id: CredentialId(credential_id),
        agent_id: agent_id.clone(),
        hash: SecretHash(row.try_get::<String, _>("hash")?.into()),
        tag: row.try_get::<Option<Box<str>>, _>("tag")?.map(Tag),
        prefix: row.try_get("prefix")?,
        created_at: Timestamp(row.try_get("made_at")?),
        expires_at: row.try_get::<Option<i64>, _>("ends_at")?.map(Timestamp),
        raw_basic: row.try_get("raw_basic")?,
        keys: row
            .try_get::<Option<String>, _>("jwks")?
            .map(|jwks| PublicKeys(jwks.into())),
        federation: federation_of_row(row.try_get("partner_id")?, row.try_get("federation")?)
            .map_err(broken)?,
    }))
}
