//! Counting tokens on SQLite: one transaction for each batch, with a handful of statements, however
//! large the batch is.
//!
//! Owns those statements, and what happens when a batch is sent again. Must not know what a token
//! is for.

use serde::Serialize;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use crate::domain::agent::Epoch;
use crate::domain::digest::hex;
use crate::domain::event::token_row::InlineTerms;
use crate::domain::grant::Grant;
use crate::store::error::StoreError;
use crate::store::fold::{Counted, Folded, Slot, recalled};
use crate::store::row::json;
use crate::store::terms_book::{BatchTerms, TermsBook};
use crate::store::token::{Batch, Verdict};

use super::errors::bounded;
use super::events::{DISORDER, floor};
use super::lane::Writer;

/// Joins each slot with its agent and the catalogue as the decision saw them, and counts. A slot is
/// counted only if the file holds the credentials with which the agent authenticated: a cached
/// secret that the file does not hold opens nothing. If tokens are recorded by rows of terms, and
/// these rows changed since this process read them, nothing is counted. `max` prevents a lowered limit from reducing
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
      and (?4 is null or ?4 = (select version from revision where name = 'terms'))
    on conflict (agent_id, month) do update
    set used = used + max(0, min(excluded.granted, excluded.ceiling - used)),
        granted = max(0, min(excluded.granted, excluded.ceiling - used)),
        ceiling = excluded.ceiling,
        slot = excluded.slot,
        epoch = excluded.epoch
    returning granted, slot, epoch";

/// Draws ids for so many events, from the sequence of all events. Returns the last one. This is
/// what an insert into `audit_event` does by itself.
const DRAW: &str =
    "update sqlite_sequence set seq = seq + ?1 where name = 'audit_event' returning seq";

/// Begins the sequence anew behind all events, if somebody deleted it.
const RESTART: &str = "
    insert into sqlite_sequence (name, seq)
    select 'audit_event', ?1 + max(
        (select coalesce(max(id), 0) from audit_event),
        (select coalesce(max(id), 0) from token_event))
    returning seq";

/// Writes one event for each granted token, with ids from `?3` on.
const RECORD: &str = "
    insert into token_event (id, at, jti, request, source, epoch, terms, agent_id, inline)
    select ?3 + key, ?2, unhex(value ->> 0), unhex(value ->> 1), unhex(value ->> 2), value ->> 3,
           value ->> 4, value ->> 5, value ->> 6
    from jsonb_each(?1)
    order by key";

/// One verdict for each grant.
pub(super) async fn issue(
    lane: &Writer,
    book: &TermsBook,
    batch: &Batch,
) -> Result<Vec<Verdict>, StoreError> {
    let folded = Folded::new(&batch.grants);
    let terms = book.terms_of(&batch.grants, batch.now.second());
    bounded(try_issue(lane, batch, &folded, &terms)).await
}

async fn try_issue(
    lane: &Writer,
    batch: &Batch,
    folded: &Folded<'_>,
    terms: &BatchTerms,
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
        let counted = count(conn, batch, folded, terms).await?;
        record(conn, batch, folded, &counted, terms).await?;
        folded.verdicts(&counted)
    };
    sqlx::raw_sql("commit").execute(&mut *conn).await?;
    held.keep();
    Ok(verdicts)
}

/// What was counted. `terms` are those of the grants of the batch.
pub(super) async fn count(
    conn: &mut SqliteConnection,
    batch: &Batch,
    folded: &Folded<'_>,
    terms: &BatchTerms,
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
        .bind(terms.number())
        .fetch_all(conn)
        .await?;
    if rows.is_empty() {
        terms.doubt();
    }
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

/// Records the tokens that were counted.
pub(super) async fn record(
    conn: &mut SqliteConnection,
    batch: &Batch,
    folded: &Folded<'_>,
    counted: &[Counted],
    terms: &BatchTerms,
) -> sqlx::Result<()> {
    let rows = recorded_rows(folded, counted, terms)?;
    let asked = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    if asked == 0 {
        return Ok(());
    }
    let drawn: Option<i64> = sqlx::query_scalar(DRAW)
        .bind(asked)
        .fetch_optional(&mut *conn)
        .await?;
    let last = if let Some(last) = drawn {
        last
    } else {
        let restart = sqlx::query_scalar(RESTART).bind(asked);
        restart.fetch_one(&mut *conn).await?
    };
    sqlx::query(RECORD)
        .bind(json(&rows).map_err(sqlx::Error::Encode)?)
        .bind(batch.now.second().0)
        .bind(last.saturating_sub(asked).saturating_add(1))
        .execute(conn)
        .await
        .map(drop)
}

/// The row of a token, for [`RECORD`]: its id, its request and its source in hex, its epoch and the
/// row of its terms; without such a row, the agent and the terms as text.
#[derive(Serialize)]
#[serde(untagged)]
enum RecordedRow<'a> {
    Interned(String, Option<String>, Option<String>, i64, i32),
    Inline(
        String,
        Option<String>,
        Option<String>,
        i64,
        (),
        &'a str,
        String,
    ),
}

/// The rows of the tokens that were counted.
fn recorded_rows<'a>(
    folded: &Folded<'a>,
    counted: &[Counted],
    terms: &BatchTerms,
) -> sqlx::Result<Vec<RecordedRow<'a>>> {
    let row = |(place, grant, row): (usize, &'a Grant, Counted)| {
        let jti = grant.jti().0.simple().to_string();
        let request = grant.request().map(|request| hex(&request.to_bytes()));
        let source = grant.source().map(|source| hex(&source.to_bytes()));
        let epoch = row.epoch.0;
        if let Some(id) = terms.id(place) {
            return Ok(RecordedRow::Interned(jti, request, source, epoch, id));
        }
        let (agent_id, inline) = (grant.agent_id().as_str(), json(&InlineTerms::from(grant))?);
        Ok(RecordedRow::Inline(
            jti,
            request,
            source,
            epoch,
            (),
            agent_id,
            inline,
        ))
    };
    let rows: Result<_, _> = folded.granted(counted).map(row).collect();
    rows.map_err(sqlx::Error::Encode)
}

/// The verdicts of a batch that was committed before, from its tokens' events. Only this release
/// sends this batch, so the events are in the table of this release.
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
             from token_event
             where id >= ?1 and id < ?2 and at = ?3
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
