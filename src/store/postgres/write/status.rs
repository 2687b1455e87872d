//! Where an agent stands when a write asks, on PostgreSQL.

use sqlx::postgres::PgConnection;

use crate::domain::agent::AgentStatus;
use crate::domain::id::AgentId;

/// Where an agent stands, held until the commit; `None` when there is none.
pub(super) async fn status_of(
    conn: &mut PgConnection,
    agent_id: &AgentId,
) -> sqlx::Result<Option<AgentStatus>> {
    let sql = "select status from agent where agent_id = $1 for update";
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
