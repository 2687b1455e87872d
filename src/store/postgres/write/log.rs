//! What can be changed about the tamper-evident log, on PostgreSQL. The same functions in the same
//! order as on SQLite.

use sqlx::postgres::PgConnection;

use crate::domain::time::Timestamp;
use crate::store::log::{LogAppend, LogEntry, LogEntryKind, LogNode, log_position};
use crate::store::postgres::errors::broken;
use crate::store::write::{LogChange, Outcome};

/// Applies one change.
pub(super) async fn apply(
    conn: &mut PgConnection,
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
    conn: &mut PgConnection,
    at: Timestamp,
    generation: i64,
    origin: &str,
) -> sqlx::Result<Outcome> {
    // The tree of a later generation goes on from the entries of the earlier ones.
    let sql = "insert into log (generation, origin, size, at)
               select $1, $2, count(*), $3 from log_entry
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
    conn: &mut PgConnection,
    at: Timestamp,
    append: &LogAppend,
) -> sqlx::Result<Outcome> {
    let sql = "update log set size = size + $3, note = $4, at = $5
               where generation = $1 and size = $2
                 and not exists (select from log l where l.generation > $1)";
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

async fn insert_entries(conn: &mut PgConnection, entries: &[LogEntry]) -> sqlx::Result<()> {
    let positions = entries.iter().map(|entry| log_position(entry.index));
    let positions: Vec<i64> = positions.collect::<Result<_, _>>().map_err(broken)?;
    let is_block = |entry: &LogEntry| entry.kind == LogEntryKind::Tokens;
    let tokens: Vec<bool> = entries.iter().map(is_block).collect();
    let first: Vec<i64> = entries.iter().map(|entry| entry.first_id).collect();
    let last: Vec<i64> = entries.iter().map(|entry| entry.last_id).collect();
    let hashes: Vec<&[u8]> = entries.iter().map(|e| &e.hash.as_bytes()[..]).collect();
    let bytes: Vec<&[u8]> = entries.iter().map(|entry| &entry.bytes[..]).collect();
    sqlx::query(
        "insert into log_entry (position, tokens, first_id, last_id, hash, entry)
         select * from unnest($1::bigint[], $2::boolean[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bytea[])",
    )
    .bind(positions)
    .bind(tokens)
    .bind(first)
    .bind(last)
    .bind(hashes)
    .bind(bytes)
    .execute(conn)
    .await
    .map(drop)
}

async fn insert_nodes(conn: &mut PgConnection, nodes: &[LogNode]) -> sqlx::Result<()> {
    if nodes.is_empty() {
        return Ok(());
    }
    let positions = nodes.iter().map(|node| log_position(node.index));
    let positions: Vec<i64> = positions.collect::<Result<_, _>>().map_err(broken)?;
    let levels: Vec<i64> = nodes.iter().map(|node| node.level.into()).collect();
    let hashes: Vec<&[u8]> = nodes.iter().map(|n| &n.hash.as_bytes()[..]).collect();
    sqlx::query(
        "insert into log_node (level, position, hash)
         select * from unnest($1::bigint[], $2::bigint[], $3::bytea[])",
    )
    .bind(levels)
    .bind(positions)
    .bind(hashes)
    .execute(conn)
    .await
    .map(drop)
}
