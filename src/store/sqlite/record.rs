//! Recording the tokens of a batch on SQLite, after they were counted.
//!
//! Owns the statements that write counters and events of tokens. Must not know how many tokens an
//! agent gets.

use std::sync::LazyLock;

use sqlx::sqlite::SqliteConnection;

use crate::domain::event::request::RequestRef;
use crate::domain::event::source::EventSource;
use crate::domain::event::token_row::InlineTerms;
use crate::domain::grant::Grant;
use crate::store::fold::{Counted, Folded};
use crate::store::row::json;
use crate::store::terms_book::BatchTerms;
use crate::store::token::Batch;

use super::count::Tally;
use super::rows::{MAX_ROWS, RowsSql, Values, list, run};

/// Writes the counters and the events.
static RECORD: LazyLock<RowsSql> = LazyLock::new(|| RowsSql::new(record_text));

/// Like [`RECORD`], and commits.
static RECORD_AND_COMMIT: LazyLock<RowsSql> = LazyLock::new(|| {
    RowsSql::new(|size| {
        let record = record_text(size);
        format!("{record}; commit")
    })
});

/// How many parameters a row of a counter has.
const QUOTA_PARAMETERS: usize = 2;

/// How many parameters a row of an event has.
const EVENT_PARAMETERS: usize = 7;

/// A row of a counter is written as a whole. Its columns after `used` were notes of the statement
/// that earlier releases counted with. To raise the sequence of events is what an insert into
/// `audit_event` does by itself.
fn record_text(size: usize) -> String {
    let (quotas, events) = (list(size, QUOTA_PARAMETERS), list(size, EVENT_PARAMETERS));
    format!(
        "insert or replace into quota (agent_id, month, used, granted, ceiling, slot, epoch)
         select column2, ?, column3, 0, 0, 0, 0 from (values {quotas}) where column2 is not null;
         update sqlite_sequence set seq = ? where name = 'audit_event';
         insert into token_event (id, at, jti, request, source, epoch, terms, agent_id, inline)
         select ? + column1, ?, column2, column3, column4, column5, column6, column7, column8
         from (values {events}) where column2 is not null"
    )
}

/// Begins the sequence anew behind all events, if somebody deleted it.
const RESTART: &str = "
    insert into sqlite_sequence (name, seq)
    select 'audit_event', max(
        (select coalesce(max(id), 0) from audit_event),
        (select coalesce(max(id), 0) from token_event))
    returning seq";

/// Records the tokens that were counted, and commits.
pub(super) async fn record_and_commit(
    conn: &mut SqliteConnection,
    batch: &Batch,
    folded: &Folded<'_>,
    tally: &Tally<'_>,
    terms: &BatchTerms,
) -> sqlx::Result<()> {
    if record_by(&RECORD_AND_COMMIT, conn, batch, folded, tally, terms).await? {
        return Ok(());
    }
    sqlx::query("commit").execute(conn).await.map(drop)
}

/// Records the tokens that were counted.
pub(super) async fn record(
    conn: &mut SqliteConnection,
    batch: &Batch,
    folded: &Folded<'_>,
    tally: &Tally<'_>,
    terms: &BatchTerms,
) -> sqlx::Result<()> {
    record_by(&RECORD, conn, batch, folded, tally, terms)
        .await
        .map(drop)
}

/// Records the tokens; the last statement is `last`. Returns whether there was any token.
async fn record_by(
    last: &'static RowsSql,
    conn: &mut SqliteConnection,
    batch: &Batch,
    folded: &Folded<'_>,
    tally: &Tally<'_>,
    terms: &BatchTerms,
) -> sqlx::Result<bool> {
    let tokens: Vec<_> = folded.granted(&tally.counted).collect();
    if tokens.is_empty() {
        return Ok(false);
    }
    let mut newest = match tally.newest {
        Some(newest) => newest,
        None => sqlx::query_scalar(RESTART).fetch_one(&mut *conn).await?,
    };
    // There are at least as many tokens as counters.
    let mut used = tally.used.chunks(MAX_ROWS);
    let mut chunks = tokens.chunks(MAX_ROWS).peekable();
    while let Some(tokens) = chunks.next() {
        let sql = if chunks.peek().is_none() {
            last
        } else {
            &RECORD
        };
        let (size, text) = sql.for_rows(tokens.len());
        let counters = 1 + size * QUOTA_PARAMETERS;
        let filled = counters + 3 + size * EVENT_PARAMETERS;
        let mut values = Values::default();
        values.reserve(filled);
        values.add(batch.now.second().month().key())?;
        for (agent_id, used) in used.next().unwrap_or_default() {
            values.add(agent_id.as_str())?;
            values.add(*used)?;
        }
        values.fill(counters)?;
        let first = newest.saturating_add(1);
        newest = newest.saturating_add(i64::try_from(tokens.len()).unwrap_or(i64::MAX));
        values.add(newest)?;
        values.add(first)?;
        values.add(batch.now.second().0)?;
        for token in tokens {
            add_event(&mut values, token, terms)?;
        }
        values.fill(filled)?;
        run(conn, text, values, |_| Ok(())).await?;
    }
    Ok(true)
}

/// Adds the row of a token: with the row of its terms or, without one, with the agent and the terms
/// as text.
fn add_event(
    values: &mut Values,
    (place, grant, counted): &(usize, &Grant, Counted),
    terms: &BatchTerms,
) -> sqlx::Result<()> {
    values.add(grant.jti().0)?;
    values.add(grant.request().map(RequestRef::to_bytes))?;
    values.add(grant.source().map(EventSource::to_bytes))?;
    values.add(counted.epoch.0)?;
    let interned = terms.id(*place);
    values.add(interned)?;
    if interned.is_some() {
        values.add(None::<&str>)?;
        return values.add(None::<&str>);
    }
    values.add(grant.agent_id().as_str())?;
    let inline = json(&InlineTerms::from(*grant)).map_err(sqlx::Error::Encode)?;
    values.add(inline)
}
