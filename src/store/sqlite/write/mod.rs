//! What can be changed, on SQLite. The same functions in the same order as on PostgreSQL.
//!
//! Each write is a unit of its own: a conflict is read from what a statement found or changed and
//! never thrown, so that one write that cannot be done leaves its neighbours alone.
//!
//! Owns the transaction and the audit event of each change; a file a noun has its statements. Must not know who asked.

use sqlx::sqlite::SqliteConnection;

use crate::domain::agent::AgentStatus;
use crate::domain::event::Event;
use crate::domain::id::AgentId;
use crate::domain::time::Moment;
use crate::store::error::StoreError;
use crate::store::write::{Change, LiveTokens, Outcome, Write};

use super::errors::bounded;
use super::lane::{Held, Writer};

mod agent;
mod credential;
mod key;
mod scope;
mod status;
mod token;

use agent::{create_agent, kill_agent, reactivate_agent, update_agent};
use credential::{rehash_credential, rotate_secret};
use key::{activate_key, insert_key, insert_store_key, remove_key};
use scope::{add_scope, update_scope};
use token::{revocation_version, revoke_token, set_revocation_version};

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
