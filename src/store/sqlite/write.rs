//! What can be changed, on SQLite. The same functions in the same order as on PostgreSQL.
//!
//! Each write is a unit of its own: a conflict is read from what a statement found or changed and
//! never thrown, so that one write that cannot be done leaves its neighbours alone.

use sqlx::sqlite::SqliteConnection;

use crate::domain::agent::AgentStatus;
use crate::domain::catalogue::CatalogueEntry;
use crate::domain::event::Event;
use crate::domain::id::{AgentId, Jti, Kid};
use crate::domain::scope::Scope;
use crate::domain::time::{Moment, Timestamp};

use super::super::{
    Change, KeyRecord, KeyState, LiveTokens, Outcome, REVOCATION_GRACE, Retires, SPENT_GRACE, StoreError,
    StoreKey, Write,
};
use super::agents::{
    create_agent, kill_agent, reactivate_agent, rehash_credential, rotate_secret, update_agent,
};
use super::bounded;
use super::lane::{Held, Writer};

/// Applies the writes in one transaction. What fails at its commit is unknown.
pub async fn commit(lane: &Writer, writes: &[Write]) -> Result<Vec<Outcome>, StoreError> {
    if writes.is_empty() {
        return Ok(Vec::new());
    }
    bounded(async {
        let (mut held, outcomes) = stage(lane, writes).await?;
        sqlx::raw_sql("commit").execute(&mut held.conn).await?;
        held.keep();
        Ok(outcomes)
    })
    .await
}

/// Runs all writes in an open transaction.
async fn stage<'a>(lane: &'a Writer, writes: &[Write]) -> sqlx::Result<(Held<'a>, Vec<Outcome>)> {
    let mut held = lane.take().await?;
    sqlx::raw_sql("begin immediate").execute(&mut held.conn).await?;
    let outcomes = apply_all(&mut held.conn, writes).await?;
    Ok((held, outcomes))
}

/// Runs all writes in the transaction that is open.
pub async fn apply_all(conn: &mut SqliteConnection, writes: &[Write]) -> sqlx::Result<Vec<Outcome>> {
    let kills = writes.iter().any(|write| write.change.kills());
    let latest = writes.iter().map(|write| write.at).max().unwrap_or(Moment(0));
    let before = if kills { revocation_version(conn, latest).await? } else { 0 };
    let mut version = before;
    let mut outcomes = Vec::with_capacity(writes.len());
    for write in writes {
        let outcome = apply(conn, write, version + 1).await?;
        if outcome == Outcome::Applied {
            record(conn, &write.event()).await?;
            version += i64::from(write.change.kills());
        }
        outcomes.push(outcome);
    }
    if version > before {
        set_revocation_version(conn, version).await?;
    }
    Ok(outcomes)
}

/// The version of the revocation list. The transaction holds the write lock from its beginning, so
/// versions become visible in their order. The next one is no less than the unix milliseconds of `at`, so that
/// none is given twice, after a restore either.
async fn revocation_version(conn: &mut SqliteConnection, at: Moment) -> sqlx::Result<i64> {
    let sql = "select max(version, ?1 - 1) from revision where name = 'revocation'";
    sqlx::query_scalar(sql).bind(at.0).fetch_one(conn).await
}

async fn set_revocation_version(conn: &mut SqliteConnection, version: i64) -> sqlx::Result<()> {
    let sql = "update revision set version = ?1 where name = 'revocation'";
    sqlx::query(sql).bind(version).execute(conn).await.map(drop)
}

/// One change; `killed` is the version of the revocation list if this change raises it.
async fn apply(conn: &mut SqliteConnection, write: &Write, killed: i64) -> sqlx::Result<Outcome> {
    use AgentStatus::{Active, Decommissioned, Suspended};
    let at = write.at;
    match &write.change {
        Change::CreateAgent { agent, credential } => create_agent(conn, agent, credential).await,
        Change::UpdateAgent { agent_id, expected_version, profile, tokens } => {
            let outcome = update_agent(conn, at, agent_id, *expected_version, profile).await?;
            match (outcome, tokens) {
                (Outcome::Applied, LiveTokens::Kill) => kill_agent(conn, at, agent_id, None, killed).await,
                _ => Ok(outcome),
            }
        }
        Change::SuspendAgent(id) => kill_agent(conn, at, id, Some(Suspended), killed).await,
        Change::ReactivateAgent(id) => reactivate_agent(conn, at, id, Active).await,
        Change::DecommissionAgent(id) => kill_agent(conn, at, id, Some(Decommissioned), killed).await,
        Change::RevokeAgentTokens(id) => kill_agent(conn, at, id, None, killed).await,
        Change::RotateSecret { credential, overlap, max_live } => {
            rotate_secret(conn, at, credential, *overlap, *max_live).await
        }
        Change::RehashCredential { agent_id, credential_id, from, to } => {
            rehash_credential(conn, agent_id, *credential_id, from, to).await
        }
        Change::RevokeToken { jti, agent_id, expires_at } => {
            revoke_token(conn, *jti, agent_id.as_ref(), *expires_at, killed).await
        }
        Change::AddScope(entry) => add_scope(conn, at, entry).await,
        Change::UpdateScope { scope, description, high_risk } => {
            update_scope(conn, at, scope, description.as_deref(), *high_risk).await
        }
        Change::InsertKey(key) => insert_key(conn, key).await,
        Change::ActivateKey { kid, seal, retires, published_until } => {
            activate_key(conn, at.second(), (kid, seal), retires.as_ref(), *published_until).await
        }
        Change::RemoveKey(kid) => remove_key(conn, kid).await,
        Change::InsertStoreKey(key) => insert_store_key(conn, key).await,
    }
}

async fn record(conn: &mut SqliteConnection, event: &Event) -> sqlx::Result<()> {
    let sql = "insert into audit_event (at, kind, actor, agent_id, jti, expires_at, detail)
               values (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    sqlx::query(sql)
        .bind(event.at.0)
        .bind(event.kind.as_str())
        .bind(event.actor.to_string())
        .bind(event.agent_id.as_ref().map(AgentId::as_str))
        .bind(event.jti.map(|jti| jti.0))
        .bind(event.expires_at.map(|t| t.0))
        .bind(&event.detail)
        .execute(conn)
        .await
        .map(drop)
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
    Ok(applied_or(added.rows_affected(), Outcome::Unchanged))
}

async fn add_scope(conn: &mut SqliteConnection, at: Moment, entry: &CatalogueEntry) -> sqlx::Result<Outcome> {
    let sql = "insert into scope (name, description, high_risk) values (?1, ?2, ?3) on conflict do nothing";
    let added = sqlx::query(sql)
        .bind(entry.scope.as_str())
        .bind(&entry.description)
        .bind(entry.high_risk)
        .execute(&mut *conn)
        .await?;
    if added.rows_affected() > 0 {
        raise_catalogue_version(conn, at).await?;
    }
    Ok(applied_or(added.rows_affected(), Outcome::Conflict))
}

async fn raise_catalogue_version(conn: &mut SqliteConnection, at: Moment) -> sqlx::Result<()> {
    let sql = "update revision set version = max(version + 1, ?1) where name = 'catalogue'";
    sqlx::query(sql).bind(at.0).execute(conn).await.map(drop)
}

async fn update_scope(
    conn: &mut SqliteConnection,
    at: Moment,
    scope: &Scope,
    description: Option<&str>,
    high_risk: Option<bool>,
) -> sqlx::Result<Outcome> {
    let sql = "update scope set description = coalesce(?2, description), high_risk = coalesce(?3, high_risk)
               where name = ?1
                 and (description <> coalesce(?2, description) or high_risk <> coalesce(?3, high_risk))";
    let changed =
        sqlx::query(sql).bind(scope.as_str()).bind(description).bind(high_risk).execute(&mut *conn).await?;
    if changed.rows_affected() > 0 {
        raise_catalogue_version(conn, at).await?;
        return Ok(Outcome::Applied);
    }
    let sql = "select exists (select 1 from scope where name = ?1)";
    let there: bool = sqlx::query_scalar(sql).bind(scope.as_str()).fetch_one(conn).await?;
    Ok(if there { Outcome::Unchanged } else { Outcome::NotFound })
}

async fn insert_key(conn: &mut SqliteConnection, key: &KeyRecord) -> sqlx::Result<Outcome> {
    let added = sqlx::query(
        "insert into signing_key (kid, public_jwk, private_key, state, announced_at, signs_from, signs_until,
                                  published_until, seal)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         on conflict do nothing",
    )
    .bind(&key.kid.0)
    .bind(&key.public_jwk)
    .bind(&key.private_key.0)
    .bind(key.state.as_str())
    .bind(key.announced_at.0)
    .bind(key.signs_from.0)
    .bind(key.signs_until.map(|t| t.0))
    .bind(key.published_until.map(|t| t.0))
    .bind(&key.seal)
    .execute(conn)
    .await?;
    Ok(applied_or(added.rows_affected(), Outcome::Conflict))
}

async fn activate_key(
    conn: &mut SqliteConnection,
    at: Timestamp,
    (kid, seal): (&Kid, &[u8]),
    retires: Option<&Retires>,
    published_until: Timestamp,
) -> sqlx::Result<Outcome> {
    let sql = "select kid, state from signing_key order by kid";
    let keys: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(&mut *conn).await?;
    let signs = keys.iter().find(|(_, state)| state == KeyState::Signing.as_str()).map(|(kid, _)| kid);
    let announced = keys.iter().any(|(k, state)| *k == kid.0 && state == KeyState::Announced.as_str());
    if !announced || signs != retires.map(|old| &old.kid.0) {
        return Ok(Outcome::Conflict);
    }
    let sql = "update signing_key set state = 'retiring', signs_until = ?1, published_until = ?2, seal = ?3
               where state = 'signing'";
    let old = retires.map(|old| &old.seal);
    sqlx::query(sql).bind(at.0).bind(published_until.0).bind(old).execute(&mut *conn).await?;
    let sql = "update signing_key set state = 'signing', seal = ?2 where kid = ?1";
    sqlx::query(sql).bind(&kid.0).bind(seal).execute(conn).await?;
    Ok(Outcome::Applied)
}

async fn remove_key(conn: &mut SqliteConnection, kid: &Kid) -> sqlx::Result<Outcome> {
    let sql = "delete from signing_key where kid = ?1 and state = 'retiring'";
    let removed = sqlx::query(sql).bind(&kid.0).execute(conn).await?;
    Ok(applied_or(removed.rows_affected(), Outcome::NotFound))
}

async fn insert_store_key(conn: &mut SqliteConnection, key: &StoreKey) -> sqlx::Result<Outcome> {
    let sql = "insert into store_key (purpose, key_id, sealed) values (?1, ?2, ?3) on conflict do nothing";
    let added =
        sqlx::query(sql).bind(&key.purpose).bind(&key.key_id).bind(&key.sealed.0).execute(conn).await?;
    Ok(applied_or(added.rows_affected(), Outcome::Conflict))
}

pub fn applied_or(rows: u64, otherwise: Outcome) -> Outcome {
    if rows > 0 { Outcome::Applied } else { otherwise }
}

/// Seconds for which a batch remembers that it landed: far longer than anybody sends it again.
const BATCH_KEPT: i64 = 86_400;

pub async fn prune(lane: &Writer, now: Timestamp, keep_events: i64, most: i64) -> Result<u64, StoreError> {
    let steps = [
        (
            "delete from revoked_token where jti in (
                 select jti from revoked_token where expires_at < ?1 order by expires_at limit ?2)",
            now.saturating_add(-REVOCATION_GRACE),
        ),
        (
            // Events lie in the order of their times but for those of a clock that was wrong for a
            // while, so the search ends at the thousandth that is too young.
            "delete from audit_event where id in (
                 select id from audit_event
                 where at < ?1 and kind = 'token.issued' and id < coalesce(
                     (select id from audit_event where at >= ?1 order by id limit 1 offset 999),
                     9223372036854775807)
                 order by id limit ?2)",
            now.saturating_add(-keep_events),
        ),
        (
            "delete from batch where batch_id in (select batch_id from batch where at < ?1 limit ?2)",
            now.saturating_add(-BATCH_KEPT),
        ),
        (
            "delete from spent_code where code_id in (
                 select code_id from spent_code where expires_at < ?1 order by expires_at limit ?2)",
            now.saturating_add(-SPENT_GRACE),
        ),
    ];
    let mut gone = 0;
    for (sql, before) in steps {
        gone += delete(lane, sql, before, most).await?;
    }
    Ok(gone)
}

/// One statement, which is its own transaction.
async fn delete(lane: &Writer, sql: &'static str, before: Timestamp, most: i64) -> Result<u64, StoreError> {
    bounded(async {
        let mut held = lane.take().await?;
        let done = sqlx::query(sql).bind(before.0).bind(most).execute(&mut held.conn).await?;
        held.keep();
        Ok(done.rows_affected())
    })
    .await
}
