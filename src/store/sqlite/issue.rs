//! Counting tokens on SQLite: one transaction for each batch, with a handful of statements, however
//! large the batch is.
//!
//! Owns those statements, and what happens when a batch is sent again. Must not know what a token
//! is for.

use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use crate::domain::agent::Epoch;
use crate::store::error::StoreError;
use crate::store::fold::{Counted, Folded, Slot, detail, recalled};
use crate::store::row::json;
use crate::store::token::{Batch, Verdict};

use super::errors::bounded;
use super::events::{DISORDER, floor};
use super::lane::Writer;

/// Joins each slot with its agent and the catalogue as the decision saw them, and counts. A slot is
/// counted only if the file holds the credentials with which the agent authenticated: a cached
/// secret that the file does not hold opens nothing. `max` prevents a lowered limit from reducing
/// the counter. Neither side can overflow, because 0 <= used and 0 <= ceiling. `jsonb_each` returns
/// each row parsed; `json_each` would write the row as text again for each column that is read from
/// it.
const COUNT: &str = "
    insert into quota (agent_id, month, used, granted, ceiling, slot, epoch)
    select a.agent_id, ?2, min(s.asked, s.ceiling), min(s.asked, s.ceiling), s.ceiling, s.slot, a.epoch
    from (
        select value ->> 0 as agent_id, value ->> 1 as version, value ->> 2 as catalogue_version,
               value ->> 3 as asked, value ->> 4 as ceiling, value ->> 5 as slot,
               value ->> 6 as credentials, value ->> 7 as proofs
        from jsonb_each(?1)
    ) as s
    cross join agent a
    where a.agent_id = s.agent_id and a.version = s.version and a.status = 'active'
      and s.catalogue_version = (select version from revision where name = 'catalogue')
      and s.proofs = (
          select count(*) from credential c
          where c.agent_id = s.agent_id and instr(s.credentials, hex(c.credential_id)) > 0
            and (c.expires_at is null or c.expires_at > ?3)
      )
    on conflict (agent_id, month) do update
    set used = used + max(0, min(excluded.granted, excluded.ceiling - used)),
        granted = max(0, min(excluded.granted, excluded.ceiling - used)),
        ceiling = excluded.ceiling,
        slot = excluded.slot,
        epoch = excluded.epoch
    returning granted, slot, epoch";

/// Writes one event for each granted token.
const RECORD: &str = "
    insert into audit_event (at, kind, actor, agent_id, jti, expires_at, epoch, detail)
    select ?2, 'token.issued', 'agent:' || (value ->> 1), value ->> 1, unhex(value ->> 0), value ->> 2,
           value ->> 3, value ->> 4
    from jsonb_each(?1)
    order by key";

/// One verdict for each grant.
pub(super) async fn issue(lane: &Writer, batch: &Batch) -> Result<Vec<Verdict>, StoreError> {
    let folded = Folded::new(&batch.grants);
    bounded(try_issue(lane, batch, &folded)).await
}

async fn try_issue(
    lane: &Writer,
    batch: &Batch,
    folded: &Folded<'_>,
) -> sqlx::Result<Vec<Verdict>> {
    let mut held = lane.take().await?;
    let conn = &mut held.conn;
    sqlx::raw_sql("begin immediate").execute(&mut *conn).await?;
    let sql = "insert into batch (batch_id, at) values (?1, ?2) on conflict do nothing";
    let entered = sqlx::query(sql)
        .bind(batch.id.0)
        .bind(batch.now.second().0)
        .execute(&mut *conn)
        .await?;
    let verdicts = if entered.rows_affected() == 0 {
        recall(conn, batch).await?
    } else {
        let counted = count(conn, batch, folded).await?;
        record(conn, batch, folded, &counted).await?;
        folded.verdicts(&counted)
    };
    sqlx::raw_sql("commit").execute(&mut *conn).await?;
    held.keep();
    Ok(verdicts)
}

pub(super) async fn count(
    conn: &mut SqliteConnection,
    batch: &Batch,
    folded: &Folded<'_>,
) -> sqlx::Result<Vec<Counted>> {
    let slots: Vec<_> = folded
        .slots
        .iter()
        .map(|s| {
            let (agent_id, versions) =
                (s.agent_id.as_str(), (s.agent_version, s.catalogue_version));
            (
                agent_id,
                versions.0,
                versions.1,
                s.asked,
                s.ceiling,
                s.first,
                credentials(s),
                s.proofs(),
            )
        })
        .collect();
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(COUNT)
        .bind(json(&slots).map_err(sqlx::Error::Encode)?)
        .bind(batch.now.second().month().key())
        .bind(batch.now.second().0)
        .fetch_all(conn)
        .await?;
    let counted = |(granted, slot, epoch)| Counted {
        slot,
        granted,
        epoch: Epoch(epoch),
        iat: batch.now.second(),
    };
    Ok(rows.into_iter().map(counted).collect())
}

/// The credentials of a slot, in the format of SQLite's `hex`.
fn credentials(slot: &Slot<'_>) -> String {
    let mut text = String::with_capacity(slot.credentials.len() * 33);
    for credential in &slot.credentials {
        text.push_str(credential.0.simple().encode_upper(&mut [0; 32]));
        text.push(' ');
    }
    text
}

pub(super) async fn record(
    conn: &mut SqliteConnection,
    batch: &Batch,
    folded: &Folded<'_>,
    counted: &[Counted],
) -> sqlx::Result<()> {
    let tokens: Vec<(String, &str, i64, i64, String)> = folded
        .granted(counted)
        .map(|(_, grant, row)| {
            let jti = grant.jti().0.simple().to_string();
            let expires_at = row.iat.saturating_add(grant.ttl()).0;
            (
                jti,
                grant.agent_id().as_str(),
                expires_at,
                row.epoch.0,
                detail(grant),
            )
        })
        .collect();
    let tokens = json(&tokens).map_err(sqlx::Error::Encode)?;
    sqlx::query(RECORD)
        .bind(tokens)
        .bind(batch.now.second().0)
        .execute(conn)
        .await
        .map(drop)
}

/// The verdicts of a batch that was committed before, from its tokens' events.
pub(super) async fn recall(
    conn: &mut SqliteConnection,
    batch: &Batch,
) -> sqlx::Result<Vec<Verdict>> {
    let sql = "select at from batch where batch_id = ?1";
    let at: i64 = sqlx::query_scalar(sql)
        .bind(batch.id.0)
        .fetch_one(&mut *conn)
        .await?;
    let jtis: Vec<String> = batch
        .grants
        .iter()
        .map(|g| g.jti().0.simple().to_string())
        .collect();
    let jtis = json(&jtis).map_err(sqlx::Error::Encode)?;
    let mut events: Vec<(Uuid, i64, i64)> = Vec::new();
    let mut until = i64::MAX;
    loop {
        let floor = floor(conn, until).await?;
        let part: Vec<(Uuid, i64, i64)> = sqlx::query_as(
            "select jti, epoch, at
             from audit_event
             where id >= ?1 and id < ?2 and at = ?3 and kind = 'token.issued'
               and jti in (select unhex(value) from json_each(?4))",
        )
        .bind(floor.map_or(i64::MIN, |(id, _)| id))
        .bind(until)
        .bind(at)
        .bind(&jtis)
        .fetch_all(&mut *conn)
        .await?;
        events.extend(part);
        match floor {
            Some((id, time)) if time >= at.saturating_sub(DISORDER) => until = id,
            _ => return Ok(recalled(&batch.grants, &events)),
        }
    }
}
