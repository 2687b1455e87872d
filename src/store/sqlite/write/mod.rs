//! What can be changed, on SQLite. The same functions in the same order as on PostgreSQL.
//!
//! Each write is its own unit: a conflict is read from what a statement found or changed, and is
//! never raised as an error. So one write that cannot be done does not affect the other writes.
//!
//! Owns the transaction and the audit event of each change; there is one file of statements for
//! each noun. Must not know who asked.

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

use crate::domain::act::{Act, ChangeReason};
use crate::domain::event::Event;
use crate::domain::event::logged::Detail;
use crate::domain::event::request::RequestRef;
use crate::domain::event::source::EventSource;
use crate::domain::id::AgentId;
use crate::domain::time::{Moment, Timestamp};
use crate::store::error::StoreError;
use crate::store::rehearsal::{Rehearsal, Rehearse};
use crate::store::write::{Change, Effect, Outcome, Write, effect};

use super::agents;
use super::errors::bounded;
use super::lane::{LaneConnection, Writer};
use super::open::SqliteStore;

mod agent;
mod condition;
mod credential;
mod generation;
mod key;
mod log;
mod new_credential;
mod org;
mod partner;
mod reply;
mod reseal;
mod scope;
mod status;
mod token;
mod usage;
mod verifier;

use token::{revocation_version, set_revocation_version};

/// Applies the writes in one transaction. If the commit fails, the outcome is unknown.
pub(super) async fn commit(lane: &Writer, writes: &[Write]) -> Result<Vec<Outcome>, StoreError> {
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

#[async_trait]
impl Rehearse for SqliteStore {
    async fn rehearse(&self, write: &Write, agent_id: &AgentId) -> Result<Rehearsal, StoreError> {
        rehearse(&self.writer, write, agent_id).await
    }
}

/// Applies the write in a transaction, reads the agent in it, and rolls it back.
async fn rehearse(
    lane: &Writer,
    write: &Write,
    agent_id: &AgentId,
) -> Result<Rehearsal, StoreError> {
    bounded(async {
        let (mut held, outcomes) = stage(lane, std::slice::from_ref(write)).await?;
        let agent = agents::agent(&mut held.conn, agent_id).await?;
        sqlx::raw_sql("rollback").execute(&mut held.conn).await?;
        held.keep();
        let outcome = outcomes.first().copied().ok_or(sqlx::Error::RowNotFound)?;
        Ok(Rehearsal { outcome, agent })
    })
    .await
}

/// Runs all writes in an open transaction.
async fn stage<'a>(
    lane: &'a Writer,
    writes: &[Write],
) -> sqlx::Result<(LaneConnection<'a>, Vec<Outcome>)> {
    let mut held = lane.take().await?;
    sqlx::raw_sql("begin immediate")
        .execute(&mut held.conn)
        .await?;
    let outcomes = apply_all(&mut held.conn, writes).await?;
    Ok((held, outcomes))
}

/// Runs all writes in the open transaction.
pub(super) async fn apply_all(
    conn: &mut SqliteConnection,
    writes: &[Write],
) -> sqlx::Result<Vec<Outcome>> {
    let kills = writes.iter().any(|write| write.change.kills());
    let latest = writes
        .iter()
        .map(|write| write.act.at)
        .max()
        .unwrap_or(Moment(0));
    let before = if kills {
        revocation_version(conn, latest).await?
    } else {
        0
    };
    let mut version = before;
    let mut outcomes = Vec::with_capacity(writes.len());
    for write in writes {
        let (outcome, previous) = apply_once(conn, write, version + 1).await?;
        if outcome == Outcome::Applied {
            for event in write.change.events(previous) {
                let event = event.killed_in(version + 1);
                record(conn, write.act.at.second(), &write.act, &event).await?;
            }
        }
        if outcome == Outcome::Applied {
            version += i64::from(write.change.kills());
        }
        outcomes.push(outcome);
    }
    if version > before {
        set_revocation_version(conn, version).await?;
    }
    Ok(outcomes)
}

/// Applies one change and keeps its reply, unless such a reply is kept already.
async fn apply_once(
    conn: &mut SqliteConnection,
    write: &Write,
    killed: i64,
) -> sqlx::Result<Effect> {
    let Some(reply) = &write.reply else {
        return apply(conn, write, killed).await;
    };
    // The reply comes first: what was decided before an equal request was answered may not hold
    // after it.
    if !reply::keep(conn, write.act.at.second(), reply).await? {
        return Ok(effect(Outcome::Answered));
    }
    let (outcome, previous) = apply(conn, write, killed).await?;
    if outcome != Outcome::Applied {
        reply::forget(conn, reply).await?;
    }
    Ok((outcome, previous))
}

/// Applies one change if its conditions are met. `killed` is the version of the revocation list if
/// this change raises it.
async fn apply(conn: &mut SqliteConnection, write: &Write, killed: i64) -> sqlx::Result<Effect> {
    if !write.conditions.is_empty()
        && let Some(outcome) = condition::failure(conn, write).await?
    {
        return Ok(effect(outcome));
    }
    let (at, by) = (write.act.at, &write.act.who);
    match &write.change {
        Change::Agent(change) => agent::apply(conn, at, by, change, killed).await.map(effect),
        Change::Credential(change) => credential::apply(conn, at, by, change, killed).await,
        Change::Token(change) => token::apply(conn, change, killed).await.map(effect),
        Change::Scope(change) => scope::apply(conn, at, change).await,
        Change::Org(change) => org::apply(conn, at, change, killed).await.map(effect),
        Change::Partner(change) => partner::apply(conn, at, change).await.map(effect),
        Change::Key(change) => key::apply(conn, at, change, killed).await.map(effect),
        Change::Log(change) => log::apply(conn, at.second(), change).await.map(effect),
        Change::Refusals(_) | Change::Exported(_) | Change::Replayed(_) => {
            Ok(effect(Outcome::Applied))
        }
        Change::Usage(change) => usage::apply(conn, change).await.map(effect),
        Change::Generation(change) => generation::apply(conn, at.second(), change)
            .await
            .map(effect),
        Change::Verifier(change) => verifier::apply(conn, change).await.map(effect),
    }
}

/// Records an event at this time. It belongs to the organisation that it names, else to that of
/// the agent that it concerns, else to that of the agent that caused it. The first organisation is
/// not written down: it has all events that name none.
async fn record(
    conn: &mut SqliteConnection,
    at: Timestamp,
    act: &Act,
    event: &Event,
) -> sqlx::Result<()> {
    let sql = "insert into audit_event (at, kind, actor, agent_id, jti, expires_at, detail, credential_id, org_id,
                                        source, request, reason, data)
               values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,
                       coalesce(?9, (select nullif(org_id, 'default') from agent where agent_id = ?14)), ?10, ?11, ?12, ?13)";
    let credential_id = event.credential_id().or(act.credential);
    let data = event.data().map_err(|e| sqlx::Error::Encode(e.into()))?;
    let (jti, expires_at) = event.token().unzip();
    sqlx::query(sql)
        .bind(at.0)
        .bind(event.kind().row_text())
        .bind(act.who.to_string())
        .bind(event.agent_id().map(AgentId::as_str))
        .bind(jti.map(|jti| jti.0))
        .bind(expires_at.map(|t| t.0))
        .bind(event.row_text())
        .bind(credential_id.map(|id| id.0))
        .bind(event.org_id())
        .bind(act.source.map(EventSource::to_bytes))
        .bind(act.request_id.map(RequestRef::to_bytes))
        .bind(act.reason.as_ref().map(ChangeReason::as_str))
        .bind(data.as_ref().map(Detail::as_str))
        .bind(event.agent_id().or(act.agent_id()).map(AgentId::as_str))
        .execute(conn)
        .await
        .map(drop)
}
