//! What can be asked, on SQLite. The same functions in the same order as on PostgreSQL.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use uuid::Uuid;

use crate::domain::agent::{Agent, AgentStatus, Epoch, RedirectUri, UserId};
use crate::domain::catalogue::{Catalogue, CatalogueEntry};
use crate::domain::credential::{Credential, HashCost, SecretHash, Tag};
use crate::domain::id::{AgentId, CredentialId, Jti};
use crate::domain::scope::Scope;
use crate::domain::time::{Month, Timestamp};

use super::super::row::{self, AgentRow, Broken, KeyRow, RevocationRow, drawn_at};
use super::super::{
    AgentRecord, IssuedToken, KeyRecord, MAX_COSTS, Revocations, Sealed, Standing, StoreError, StoreKey,
    TokenRef,
};
use super::lane::{Readers, ask};

/// Which of these tokens are revoked by themselves.
pub async fn revoked(conn: &mut SqliteConnection, jtis: &[Jti]) -> sqlx::Result<HashSet<Jti>> {
    let jtis: Vec<String> = jtis.iter().map(|jti| jti.0.simple().to_string()).collect();
    let sql = "select jti from revoked_token where jti in (select unhex(value) from json_each(?1))";
    let rows: Vec<Uuid> =
        sqlx::query_scalar(sql).bind(row::json(&jtis).map_err(sqlx::Error::Encode)?).fetch_all(conn).await?;
    Ok(rows.into_iter().map(Jti).collect())
}

pub async fn agent(
    conn: &mut SqliteConnection,
    agent_id: &AgentId,
) -> sqlx::Result<Option<Arc<AgentRecord>>> {
    let rows = sqlx::query(
        "select a.agent_id, a.name, a.status, a.scopes, a.audiences, a.redirect_uris, a.user_ids, a.ttl,
                a.plan, a.epoch, a.version, a.created_at, a.updated_at,
                c.credential_id, c.hash, c.tag, c.prefix, c.created_at as made_at, c.expires_at,
                c.raw_basic
         from agent a
         left join credential c on c.agent_id = a.agent_id
         where a.agent_id = ?1
         order by c.position desc",
    )
    .bind(agent_id.as_str())
    .fetch_all(conn)
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let agent = agent_row(first)?;
    let credentials = rows.iter().filter_map(|row| credential_row(row, &agent.agent_id).transpose());
    let credentials = credentials.collect::<sqlx::Result<_>>()?;
    Ok(Some(Arc::new(AgentRecord { agent, credentials })))
}

/// All three questions are put whatever the others' answers, to lists that stand in when there is no such
/// agent: time is not to tell who there is.
pub async fn admits_code(
    conn: &mut SqliteConnection,
    agent_id: &AgentId,
    redirect_uri: &RedirectUri,
    user: Option<&UserId>,
) -> sqlx::Result<bool> {
    let sql = "select exists (select 1 from json_each(coalesce(redirect_uris, '[\"https://a.example/cb\"]'))
                              where value = ?2)
                    + (?3 is null
                       or exists (select 1 from json_each(coalesce(user_ids, '[\"a\"]')) where value = ?3))
                    + coalesce(status = 'active', false) = 3
               from (select ?1 as asked) left join agent on agent_id = asked";
    let asked = sqlx::query_scalar(sql).bind(agent_id.as_str()).bind(redirect_uri.as_str());
    asked.bind(user.map(UserId::as_str)).fetch_one(conn).await
}

pub async fn agents(
    conn: &mut SqliteConnection,
    after: Option<&AgentId>,
    limit: i64,
) -> sqlx::Result<Vec<Agent>> {
    let rows = sqlx::query(
        "select agent_id, name, status, scopes, audiences, redirect_uris, user_ids, ttl, plan, epoch,
                version, created_at, updated_at
         from agent
         where agent_id > ?1
         order by agent_id
         limit ?2",
    )
    // The empty string lies before every id.
    .bind(after.map_or("", AgentId::as_str))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(agent_row).collect()
}

pub async fn used(
    conn: &mut SqliteConnection,
    agent_ids: &[AgentId],
    month: Month,
) -> sqlx::Result<HashMap<AgentId, i64>> {
    let ids = row::list(agent_ids.iter().map(AgentId::as_str));
    let sql = "select agent_id, used from quota
               where agent_id in (select value from json_each(?1)) and month = ?2 and used > 0";
    let rows: Vec<(String, i64)> = sqlx::query_as(sql).bind(ids).bind(month.key()).fetch_all(conn).await?;
    let used = |(id, used): (String, i64)| Ok((AgentId::parse(&id).map_err(broken)?, used));
    rows.into_iter().map(used).collect()
}

pub async fn catalogue(conn: &mut SqliteConnection) -> sqlx::Result<Arc<Catalogue>> {
    let rows = sqlx::query(
        "select r.version, s.name, s.description, s.high_risk
         from revision r
         left join scope s on true
         where r.name = 'catalogue'
         order by s.position",
    )
    .fetch_all(conn)
    .await?;
    let version = rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get("version")?;
    let entries = rows.iter().filter_map(|row| entry_row(row).transpose());
    let entries = entries.collect::<sqlx::Result<_>>()?;
    Ok(Arc::new(Catalogue::new(version, entries)))
}

/// From one cost to the next: an index makes it as many steps as there are different ones.
pub async fn imported_costs(conn: &mut SqliteConnection) -> sqlx::Result<Arc<[HashCost]>> {
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
    Ok(costs.into_iter().map(|cost| HashCost(cost.into())).collect())
}

pub async fn standing(conn: &mut SqliteConnection, tokens: &[TokenRef]) -> sqlx::Result<Vec<Standing>> {
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    let tokens: Vec<(String, &str)> =
        tokens.iter().map(|t| (t.jti.0.simple().to_string(), t.agent_id.as_str())).collect();
    let rows: Vec<(bool, Option<String>, Option<i64>)> = sqlx::query_as(
        "select r.jti is not null, a.status, a.epoch
         from json_each(?1) t
         left join revoked_token r on r.jti = unhex(t.value ->> 0)
         left join agent a on a.agent_id = t.value ->> 1
         order by t.key",
    )
    .bind(row::json(&tokens).map_err(sqlx::Error::Encode)?)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(standing_row).collect()
}

pub async fn revocations(
    conn: &mut SqliteConnection,
    since: i64,
    now: Timestamp,
    kills_after: Timestamp,
) -> sqlx::Result<Revocations> {
    let rows = sqlx::query(
        "select version, null as jti, null as agent_id, 0 as at, 0 as epoch, 0 as longest_ttl
         from revision
         where name = 'revocation'
         union all
         select version, jti, null, expires_at, 0, 0
         from revoked_token
         where version > ?1 and expires_at > ?2
         union all
         select killed_version, null, agent_id, killed_at, epoch, longest_ttl
         from agent
         where killed_version > ?1 and killed_at > ?3
         order by version, jti, agent_id",
    )
    .bind(since)
    .bind(now.0)
    .bind(kills_after.0)
    .fetch_all(conn)
    .await?;
    row::revocations(rows.iter().map(|row| revocation_row(row).map_err(Broken::from))).map_err(broken)
}

/// How many events one statement looks through.
const CHUNK: i64 = 10_000;

/// How far out of order events may lie, in seconds: a clock may have been set back a little.
pub const DISORDER: i64 = 3_600;

/// The oldest of the [`CHUNK`] events before `id`, and its time; `None` when there are fewer.
pub async fn floor(conn: &mut SqliteConnection, id: i64) -> sqlx::Result<Option<(i64, i64)>> {
    let sql = "select id, at from audit_event where id < ?1 order by id desc limit 1 offset ?2";
    sqlx::query_as(sql).bind(id).bind(CHUNK - 1).fetch_optional(conn).await
}

/// The token of that id in one stretch of events; see [`issued_token`].
async fn issued_between(
    conn: &mut SqliteConnection,
    jti: Jti,
    (from, until): (i64, i64),
) -> sqlx::Result<Option<IssuedToken>> {
    let row: Option<(Uuid, String, i64)> = sqlx::query_as(
        "select jti, agent_id, expires_at
         from audit_event
         where id >= ?1 and id < ?2 and kind = 'token.issued' and jti = ?3
         limit 1",
    )
    .bind(from)
    .bind(until)
    .bind(jti.0)
    .fetch_optional(conn)
    .await?;
    row.map(row::issued).transpose().map_err(broken)
}

/// Looks back chunk by chunk, each with the patience of a call of its own: the id tells when it was drawn.
pub async fn issued_token(lane: &Readers, jti: Jti) -> Result<Option<IssuedToken>, StoreError> {
    let Some(drawn) = drawn_at(jti) else { return Ok(None) };
    let mut until = i64::MAX;
    loop {
        let floor = ask!(lane, floor, until).await?;
        let stretch = (floor.map_or(i64::MIN, |(id, _)| id), until);
        let found = ask!(lane, issued_between, jti, stretch).await?;
        match floor {
            Some((id, at)) if found.is_none() && at >= drawn.0.saturating_sub(DISORDER) => until = id,
            _ => return Ok(found),
        }
    }
}

pub async fn keys(conn: &mut SqliteConnection) -> sqlx::Result<Vec<KeyRecord>> {
    let rows = sqlx::query(
        "select kid, public_jwk, private_key, state, announced_at, signs_from, signs_until, published_until,
                seal
         from signing_key
         order by announced_at, kid",
    )
    .fetch_all(conn)
    .await?;
    rows.iter().map(key_row).collect()
}

pub async fn store_keys(conn: &mut SqliteConnection) -> sqlx::Result<Vec<StoreKey>> {
    let sql = "select purpose, key_id, sealed from store_key order by purpose, key_id";
    let rows: Vec<(String, String, Vec<u8>)> = sqlx::query_as(sql).fetch_all(conn).await?;
    let key = |(purpose, key_id, sealed)| StoreKey { purpose, key_id, sealed: Sealed(sealed) };
    Ok(rows.into_iter().map(key).collect())
}

pub async fn ping(conn: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::query("select 1").execute(conn).await.map(drop)
}

fn agent_row(row: &SqliteRow) -> sqlx::Result<Agent> {
    let row = AgentRow {
        agent_id: row.try_get("agent_id")?,
        name: row.try_get("name")?,
        status: row.try_get("status")?,
        scopes: row.try_get("scopes")?,
        audiences: row.try_get("audiences")?,
        redirect_uris: row.try_get("redirect_uris")?,
        user_ids: row.try_get("user_ids")?,
        ttl: row.try_get("ttl")?,
        plan: row.try_get("plan")?,
        epoch: row.try_get("epoch")?,
        version: row.try_get("version")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    };
    row.parse().map_err(broken)
}

fn credential_row(row: &SqliteRow, agent_id: &AgentId) -> sqlx::Result<Option<Credential>> {
    let Some(credential_id) = row.try_get::<Option<Uuid>, _>("credential_id")? else { return Ok(None) };
    Ok(Some(Credential {
        credential_id: CredentialId(credential_id),
        agent_id: agent_id.clone(),
        hash: SecretHash(row.try_get("hash")?),
        tag: row.try_get::<Option<Box<str>>, _>("tag")?.map(Tag),
        prefix: row.try_get("prefix")?,
        created_at: Timestamp(row.try_get("made_at")?),
        expires_at: row.try_get::<Option<i64>, _>("expires_at")?.map(Timestamp),
        raw_basic: row.try_get("raw_basic")?,
    }))
}

fn entry_row(row: &SqliteRow) -> sqlx::Result<Option<CatalogueEntry>> {
    let Some(name) = row.try_get::<Option<String>, _>("name")? else { return Ok(None) };
    Ok(Some(CatalogueEntry {
        scope: Scope::parse(&name).map_err(broken)?,
        description: row.try_get("description")?,
        high_risk: row.try_get("high_risk")?,
    }))
}

fn standing_row((revoked, status, epoch): (bool, Option<String>, Option<i64>)) -> sqlx::Result<Standing> {
    let status = status.as_deref().map(AgentStatus::parse).transpose().map_err(broken)?;
    Ok(Standing { revoked, agent: status.zip(epoch.map(Epoch)) })
}

fn revocation_row(row: &SqliteRow) -> sqlx::Result<RevocationRow> {
    Ok(RevocationRow {
        version: row.try_get("version")?,
        jti: row.try_get("jti")?,
        agent_id: row.try_get("agent_id")?,
        at: row.try_get("at")?,
        epoch: row.try_get("epoch")?,
        longest_ttl: row.try_get("longest_ttl")?,
    })
}

fn key_row(row: &SqliteRow) -> sqlx::Result<KeyRecord> {
    let row = KeyRow {
        kid: row.try_get("kid")?,
        public_jwk: row.try_get("public_jwk")?,
        private_key: row.try_get("private_key")?,
        state: row.try_get("state")?,
        announced_at: row.try_get("announced_at")?,
        signs_from: row.try_get("signs_from")?,
        signs_until: row.try_get("signs_until")?,
        published_until: row.try_get("published_until")?,
        seal: row.try_get("seal")?,
    };
    row.parse().map_err(broken)
}

fn broken(error: impl Into<Broken>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
