//! What can be asked, on PostgreSQL. The same functions in the same order as on SQLite.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use uuid::Uuid;

use crate::domain::agent::{Agent, AgentStatus, Epoch, RedirectUri, UserId};
use crate::domain::catalogue::{Catalogue, CatalogueEntry};
use crate::domain::credential::{Credential, HashCost, SecretHash, Tag};
use crate::domain::id::{AgentId, CredentialId, Jti};
use crate::domain::scope::Scope;
use crate::domain::time::{Month, Timestamp};

use super::super::row::{self, AgentRow, Broken, KeyRow, RevocationRow, drawn_at};
use super::super::{
    AgentRecord, IssuedToken, KeyRecord, MAX_COSTS, Revocations, Sealed, Standing, StoreKey, TokenRef,
};

/// The versions of all migrations that were applied; `None` before the first.
pub async fn applied_migrations(conn: &mut PgConnection) -> sqlx::Result<Option<Vec<i64>>> {
    let table: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
        .fetch_one(&mut *conn)
        .await?;
    if !table {
        return Ok(None);
    }
    let sql = "select version from _sqlx_migrations where success";
    sqlx::query_scalar(sql).fetch_all(&mut *conn).await.map(Some)
}

/// In which encoding the database keeps text.
pub async fn server_encoding(conn: &mut PgConnection) -> sqlx::Result<String> {
    sqlx::query_scalar("select current_setting('server_encoding')").fetch_one(conn).await
}

/// The encoding, and how many connections the database and this role may have, if fewer than any.
pub async fn terms(conn: &mut PgConnection) -> sqlx::Result<(String, Option<i32>)> {
    let sql = "select current_setting('server_encoding'), least(nullif(r.rolconnlimit, -1), nullif(d.datconnlimit, -1))
               from pg_database d
               left join pg_roles r on r.rolname = current_user and not r.rolsuper
               where d.datname = current_database()";
    sqlx::query_as(sql).fetch_one(conn).await
}

/// Who has held tables of this schema in an open transaction for a second or longer, each in words. What
/// a role may not see of another's session is left out.
pub async fn table_holders(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let sql = "select concat('pid ', a.pid, ' (', concat_ws(', ',
                   coalesce(nullif(a.application_name, ''), 'without a name'),
                   'user ' || a.usename,
                   'since ' || to_char(a.xact_start at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
               ), ') holds ', string_agg(distinct c.relname, ', '))
               from pg_locks l
               join pg_class c on c.oid = l.relation and c.relkind = 'r'
               join pg_stat_activity a on a.pid = l.pid
               where l.granted and l.locktype = 'relation' and l.pid <> pg_backend_pid()
                 and a.datname = current_database() and pg_table_is_visible(c.oid)
                 and coalesce(a.xact_start, 'epoch') <= pg_catalog.clock_timestamp() - interval '1 second'
               group by a.pid, a.application_name, a.usename, a.xact_start
               order by a.xact_start";
    sqlx::query_scalar(sql).fetch_all(conn).await
}

/// Which of these tokens are revoked by themselves.
pub async fn revoked(conn: &mut PgConnection, jtis: &[Jti]) -> sqlx::Result<HashSet<Jti>> {
    let jtis: Vec<Uuid> = jtis.iter().map(|jti| jti.0).collect();
    let sql = "select jti from revoked_token where jti = any($1)";
    let rows: Vec<Uuid> = sqlx::query_scalar(sql).bind(jtis).fetch_all(conn).await?;
    Ok(rows.into_iter().map(Jti).collect())
}

pub async fn agent(conn: &mut PgConnection, agent_id: &AgentId) -> sqlx::Result<Option<Arc<AgentRecord>>> {
    let rows = sqlx::query(
        "select a.agent_id, a.name, a.status, a.scopes, a.audiences, a.redirect_uris, a.user_ids, a.ttl,
                a.plan, a.epoch, a.version, a.created_at, a.updated_at,
                c.credential_id, c.hash, c.tag, c.prefix, c.created_at as made_at, c.expires_at,
                c.raw_basic
         from agent a
         left join credential c on c.agent_id = a.agent_id
         where a.agent_id = $1
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
    conn: &mut PgConnection,
    agent_id: &AgentId,
    redirect_uri: &RedirectUri,
    user: Option<&UserId>,
) -> sqlx::Result<bool> {
    let sql = "select (coalesce(redirect_uris, '[\"https://a.example/cb\"]')::jsonb ? $2)::int
                    + ($3::text is null or coalesce(user_ids, '[\"a\"]')::jsonb ? $3)::int
                    + coalesce(status = 'active', false)::int = 3
               from (select $1 as asked) as question left join agent on agent_id = asked";
    let asked = sqlx::query_scalar(sql).bind(agent_id.as_str()).bind(redirect_uri.as_str());
    asked.bind(user.map(UserId::as_str)).fetch_one(conn).await
}

pub async fn agents(
    conn: &mut PgConnection,
    after: Option<&AgentId>,
    limit: i64,
) -> sqlx::Result<Vec<Agent>> {
    let rows = sqlx::query(
        "select agent_id, name, status, scopes, audiences, redirect_uris, user_ids, ttl, plan, epoch,
                version, created_at, updated_at
         from agent
         where agent_id > $1
         order by agent_id
         limit $2",
    )
    // The empty string lies before every id.
    .bind(after.map_or("", AgentId::as_str))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(agent_row).collect()
}

pub async fn used(
    conn: &mut PgConnection,
    agent_ids: &[AgentId],
    month: Month,
) -> sqlx::Result<HashMap<AgentId, i64>> {
    let ids: Vec<&str> = agent_ids.iter().map(AgentId::as_str).collect();
    let sql = "select agent_id, used from quota where agent_id = any($1) and month = $2 and used > 0";
    let rows: Vec<(String, i64)> = sqlx::query_as(sql).bind(&ids).bind(month.key()).fetch_all(conn).await?;
    let used = |(id, used): (String, i64)| Ok((AgentId::parse(&id).map_err(broken)?, used));
    rows.into_iter().map(used).collect()
}

pub async fn catalogue(conn: &mut PgConnection) -> sqlx::Result<Arc<Catalogue>> {
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
pub async fn imported_costs(conn: &mut PgConnection) -> sqlx::Result<Arc<[HashCost]>> {
    let costs: Vec<String> = sqlx::query_scalar(
        "with recursive held (cost) as (
             (select credential_cost(hash) from credential where tag is null order by 1 limit 1)
             union all
             select (
                 select credential_cost(c.hash) from credential c
                 where c.tag is null and credential_cost(c.hash) > held.cost
                 order by 1 limit 1
             )
             from held where held.cost is not null
         )
         select cost from held where cost is not null limit $1",
    )
    .bind(MAX_COSTS)
    .fetch_all(conn)
    .await?;
    Ok(costs.into_iter().map(|cost| HashCost(cost.into())).collect())
}

pub async fn standing(conn: &mut PgConnection, tokens: &[TokenRef]) -> sqlx::Result<Vec<Standing>> {
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    let jtis: Vec<Uuid> = tokens.iter().map(|t| t.jti.0).collect();
    let ids: Vec<&str> = tokens.iter().map(|t| t.agent_id.as_str()).collect();
    let rows: Vec<(bool, Option<String>, Option<i64>)> = sqlx::query_as(
        "select r.jti is not null, a.status, a.epoch
         from unnest($1::uuid[], $2::text[]) with ordinality as t (jti, agent_id, place)
         left join revoked_token r on r.jti = t.jti
         left join agent a on a.agent_id = t.agent_id
         order by t.place",
    )
    .bind(&jtis)
    .bind(&ids)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(standing_row).collect()
}

pub async fn revocations(
    conn: &mut PgConnection,
    since: i64,
    now: Timestamp,
    kills_after: Timestamp,
) -> sqlx::Result<Revocations> {
    let rows = sqlx::query(
        "select version, null::uuid as jti, null::text as agent_id, 0::bigint as at, 0::bigint as epoch,
                0::bigint as longest_ttl
         from revision
         where name = 'revocation'
         union all
         select version, jti, null, expires_at, 0, 0
         from revoked_token
         where version > $1 and expires_at > $2
         union all
         select killed_version, null, agent_id, killed_at, epoch, longest_ttl
         from agent
         where killed_version > $1 and killed_at > $3
         order by version, jti, agent_id",
    )
    .bind(since)
    .bind(now.0)
    .bind(kills_after.0)
    .fetch_all(conn)
    .await?;
    row::revocations(rows.iter().map(|row| revocation_row(row).map_err(Broken::from))).map_err(broken)
}

/// How long before its id was drawn a token may have been issued, by a database whose clock is
/// behind, and how long after, in seconds.
const DRAWN_BEFORE: i64 = 900;
/// See [`DRAWN_BEFORE`].
const DRAWN_AFTER: i64 = 300;

pub async fn issued_token(conn: &mut PgConnection, jti: Jti) -> sqlx::Result<Option<IssuedToken>> {
    let Some(drawn) = drawn_at(jti) else { return Ok(None) };
    let row: Option<(Uuid, String, i64)> = sqlx::query_as(
        "select jti, agent_id, expires_at
         from audit_event
         where at between $1 and $2 and kind = 'token.issued' and jti = $3
         limit 1",
    )
    .bind(drawn.0.saturating_sub(DRAWN_BEFORE))
    .bind(drawn.0.saturating_add(DRAWN_AFTER))
    .bind(jti.0)
    .fetch_optional(conn)
    .await?;
    row.map(row::issued).transpose().map_err(broken)
}

pub async fn keys(conn: &mut PgConnection) -> sqlx::Result<Vec<KeyRecord>> {
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

pub async fn store_keys(conn: &mut PgConnection) -> sqlx::Result<Vec<StoreKey>> {
    let sql = "select purpose, key_id, sealed from store_key order by purpose, key_id";
    let rows: Vec<(String, String, Vec<u8>)> = sqlx::query_as(sql).fetch_all(conn).await?;
    let key = |(purpose, key_id, sealed)| StoreKey { purpose, key_id, sealed: Sealed(sealed) };
    Ok(rows.into_iter().map(key).collect())
}

pub async fn ping(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("select 1").execute(conn).await.map(drop)
}

pub async fn clock(conn: &mut PgConnection) -> sqlx::Result<i64> {
    let sql = "select floor(extract(epoch from clock_timestamp()) * 1000)::bigint";
    sqlx::query_scalar(sql).fetch_one(conn).await
}

fn agent_row(row: &PgRow) -> sqlx::Result<Agent> {
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

fn credential_row(row: &PgRow, agent_id: &AgentId) -> sqlx::Result<Option<Credential>> {
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

fn entry_row(row: &PgRow) -> sqlx::Result<Option<CatalogueEntry>> {
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

fn revocation_row(row: &PgRow) -> sqlx::Result<RevocationRow> {
    Ok(RevocationRow {
        version: row.try_get("version")?,
        jti: row.try_get("jti")?,
        agent_id: row.try_get("agent_id")?,
        at: row.try_get("at")?,
        epoch: row.try_get("epoch")?,
        longest_ttl: row.try_get("longest_ttl")?,
    })
}

fn key_row(row: &PgRow) -> sqlx::Result<KeyRecord> {
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
