//! Places and leases of the readers of events, on PostgreSQL. The same functions in the same order
//! as on SQLite.
//!
//! Owns who may move a place. Must not know what a reader makes of the events.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgConnection;

use crate::domain::id::HolderId;
use crate::domain::time::Moment;
use crate::store::error::StoreError;
use crate::store::journal::{Lease, Pass, PassOutcome, millis};
use crate::store::records::Places;
use crate::store::write::Outcome;

use super::errors::bounded;
use super::lane::{Lane, LaneConnection, ask_again};
use super::open::PostgresStore;
use super::write;

#[async_trait]
impl Places for PostgresStore {
    async fn take_lease(
        &self,
        reader: &'static str,
        holder: HolderId,
        ttl: Duration,
        _now: Moment,
    ) -> Result<Option<Lease>, StoreError> {
        ask_again!(self.general, take_lease, reader, holder, ttl).await
    }

    async fn place(&self, reader: &str) -> Result<Option<i64>, StoreError> {
        ask_again!(self.general, place, reader).await
    }

    async fn commit_pass(&self, pass: &Pass) -> Result<PassOutcome, StoreError> {
        commit_pass(&self.general, pass).await
    }
}

/// A process that cannot have the lease only reads: without the `not exists`, the statement would
/// lock the row and cost a commit.
async fn take_lease(
    conn: &mut PgConnection,
    reader: &'static str,
    holder: HolderId,
    ttl: Duration,
) -> sqlx::Result<Option<Lease>> {
    let sql = "with clock as (select floor(extract(epoch from clock_timestamp()) * 1000)::bigint as millis)
               insert into reader as r (name, place, holder, until)
               select $1, 0, $2, millis + $3 from clock
               where not exists (
                   select from reader
                   where name = $1 and holder <> $2 and until > millis and until <= millis + 2 * $3)
               on conflict (name) do update set holder = excluded.holder, until = excluded.until
               where r.holder = excluded.holder
                  or r.until <= excluded.until - $3 or r.until > excluded.until + $3
               returning r.place,
                         floor(extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint";
    let row: Option<(i64, i64)> = sqlx::query_as(sql)
        .bind(reader)
        .bind(holder.0)
        .bind(millis(ttl))
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|(place, run)| Lease {
        reader,
        holder,
        place,
        run,
    }))
}

async fn place(conn: &mut PgConnection, reader: &str) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("select place from reader where name = $1")
        .bind(reader)
        .fetch_optional(conn)
        .await
}

/// A failure before the commit was sent has changed nothing. After a failure at the commit, the
/// outcome is unknown.
async fn commit_pass(lane: &Lane, pass: &Pass) -> Result<PassOutcome, StoreError> {
    bounded(async {
        let (mut held, outcomes) = lane.retry(|| stage(lane, pass)).await?;
        let Some(outcomes) = outcomes else {
            sqlx::raw_sql("rollback").execute(&mut held.conn).await?;
            held.keep();
            return Ok(PassOutcome::LeaseLost);
        };
        sqlx::raw_sql("commit").execute(&mut held.conn).await?;
        held.keep();
        Ok(PassOutcome::Committed(outcomes))
    })
    .await
}

/// Runs the pass in an open transaction. Without outcomes, the lease was lost.
async fn stage<'a>(
    lane: &'a Lane,
    pass: &Pass,
) -> sqlx::Result<(LaneConnection<'a>, Option<Vec<Outcome>>)> {
    let mut held = lane.take().await?;
    match apply(&mut held.conn, pass).await {
        Ok(outcomes) => Ok((held, outcomes)),
        Err(error) => Err(held.recover(error).await),
    }
}

async fn apply(conn: &mut PgConnection, pass: &Pass) -> sqlx::Result<Option<Vec<Outcome>>> {
    let now = write::begin(conn).await?;
    if !move_place(conn, pass).await? {
        return Ok(None);
    }
    write::apply_all(conn, now, &pass.writes).await.map(Some)
}

/// Moves the place and renews the lease. False if the lease is no longer as it was granted. The row
/// is locked until the commit, so no other process can take the lease meanwhile.
async fn move_place(conn: &mut PgConnection, pass: &Pass) -> sqlx::Result<bool> {
    let sql = "update reader
               set place = $4, until = floor(extract(epoch from clock_timestamp()) * 1000)::bigint + $5
               where name = $1 and holder = $2 and place = $3
                 and $6 = floor(extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint";
    let done = sqlx::query(sql)
        .bind(pass.lease.reader)
        .bind(pass.lease.holder.0)
        .bind(pass.lease.place)
        .bind(pass.to)
        .bind(millis(pass.ttl))
        .bind(pass.lease.run)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}
