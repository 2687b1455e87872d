//! What can be changed about usage, on SQLite. The same functions in the same order as on
//! PostgreSQL.

use sqlx::sqlite::SqliteConnection;

use crate::domain::event::facts::CredentialFacts;
use crate::domain::id::AgentId;
use crate::domain::time::Month;
use crate::domain::usage::UsageSums;
use crate::store::row::json;
use crate::store::usage::ExpiringAgent;
use crate::store::write::{Outcome, UsageChange};

/// Applies one change.
pub(super) async fn apply(
    conn: &mut SqliteConnection,
    change: &UsageChange,
) -> sqlx::Result<Outcome> {
    match change {
        UsageChange::Add(sums) => add(conn, sums).await,
        UsageChange::NoteQuota {
            agent_id,
            month,
            percent,
            ..
        } => note_quota(conn, agent_id, *month, *percent).await,
        UsageChange::NoteExpiry { credential, days } => note_expiry(conn, credential, *days).await,
        UsageChange::NoteAgentExpiry(expiring, days) => {
            note_agent_expiry(conn, expiring, *days).await
        }
    }
}

async fn add(conn: &mut SqliteConnection, sums: &UsageSums) -> sqlx::Result<Outcome> {
    // `where true` tells the parser that `on conflict` is not the condition of a join.
    let sql = "insert into usage_day (agent_id, day, issued)
               select value ->> 0, value ->> 1, value ->> 2 from jsonb_each(?1) where true
               on conflict (day, agent_id) do update set issued = issued + excluded.issued";
    let rows = sums.issued.iter();
    let rows = rows.map(|(id, day, issued)| (id.as_str(), day.0, *issued));
    insert(conn, sql, &rows.collect::<Vec<_>>()).await?;
    let sql = "insert into refused_day (agent_id, day, reason, refused)
               select value ->> 0, value ->> 1, value ->> 2, value ->> 3 from jsonb_each(?1) where true
               on conflict (day, agent_id, reason) do update set refused = refused + excluded.refused";
    let rows = sums.refused.iter();
    let rows = rows.map(|(id, day, reason, refused)| (id.as_str(), day.0, reason, *refused));
    insert(conn, sql, &rows.collect::<Vec<_>>()).await?;
    let sql = "insert into scope_use (agent_id, scope, last_used_at)
               select value ->> 0, value ->> 1, value ->> 2 from jsonb_each(?1) where true
               on conflict (agent_id, scope) do update set last_used_at = excluded.last_used_at
               where last_used_at < excluded.last_used_at";
    let rows = sums.scopes.iter();
    let rows = rows.map(|(id, scope, at)| (id.as_str(), scope, at.0));
    insert(conn, sql, &rows.collect::<Vec<_>>()).await?;
    let sql = "insert into credential_use (agent_id, credential_id, last_used_at)
               select value ->> 0, unhex(value ->> 1), value ->> 2 from jsonb_each(?1) where true
               on conflict (agent_id, credential_id) do update set last_used_at = excluded.last_used_at
               where last_used_at < excluded.last_used_at";
    let rows = sums.credentials.iter();
    let rows =
        rows.map(|(id, credential, at)| (id.as_str(), credential.0.simple().to_string(), at.0));
    insert(conn, sql, &rows.collect::<Vec<_>>()).await?;
    Ok(Outcome::Applied)
}

async fn insert(
    conn: &mut SqliteConnection,
    sql: &'static str,
    rows: &impl serde::Serialize,
) -> sqlx::Result<()> {
    let rows = json(rows).map_err(sqlx::Error::Encode)?;
    sqlx::query(sql).bind(rows).execute(conn).await.map(drop)
}

async fn note_quota(
    conn: &mut SqliteConnection,
    agent_id: &AgentId,
    month: Month,
    percent: u8,
) -> sqlx::Result<Outcome> {
    let sql = "insert into quota_notice (agent_id, month, percent) values (?1, ?2, ?3)
               on conflict do nothing";
    let noted = sqlx::query(sql)
        .bind(agent_id.as_str())
        .bind(month.key())
        .bind(i64::from(percent))
        .execute(conn)
        .await?;
    Ok(Outcome::applied_or(
        noted.rows_affected(),
        Outcome::Unchanged,
    ))
}

/// An expiry that was moved is noted again.
async fn note_expiry(
    conn: &mut SqliteConnection,
    credential: &CredentialFacts,
    days: i64,
) -> sqlx::Result<Outcome> {
    let sql = "insert into expiry_notice as n (credential_id, days, expires_at)
               select ?1, ?2, ?3
               where exists (select 1 from credential where credential_id = ?1 and expires_at = ?3)
               on conflict (credential_id, days) do update set expires_at = excluded.expires_at
               where n.expires_at <> excluded.expires_at";
    let noted = sqlx::query(sql)
        .bind(credential.credential_id.0)
        .bind(days)
        .bind(credential.expires_at.map(|at| at.0))
        .execute(conn)
        .await?;
    Ok(Outcome::applied_or(
        noted.rows_affected(),
        Outcome::Unchanged,
    ))
}

/// An expiry that was moved is noted again.
async fn note_agent_expiry(
    conn: &mut SqliteConnection,
    expiring: &ExpiringAgent,
    days: i64,
) -> sqlx::Result<Outcome> {
    let sql = "insert into agent_expiry_notice as n (agent_id, days, expires_at)
               select ?1, ?2, ?3
               where exists (select 1 from agent where agent_id = ?1 and expires_at = ?3)
               on conflict (agent_id, days) do update set expires_at = excluded.expires_at
               where n.expires_at <> excluded.expires_at";
    let noted = sqlx::query(sql)
        .bind(expiring.agent_id.as_str())
        .bind(days)
        .bind(expiring.expires_at.0)
        .execute(conn)
        .await?;
    Ok(Outcome::applied_or(
        noted.rows_affected(),
        Outcome::Unchanged,
    ))
}
