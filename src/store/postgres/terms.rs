//! The rows of terms that many tokens share, on PostgreSQL. The same functions in the same order as
//! on SQLite.
//!
//! Owns which rows there are; `store::terms` remembers them. Must not know how a token is counted.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::domain::usage::Day;
use crate::store::error::StoreError;
use crate::store::terms::{CommonTerms, TermsBounds, TermsColumns, TermsEdition, terms_edition};
use crate::store::terms_book::TermsBook;

use super::errors::broken;
use super::lane::{Lane, ask, ask_again};

/// Reads the rows, unless the number says that they are as they were.
pub(super) async fn refresh(lane: &Lane, book: &TermsBook) -> Result<(), StoreError> {
    let number = ask_again!(lane, number).await?;
    if !book.is_current(number) {
        book.publish(ask_again!(lane, read).await?);
    }
    Ok(())
}

/// Gives rows to the terms that were seen often, and writes down the days of use.
pub(super) async fn intern(
    lane: &Lane,
    book: &TermsBook,
    now: Timestamp,
    bounds: TermsBounds,
) -> Result<(), StoreError> {
    let used = book.used();
    if !used.is_empty() {
        let used = &used[..];
        ask!(lane, write_use, used).await?;
        book.note_stored(used);
    }
    let wanted = book.take_frequent();
    if !wanted.is_empty() {
        let wanted = &wanted[..];
        ask!(lane, add, wanted, now, bounds).await?;
        refresh(lane, book).await?;
        book.skip_full(wanted);
    }
    Ok(())
}

/// The number that is drawn anew with each change of the rows.
async fn number(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("select version from revision where name = 'terms'")
        .fetch_one(conn)
        .await
}

/// The rows in use, each with the number. One statement, so that the number is that of the rows.
async fn read(conn: &mut PgConnection) -> sqlx::Result<TermsEdition> {
    let sql =
        "select r.version, t.id, t.agent_id, t.credential_id, t.scope, t.audience, t.ttl, t.used_on, t.org_epoch
               from revision r
               left join token_terms t on t.retired_on is null
               where r.name = 'terms'";
    let rows: Vec<TermsColumns> = sqlx::query_as(sql).fetch_all(conn).await?;
    terms_edition(rows).map_err(broken)
}

/// The days of use only rise, whichever process writes last.
async fn write_use(conn: &mut PgConnection, used: &[(i32, i64)]) -> sqlx::Result<()> {
    let (ids, days): (Vec<i32>, Vec<i64>) = used.iter().copied().unzip();
    let sql = "update token_terms t
               set used_on = u.day
               from unnest($1::integer[], $2::bigint[]) as u (id, day)
               where t.id = u.id and t.used_on < u.day";
    let write = sqlx::query(sql).bind(ids).bind(days);
    write.execute(conn).await.map(drop)
}

/// Adds the rows that there is room for. One process at a time does this, so that no two add the
/// same terms. Tokens are counted meanwhile: they only read the number.
async fn add(
    conn: &mut PgConnection,
    wanted: &[CommonTerms],
    now: Timestamp,
    bounds: TermsBounds,
) -> sqlx::Result<()> {
    let agents: Vec<&str> = wanted.iter().map(|w| w.agent_id.as_str()).collect();
    let credentials: Vec<Uuid> = wanted.iter().map(|w| w.credential.0).collect();
    let scopes: Vec<&str> = wanted.iter().map(|w| w.scope.as_str()).collect();
    let audiences: Vec<String> = wanted.iter().map(CommonTerms::audience_json).collect();
    let ttls: Vec<i64> = wanted.iter().map(|w| w.ttl).collect();
    let org_epochs: Vec<Option<i64>> = wanted.iter().map(|w| w.org_epoch).collect();
    sqlx::raw_sql("begin; select from revision where name = 'terms' for update")
        .execute(&mut *conn)
        .await?;
    let sql = "insert into token_terms (agent_id, credential_id, scope, audience, ttl, used_on, org_epoch)
               select agent_id, credential_id, scope, audience, ttl, $6::integer, org_epoch
               from (
                   select w.*, row_number() over (partition by w.agent_id order by w.place) as nth
                   from unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $9::bigint[])
                       with ordinality as w (agent_id, credential_id, scope, audience, ttl, org_epoch, place)
                   where not exists (
                       select from token_terms t
                       where t.agent_id = w.agent_id and t.credential_id = w.credential_id and t.scope = w.scope
                         and t.audience = w.audience and t.ttl = w.ttl
                         and t.org_epoch is not distinct from w.org_epoch and t.retired_on is null)
               ) as fresh
               where nth + (
                       select count(*) from token_terms t
                       where t.agent_id = fresh.agent_id and t.retired_on is null) <= $7
               order by place
               limit greatest(0, $8 - (select count(*) from token_terms where retired_on is null))";
    sqlx::query(sql)
        .bind(agents)
        .bind(credentials)
        .bind(scopes)
        .bind(audiences)
        .bind(ttls)
        .bind(Day::of(now).0)
        .bind(bounds.agent)
        .bind(bounds.store)
        .bind(org_epochs)
        .execute(&mut *conn)
        .await?;
    sqlx::raw_sql("commit").execute(conn).await.map(drop)
}

/// Retires what no token used for as many seconds, and removes what no event names any more: at
/// most `most` rows each. Returns how many rows were removed.
///
/// A process may record tokens by a row until a moment after it was retired. A day later, no such
/// transaction is open any more: then the newest event is noted, and once all events up to that one
/// are gone, nothing names the row.
pub(super) async fn prune(
    conn: &mut PgConnection,
    now: Timestamp,
    unused: i64,
    most: i64,
) -> sqlx::Result<u64> {
    let retire = "update token_terms
                  set retired_on = least($1, floor(extract(epoch from now()))::bigint) / 86400
                  where id in (
                      select id from token_terms
                      where retired_on is null
                        and (used_on + 1) * 86400::bigint < least($1, floor(extract(epoch from now()))::bigint) - $2
                      limit $3)";
    let retire = sqlx::query(retire).bind(now.0).bind(unused).bind(most);
    retire.execute(&mut *conn).await?;
    let note = "update token_terms
                set retired_through = greatest(
                    (select coalesce(max(id), 0) from audit_event),
                    (select coalesce(max(id), 0) from token_event))
                where retired_through is null
                  and retired_on < least($1, floor(extract(epoch from now()))::bigint) / 86400 - 1";
    sqlx::query(note).bind(now.0).execute(&mut *conn).await?;
    let remove = "delete from token_terms
                  where id in (
                      select id from token_terms
                      where retired_through < coalesce((select min(id) from token_event), 9223372036854775807)
                      limit $1)";
    let removed = sqlx::query(remove).bind(most).execute(conn).await?;
    Ok(removed.rows_affected())
}
