//! What can be changed about the generation of a store, on SQLite. The same functions in the same
//! order as on PostgreSQL.

use sqlx::sqlite::SqliteConnection;

use crate::domain::time::Timestamp;
use crate::store::write::{GenerationChange, Outcome};

use super::log::begin_log;

/// Applies one change.
pub(super) async fn apply(
    conn: &mut SqliteConnection,
    at: Timestamp,
    change: &GenerationChange,
) -> sqlx::Result<Outcome> {
    match change {
        GenerationChange::Mark { generation } => mark(conn, at, *generation).await,
        GenerationChange::Begin { from, to, origin } => begin(conn, at, (*from, *to), origin).await,
        // A file does not know its place.
        GenerationChange::Settle => Ok(Outcome::Unchanged),
    }
}

async fn mark(
    conn: &mut SqliteConnection,
    at: Timestamp,
    generation: i64,
) -> sqlx::Result<Outcome> {
    let sql = "update store_generation set restored_at = ?2
               where generation = ?1 and restored_at is null";
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
    conn: &mut SqliteConnection,
    at: Timestamp,
    (from, to): (i64, i64),
    origin: &str,
) -> sqlx::Result<Outcome> {
    let sql =
        "update store_generation set generation = ?2, restored_at = null where generation = ?1";
    let begun = sqlx::query(sql)
        .bind(from)
        .bind(to)
        .execute(&mut *conn)
        .await?;
    if begun.rows_affected() == 0 {
        return Ok(Outcome::Conflict);
    }
    begin_log(conn, at, to, origin).await
}
