//! What can be changed about the generation of a store, on PostgreSQL. The same functions in the
//! same order as on SQLite.

use sqlx::postgres::PgConnection;

use crate::domain::time::Timestamp;
use crate::store::postgres::generation::home;
use crate::store::write::{GenerationChange, Outcome};

use super::log::begin_log;

/// Applies one change.
pub(super) async fn apply(
    conn: &mut PgConnection,
    at: Timestamp,
    change: &GenerationChange,
) -> sqlx::Result<Outcome> {
    match change {
        GenerationChange::Mark { generation } => mark(conn, at, *generation).await,
        GenerationChange::Begin { from, to, origin } => begin(conn, at, (*from, *to), origin).await,
        GenerationChange::Settle => settle(conn).await,
    }
}

async fn mark(conn: &mut PgConnection, at: Timestamp, generation: i64) -> sqlx::Result<Outcome> {
    let sql = "update store_generation set restored_at = $2
               where generation = $1 and restored_at is null";
    let marked = sqlx::query(sql)
        .bind(generation)
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(Outcome::applied_or(
        marked.rows_affected(),
        Outcome::Unchanged,
    ))
}

async fn begin(
    conn: &mut PgConnection,
    at: Timestamp,
    (from, to): (i64, i64),
    origin: &str,
) -> sqlx::Result<Outcome> {
    let home = home(conn).await?;
    let sql = "update store_generation set generation = $2, restored_at = null, home = $3
               where generation = $1";
    let begun = sqlx::query(sql)
        .bind(from)
        .bind(to)
        .bind(home)
        .execute(&mut *conn)
        .await?;
    if begun.rows_affected() == 0 {
        return Ok(Outcome::Conflict);
    }
    begin_log(conn, at, to, origin).await
}

async fn settle(conn: &mut PgConnection) -> sqlx::Result<Outcome> {
    let home = home(conn).await?;
    let sql = "update store_generation set home = $1 where home is null and $1::text is not null";
    let settled = sqlx::query(sql).bind(home).execute(conn).await?;
    Ok(Outcome::applied_or(
        settled.rows_affected(),
        Outcome::Unchanged,
    ))
}
