//! The rows of terms that many tokens share, on SQLite. The same functions in the same order as on
//! PostgreSQL.
//!
//! Owns which rows there are; `store::terms` remembers them. Must not know how a token is counted.

use sqlx::sqlite::SqliteConnection;

use crate::domain::time::Timestamp;
use crate::domain::usage::Day;
use crate::store::error::StoreError;
use crate::store::row::json;
use crate::store::terms::{CommonTerms, TermsBounds, TermsColumns, TermsEdition, terms_edition};
use crate::store::terms_book::TermsBook;

use super::errors::{bounded, broken};
use super::lane::{Readers, Writer, ask_again};

/// Reads the rows, unless the number says that they are as they were.
pub(super) async fn refresh(lane: &Readers, book: &TermsBook) -> Result<(), StoreError> {
    let number = ask_again!(lane, number).await?;
    if !book.is_current(number) {
        book.publish(ask_again!(lane, read).await?);
    }
    Ok(())
}

/// Gives rows to the terms that were seen often, and writes down the days of use.
pub(super) async fn intern(
    (writer, readers): (&Writer, &Readers),
    book: &TermsBook,
    now: Timestamp,
    bounds: TermsBounds,
) -> Result<(), StoreError> {
    let used = book.used();
    if !used.is_empty() {
        bounded(write_use(writer, &used)).await?;
        book.note_stored(&used);
    }
    let wanted = book.take_frequent();
    if !wanted.is_empty() {
        bounded(add(writer, &wanted, now, bounds)).await?;
        refresh(readers, book).await?;
        book.skip_full(&wanted);
    }
    Ok(())
}

/// The number that is drawn anew with each change of the rows.
async fn number(conn: &mut SqliteConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("select version from revision where name = 'terms'")
        .fetch_one(conn)
        .await
}

/// The rows in use, each with the number. One statement, so that the number is that of the rows.
async fn read(conn: &mut SqliteConnection) -> sqlx::Result<TermsEdition> {
    let sql =
        "select r.version, t.id, t.agent_id, t.credential_id, t.scope, t.audience, t.ttl, t.used_on, t.org_epoch
               from revision r
               left join token_terms t on t.retired_on is null
               where r.name = 'terms'";
    let rows: Vec<TermsColumns> = sqlx::query_as(sql).fetch_all(conn).await?;
    terms_edition(rows).map_err(broken)
}

/// The days of use only rise.
async fn write_use(lane: &Writer, used: &[(i32, i64)]) -> sqlx::Result<()> {
    let sql = "update token_terms
               set used_on = u.day
               from (select value ->> 0 as id, value ->> 1 as day from json_each(?1)) as u
               where token_terms.id = u.id and token_terms.used_on < u.day";
    let used = json(&used).map_err(sqlx::Error::Encode)?;
    let mut held = lane.take().await?;
    sqlx::query(sql).bind(used).execute(&mut held.conn).await?;
    held.keep();
    Ok(())
}

/// Terms that are to get a row: agent, credential, scopes, audiences, lifetime and epoch of the
/// organization.
type WantedRow<'w> = (&'w str, String, &'w str, String, i64, Option<i64>);

/// Adds the rows that there is room for, in one statement.
async fn add(
    lane: &Writer,
    wanted: &[CommonTerms],
    now: Timestamp,
    bounds: TermsBounds,
) -> sqlx::Result<()> {
    let rows: Vec<WantedRow<'_>> = wanted
        .iter()
        .map(|w| {
            let credential = w.credential.0.simple().to_string();
            let (agent_id, audience) = (w.agent_id.as_str(), w.audience_json());
            (
                agent_id,
                credential,
                w.scope.as_str(),
                audience,
                w.ttl,
                w.org_epoch,
            )
        })
        .collect();
    let sql = "insert into token_terms (agent_id, credential_id, scope, audience, ttl, used_on, org_epoch)
               select agent_id, credential_id, scope, audience, ttl, ?2, org_epoch
               from (
                   select w.*, row_number() over (partition by w.agent_id order by w.place) as nth
                   from (
                       select key as place, value ->> 0 as agent_id, unhex(value ->> 1) as credential_id,
                              value ->> 2 as scope, value ->> 3 as audience, value ->> 4 as ttl,
                              value ->> 5 as org_epoch
                       from json_each(?1)
                   ) as w
                   where not exists (
                       select 1 from token_terms t
                       where t.agent_id = w.agent_id and t.credential_id = w.credential_id and t.scope = w.scope
                         and t.audience = w.audience and t.ttl = w.ttl
                         and t.org_epoch is w.org_epoch and t.retired_on is null)
               ) as fresh
               where nth + (
                       select count(*) from token_terms t
                       where t.agent_id = fresh.agent_id and t.retired_on is null) <= ?3
               order by place
               limit max(0, ?4 - (select count(*) from token_terms where retired_on is null))";
    let mut held = lane.take().await?;
    sqlx::query(sql)
        .bind(json(&rows).map_err(sqlx::Error::Encode)?)
        .bind(Day::of(now).0)
        .bind(bounds.agent)
        .bind(bounds.store)
        .execute(&mut held.conn)
        .await?;
    held.keep();
    Ok(())
}

/// Retires what no token used for as many seconds, and removes what no event names any more: at
/// most `most` rows each. Returns how many rows were removed.
///
/// Tokens of an open transaction may name a row that was just retired, where several processes
/// write. A day later, the newest event is noted, and once all events up to that one are gone,
/// nothing names the row.
pub(super) async fn prune(
    lane: &Writer,
    now: Timestamp,
    unused: i64,
    most: i64,
) -> sqlx::Result<u64> {
    let retire = "update token_terms
                  set retired_on = ?1 / 86400
                  where id in (
                      select id from token_terms
                      where retired_on is null and (used_on + 1) * 86400 < ?1 - ?2
                      limit ?3)";
    let note = "update token_terms
                set retired_through = max(
                    (select coalesce(max(id), 0) from audit_event),
                    (select coalesce(max(id), 0) from token_event))
                where retired_through is null and retired_on < ?1 / 86400 - 1";
    let remove = "delete from token_terms
                  where id in (
                      select id from token_terms
                      where retired_through < coalesce((select min(id) from token_event), 9223372036854775807)
                      limit ?1)";
    let mut held = lane.take().await?;
    let conn = &mut held.conn;
    let retire = sqlx::query(retire).bind(now.0).bind(unused).bind(most);
    retire.execute(&mut *conn).await?;
    sqlx::query(note).bind(now.0).execute(&mut *conn).await?;
    let removed = sqlx::query(remove).bind(most).execute(conn).await?;
    held.keep();
    Ok(removed.rows_affected())
}
