//! Places and leases of the readers of events, on SQLite. The same functions in the same order as
//! on PostgreSQL.
//!
//! Owns who may move a place. Must not know what a reader makes of the events.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

use crate::domain::id::HolderId;
use crate::domain::time::Moment;
use crate::store::error::StoreError;
use crate::store::journal::{Lease, Pass, PassOutcome, millis};
use crate::store::records::Places;
use crate::store::write::Outcome;

use super::errors::bounded;
use super::lane::{LaneConnection, Writer, ask_again};
use super::open::SqliteStore;
use super::write;

#[async_trait]
impl Places for SqliteStore {
    async fn take_lease(
        &self,
        reader: &'static str,
        holder: HolderId,
        ttl: Duration,
        now: Moment,
    ) -> Result<Option<Lease>, StoreError> {
        take_lease(&self.writer, reader, holder, ttl, now).await
    }

    async fn place(&self, reader: &str) -> Result<Option<i64>, StoreError> {
        ask_again!(self.readers, place, reader).await
    }

    async fn commit_pass(&self, pass: &Pass) -> Result<PassOutcome, StoreError> {
        commit_pass(&self.writer, pass).await
    }
}

async fn take_lease(
    lane: &Writer,
    reader: &'static str,
    holder: HolderId,
    ttl: Duration,
    now: Moment,
) -> Result<Option<Lease>, StoreError> {
    let sql = "insert into reader (name, place, holder, until) values (?1, 0, ?2, ?3 + ?4)
               on conflict (name) do update set holder = excluded.holder, until = excluded.until
               where reader.holder = excluded.holder
                  or reader.until <= ?3 or reader.until > excluded.until + ?4
               returning place";
    bounded(async {
        let mut held = lane.take().await?;
        let place: Option<i64> = sqlx::query_scalar(sql)
            .bind(reader)
            .bind(holder.0)
            .bind(now.0)
            .bind(millis(ttl))
            .fetch_optional(&mut held.conn)
            .await?;
        held.keep();
        Ok(place.map(|place| Lease {
            reader,
            holder,
            place,
            run: 0,
        }))
    })
    .await
}

async fn place(conn: &mut SqliteConnection, reader: &str) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("select place from reader where name = ?1")
        .bind(reader)
        .fetch_optional(conn)
        .await
}

/// If the commit fails, the outcome is unknown.
async fn commit_pass(lane: &Writer, pass: &Pass) -> Result<PassOutcome, StoreError> {
    bounded(async {
        let (mut held, outcomes) = stage(lane, pass).await?;
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
    lane: &'a Writer,
    pass: &Pass,
) -> sqlx::Result<(LaneConnection<'a>, Option<Vec<Outcome>>)> {
    let mut held = lane.take().await?;
    let outcomes = apply(&mut held.conn, pass).await?;
    Ok((held, outcomes))
}

async fn apply(conn: &mut SqliteConnection, pass: &Pass) -> sqlx::Result<Option<Vec<Outcome>>> {
    sqlx::raw_sql("begin immediate").execute(&mut *conn).await?;
    if !move_place(conn, pass).await? {
        return Ok(None);
    }
    write::apply_all(conn, &pass.writes).await.map(Some)
}

/// Moves the place and renews the lease. False if the lease is no longer as it was granted.
async fn move_place(conn: &mut SqliteConnection, pass: &Pass) -> sqlx::Result<bool> {
    let sql = "update reader set place = ?4, until = ?5
               where name = ?1 and holder = ?2 and place = ?3";
    let done = sqlx::query(sql)
        .bind(pass.lease.reader)
        .bind(pass.lease.holder.0)
        .bind(pass.lease.place)
        .bind(pass.to)
        .bind(pass.at.0.saturating_add(millis(pass.ttl)))
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}
