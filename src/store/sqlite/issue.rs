//! Counting tokens on SQLite: one transaction for each batch, with two round trips to the thread of
//! the connection.
//!
//! Owns the transaction, and what happens when a batch is sent again. The other statements are in
//! `count` and `record`. Must not know what a token is for.

use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use crate::store::error::StoreError;
use crate::store::fold::{Folded, recalled};
use crate::store::row::json;
use crate::store::terms_book::{BatchTerms, TermsBook};
use crate::store::token::{Batch, Verdict};

use super::count::begin;
use super::errors::bounded;
use super::events::{DISORDER, floor};
use super::lane::Writer;
use super::record::record_and_commit;

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
    let verdicts = if let Some(tally) = begin(conn, batch, folded, terms).await? {
        record_and_commit(conn, batch, folded, &tally, terms).await?;
        folded.verdicts(&tally.counted)
    } else {
        let verdicts = recall(conn, batch).await?;
        sqlx::query("commit").execute(&mut *conn).await?;
        verdicts
    };
    held.keep();
    Ok(verdicts)
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
