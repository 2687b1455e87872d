//! What can be changed about the tamper-evident log, on SQLite. The same functions in the same order
//! as on PostgreSQL.

use sqlx::sqlite::SqliteConnection;

use crate::domain::time::Timestamp;
use crate::store::log::{LogAppend, LogEntry, LogEntryKind, LogNode, log_position};
use crate::store::sqlite::errors::broken;
use crate::store::write::{LogChange, Outcome};

/// Applies one change.
pub(super) async fn apply(
    conn: &mut SqliteConnection,
    at: Timestamp,
    change: &LogChange,
) -> sqlx::Result<Outcome> {
    match change {
        LogChange::Begin { generation, origin } => begin_log(conn, at, *generation, origin).await,
        LogChange::Append(append) => append_to_log(conn, at, append).await,
        LogChange::Prune { .. } => Ok(Outcome::Applied),
    }
}

/// Begins an empty log for a generation of the store.
pub(super) async fn begin_log(
    conn: &mut SqliteConnection,
    at: Timestamp,
    generation: i64,
    origin: &str,
) -> sqlx::Result<Outcome> {
    // The tree of a later generation goes on from the entries of the earlier ones.
    let sql = "insert into log (generation, origin, size, at)
               select ?1, ?2, count(*), ?3 from log_entry where true
               on conflict do nothing";
    let added = sqlx::query(sql)
        .bind(generation)
        .bind(origin)
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(Outcome::applied_or(
        added.rows_affected(),
        Outcome::Conflict,
    ))
}

async fn append_to_log(
    conn: &mut SqliteConnection,
    at: Timestamp,
    append: &LogAppend,
) -> sqlx::Result<Outcome> {
    let sql = "update log set size = size + ?3, note = ?4, at = ?5
               where generation = ?1 and size = ?2
                 and not exists (select 1 from log l where l.generation > ?1)";
    let moved = sqlx::query(sql)
        .bind(append.generation)
        .bind(log_position(append.old_size).map_err(broken)?)
        .bind(i64::try_from(append.entries.len()).map_err(broken)?)
        .bind(&append.note)
        .bind(at.0)
        .execute(&mut *conn)
        .await?;
    if moved.rows_affected() != 1 {
        return Err(broken("the log is not as it was when this pass began"));
    }
    insert_entries(conn, &append.entries).await?;
    insert_nodes(conn, &append.nodes).await?;
    Ok(Outcome::Applied)
}

async fn insert_entries(conn: &mut SqliteConnection, entries: &[LogEntry]) -> sqlx::Result<()> {
    for entry in entries {
        sqlx::query(
            "insert into log_entry (position, tokens, first_id, last_id, hash, entry)
             values (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .bind(log_position(entry.index).map_err(broken)?)
        .bind(entry.kind == LogEntryKind::Tokens)
        .bind(entry.first_id)
        .bind(entry.last_id)
        .bind(&entry.hash.as_bytes()[..])
        .bind(&entry.bytes)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

async fn insert_nodes(conn: &mut SqliteConnection, nodes: &[LogNode]) -> sqlx::Result<()> {
    for node in nodes {
        sqlx::query("insert into log_node (level, position, hash) values (?1, ?2, ?3)")
            .bind(i64::from(node.level))
            .bind(log_position(node.index).map_err(broken)?)
            .bind(&node.hash.as_bytes()[..])
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}
