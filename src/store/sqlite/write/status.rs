//! The current status of an agent, for a write, on SQLite.

use sqlx::sqlite::SqliteConnection;

use crate::domain::agent::AgentStatus;
use crate::domain::id::AgentId;

/// The status of an agent; `None` if there is no such agent. The transaction holds the write lock.
pub(super) async fn status_of(
    conn: &mut SqliteConnection,
    agent_id: &AgentId,
) -> sqlx::Result<Option<AgentStatus>> {
    let sql = "select status from agent where agent_id = ?1";
    let status: Option<String> = sqlx::query_scalar(sql)
        .bind(agent_id.as_str())
        .fetch_optional(conn)
        .await?;
    status
        .as_deref()
        .map(AgentStatus::parse)
        .transpose()
        .map_err(|e| sqlx::Error::Decode(e.into()))
}
