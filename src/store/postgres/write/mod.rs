//! What can be changed, on PostgreSQL. The same functions in the same order as on SQLite.
//!
//! Each write is its own unit: a conflict is read from what a statement found or changed, and is
//! never raised as an error. So one write that cannot be done does not affect the other writes.
//! Each write has the time of the database's clock, whatever the process's clock says.
//!
//! Owns the transaction and the audit event of each change; there is one file of statements for
//! each noun. Must not know who asked.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::Row;
use sqlx::postgres::PgConnection;

use crate::domain::act::{Act, ChangeReason};
use crate::domain::event::Event;
use crate::domain::event::logged::Detail;
use crate::domain::event::request::RequestRef;
use crate::domain::event::source::EventSource;
use crate::domain::id::AgentId;
use crate::domain::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::rehearsal::{Rehearsal, Rehearse};
use crate::store::write::{Change, Effect, Outcome, Write, effect};

use super::agents;
use super::errors::{bounded, is_lock_timeout, is_rolled_back};
use super::lane::{Lane, LaneConnection, RETRIES};
use super::open::PostgresStore;

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

/// How long a write keeps asking for a row that another transaction holds: a little less than the
/// timeout of every call.
const LOCKED_TIMEOUT: Duration = Duration::from_millis(2_100);

/// Applies the writes in one transaction. A failure before the commit was sent has changed nothing.
/// A passing failure is tried again; a failure at the commit only if the database says that it
/// rolled the transaction back. After any other failure at the commit, the outcome is unknown.
pub(super) async fn commit(lane: &Lane, writes: &[Write]) -> Result<Vec<Outcome>, StoreError> {
    if writes.is_empty() {
        return Ok(Vec::new());
    }
    bounded(async {
        let (mut tries, began) = (0, Instant::now());
        loop {
            let (mut held, outcomes) = stage_soon(lane, writes, began).await?;
            match sqlx::raw_sql("commit").execute(&mut held.conn).await {
                Ok(_) => {
                    held.keep();
                    return Ok(outcomes);
                }
                Err(error) if tries < RETRIES && is_rolled_back(&error) => tries += 1,
                Err(error) => return Err(error),
            }
        }
    })
    .await
}

#[async_trait]
impl Rehearse for PostgresStore {
    async fn rehearse(&self, write: &Write, agent_id: &AgentId) -> Result<Rehearsal, StoreError> {
        rehearse(self.lanes.commit(), write, agent_id).await
    }
}

/// Applies the write in a transaction, reads the agent in it, and rolls it back.
async fn rehearse(lane: &Lane, write: &Write, agent_id: &AgentId) -> Result<Rehearsal, StoreError> {
    bounded(async {
        let writes = std::slice::from_ref(write);
        let (mut held, outcomes) = stage_soon(lane, writes, Instant::now()).await?;
        let agent = agents::agent(&mut held.conn, agent_id).await?;
        sqlx::raw_sql("rollback").execute(&mut held.conn).await?;
        held.keep();
        let outcome = outcomes.first().copied().ok_or(sqlx::Error::RowNotFound)?;
        Ok(Rehearsal { outcome, agent })
    })
    .await
}

/// As [`stage`], tried again while another transaction holds a row.
async fn stage_soon<'a>(
    lane: &'a Lane,
    writes: &[Write],
    began: Instant,
) -> sqlx::Result<(LaneConnection<'a>, Vec<Outcome>)> {
    loop {
        match lane.retry(|| stage(lane, writes)).await {
            // Between two tries, other writes get the lane.
            Err(error) if is_lock_timeout(&error) && began.elapsed() < LOCKED_TIMEOUT => {}
            done => return done,
        }
    }
}

/// Runs all writes in an open transaction.
async fn stage<'a>(
    lane: &'a Lane,
    writes: &[Write],
) -> sqlx::Result<(LaneConnection<'a>, Vec<Outcome>)> {
    let mut held = lane.take().await?;
    match apply_now(&mut held.conn, writes).await {
        Ok(outcomes) => Ok((held, outcomes)),
        Err(error) => Err(held.recover(error).await),
    }
}

async fn apply_now(conn: &mut PgConnection, writes: &[Write]) -> sqlx::Result<Vec<Outcome>> {
    let now = begin(conn).await?;
    apply_all(conn, now, writes).await
}

/// Runs all writes in the open transaction.
pub(super) async fn apply_all(
    conn: &mut PgConnection,
    now: Timestamp,
    writes: &[Write],
) -> sqlx::Result<Vec<Outcome>> {
    let kills = writes.iter().any(|write| write.change.kills());
    let before = if kills {
        revocation_version(conn).await?
    } else {
        0
    };
    if writes.iter().any(|write| write.change.names()) {
        lock_names(conn).await?;
    }
    partner::lock_partners(conn, writes).await?;
    let mut version = before;
    let mut outcomes = Vec::with_capacity(writes.len());
    for write in writes {
        let (outcome, previous) = apply_once(conn, now, write, version + 1).await?;
        if outcome == Outcome::Applied {
            for event in write.change.events(previous) {
                let event = event.killed_in(version + 1);
                record(conn, now, &write.act, &event).await?;
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

/// Opens a transaction. Returns the database's time at its begin.
pub(super) async fn begin(conn: &mut PgConnection) -> sqlx::Result<Timestamp> {
    let row = sqlx::raw_sql("begin; select floor(extract(epoch from now()))::bigint")
        .fetch_one(conn)
        .await?;
    row.try_get(0).map(Timestamp)
}

/// Lets only one process at a time give ids to agents and users, so that no process overlooks an id
/// that another process is about to give.
async fn lock_names(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql("lock table known_user in share row exclusive mode")
        .execute(conn)
        .await
        .map(drop)
}

/// Applies one change and keeps its reply, unless such a reply is kept already.
async fn apply_once(
    conn: &mut PgConnection,
    at: Timestamp,
    write: &Write,
    killed: i64,
) -> sqlx::Result<Effect> {
    let Some(reply) = &write.reply else {
        return apply(conn, at, write, killed).await;
    };
    // The reply comes first: what was decided before an equal request was answered may not hold
    // after it.
    if !reply::keep(conn, at, reply).await? {
        return Ok(effect(Outcome::Answered));
    }
    let (outcome, previous) = apply(conn, at, write, killed).await?;
    if outcome != Outcome::Applied {
        reply::forget(conn, reply).await?;
    }
    Ok((outcome, previous))
}

/// Applies one change if its conditions are met. `killed` is the version of the revocation list if
/// this change raises it.
async fn apply(
    conn: &mut PgConnection,
    at: Timestamp,
    write: &Write,
    killed: i64,
) -> sqlx::Result<Effect> {
    if !write.conditions.is_empty()
        && let Some(outcome) = condition::failure(conn, write).await?
    {
        return Ok(effect(outcome));
    }
    let by = &write.act.who;
    match &write.change {
        Change::Agent(change) => agent::apply(conn, at, by, change, killed).await.map(effect),
        Change::Credential(change) => credential::apply(conn, at, by, change, killed).await,
        Change::Token(change) => token::apply(conn, change, killed).await.map(effect),
        Change::Scope(change) => scope::apply(conn, change).await,
        Change::Org(change) => org::apply(conn, at, change, killed).await.map(effect),
        Change::Partner(change) => partner::apply(conn, at, change).await.map(effect),
        Change::Key(change) => key::apply(conn, at, change, killed).await.map(effect),
        Change::Log(change) => log::apply(conn, at, change).await.map(effect),
        Change::Refusals(_) | Change::Exported(_) | Change::Replayed(_) => {
            Ok(effect(Outcome::Applied))
        }
        Change::Usage(change) => usage::apply(conn, change).await.map(effect),
        Change::Generation(change) => generation::apply(conn, at, change).await.map(effect),
        Change::Verifier(change) => verifier::apply(conn, change).await.map(effect),
    }
}

/// Records an event at this time. It belongs to the organisation that it names, else to that of
/// the agent that it concerns, else to that of the agent that caused it. The first organisation is
/// not written down: it has all events that name none.
async fn record(
    conn: &mut PgConnection,
    at: Timestamp,
    act: &Act,
    event: &Event,
) -> sqlx::Result<()> {
    let sql = "insert into audit_event (at, kind, actor, agent_id, jti, expires_at, detail, credential_id, org_id,
                                        source, request, reason, data)
               values ($1, $2, $3, $4, $5, $6, $7, $8,
                       coalesce($9, (select nullif(org_id, 'default') from agent where agent_id = $14)), $10, $11, $12, $13)";
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
