//! Reads of the tamper-evident log, on SQLite. The same functions in the same order as on
//! PostgreSQL.

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

use crate::domain::tree::hash::NodeHash;
use crate::store::error::StoreError;
use crate::store::log::{
    LogEntry, LogEntryColumns, LogEntryKind, LogHead, LogHeadColumns, log_entry, log_hash,
    log_head, log_position,
};
use crate::store::records::ReadLog;

use super::errors::broken;
use super::lane::ask_again;
use super::open::SqliteStore;

#[async_trait]
impl ReadLog for SqliteStore {
    async fn log_heads(&self) -> Result<Vec<LogHead>, StoreError> {
        ask_again!(self.readers, log_heads).await
    }

    async fn log_hashes(
        &self,
        level: u8,
        from: u64,
        count: u16,
    ) -> Result<Vec<NodeHash>, StoreError> {
        ask_again!(self.readers, log_hashes, level, from, count).await
    }

    async fn log_entries(&self, from: u64, limit: i64) -> Result<Vec<LogEntry>, StoreError> {
        ask_again!(self.readers, log_entries, from, limit).await
    }

    async fn log_entry_from(
        &self,
        kind: LogEntryKind,
        id: i64,
    ) -> Result<Option<LogEntry>, StoreError> {
        ask_again!(self.readers, log_entry_from, kind, id).await
    }
}

async fn log_heads(conn: &mut SqliteConnection) -> sqlx::Result<Vec<LogHead>> {
    let sql = "select generation, origin, size, note, at from log order by generation";
    let rows: Vec<LogHeadColumns> = sqlx::query_as(sql).fetch_all(conn).await?;
    rows.into_iter()
        .map(|row| log_head(row).map_err(broken))
        .collect()
}

async fn log_hashes(
    conn: &mut SqliteConnection,
    level: u8,
    from: u64,
    count: u16,
) -> sqlx::Result<Vec<NodeHash>> {
    let from = log_position(from).map_err(broken)?;
    let sql = if level == 0 {
        "select hash from log_entry
         where ?1 = 0 and position >= ?2 and position < ?2 + ?3 order by position"
    } else {
        "select hash from log_node
         where level = ?1 and position >= ?2 and position < ?2 + ?3 order by position"
    };
    let rows: Vec<Vec<u8>> = sqlx::query_scalar(sql)
        .bind(i64::from(level))
        .bind(from)
        .bind(i64::from(count))
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|hash| log_hash(hash).map_err(broken))
        .collect()
}

async fn log_entries(
    conn: &mut SqliteConnection,
    from: u64,
    limit: i64,
) -> sqlx::Result<Vec<LogEntry>> {
    let rows: Vec<LogEntryColumns> = sqlx::query_as(
        "select position, tokens, first_id, last_id, hash, entry
         from log_entry
         where position >= ?1
         order by position
         limit ?2",
    )
    .bind(log_position(from).map_err(broken)?)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| log_entry(row).map_err(broken))
        .collect()
}

async fn log_entry_from(
    conn: &mut SqliteConnection,
    kind: LogEntryKind,
    id: i64,
) -> sqlx::Result<Option<LogEntry>> {
    let row: Option<LogEntryColumns> = sqlx::query_as(
        "select position, tokens, first_id, last_id, hash, entry
         from log_entry
         where tokens = ?1 and last_id >= ?2
         order by last_id
         limit 1",
    )
    .bind(kind == LogEntryKind::Tokens)
    .bind(id)
    .fetch_optional(conn)
    .await?;
    row.map(|row| log_entry(row).map_err(broken)).transpose()
}
