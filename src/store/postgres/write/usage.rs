//! What can be changed about usage, on PostgreSQL. The same functions in the same order as on
//! SQLite.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::domain::event::facts::CredentialFacts;
use crate::domain::id::AgentId;
use crate::domain::time::Month;
use crate::domain::usage::UsageSums;
use crate::store::usage::ExpiringAgent;
use crate::store::write::{Outcome, UsageChange};

/// Applies one change.
pub(super) async fn apply(conn: &mut PgConnection, change: &UsageChange) -> sqlx::Result<Outcome> {
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

async fn add(conn: &mut PgConnection, sums: &UsageSums) -> sqlx::Result<Outcome> {
    let sql = "insert into usage_day as u (agent_id, day, issued)
               select * from unnest($1::text[], $2::bigint[], $3::bigint[])
               on conflict (day, agent_id) do update set issued = u.issued + excluded.issued";
    let rows = &sums.issued;
    sqlx::query(sql)
        .bind(rows.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, day, _)| day.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|(.., issued)| *issued).collect::<Vec<_>>())
        .execute(&mut *conn)
        .await?;
    let sql = "insert into refused_day as u (agent_id, day, reason, refused)
               select * from unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[])
               on conflict (day, agent_id, reason) do update set refused = u.refused + excluded.refused";
    let rows = &sums.refused;
    sqlx::query(sql)
        .bind(rows.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, day, ..)| day.0).collect::<Vec<_>>())
        .bind(
            rows.iter()
                .map(|(_, _, reason, _)| reason.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(
            rows.iter()
                .map(|(.., refused)| *refused)
                .collect::<Vec<_>>(),
        )
        .execute(&mut *conn)
        .await?;
    let sql = "insert into scope_use as u (agent_id, scope, last_used_at)
               select * from unnest($1::text[], $2::text[], $3::bigint[])
               on conflict (agent_id, scope) do update set last_used_at = excluded.last_used_at
               where u.last_used_at < excluded.last_used_at";
    let rows = &sums.scopes;
    sqlx::query(sql)
        .bind(rows.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>())
        .bind(
            rows.iter()
                .map(|(_, scope, _)| scope.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(rows.iter().map(|(.., at)| at.0).collect::<Vec<_>>())
        .execute(&mut *conn)
        .await?;
    let sql = "insert into credential_use as u (agent_id, credential_id, last_used_at)
               select * from unnest($1::text[], $2::uuid[], $3::bigint[])
               on conflict (agent_id, credential_id) do update set last_used_at = excluded.last_used_at
               where u.last_used_at < excluded.last_used_at";
    let rows = &sums.credentials;
    sqlx::query(sql)
        .bind(rows.iter().map(|(id, ..)| id.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, id, _)| id.0).collect::<Vec<Uuid>>())
        .bind(rows.iter().map(|(.., at)| at.0).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(Outcome::Applied)
}

async fn note_quota(
    conn: &mut PgConnection,
    agent_id: &AgentId,
    month: Month,
    percent: u8,
) -> sqlx::Result<Outcome> {
    let sql = "insert into quota_notice (agent_id, month, percent) values ($1, $2, $3)
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
    conn: &mut PgConnection,
    credential: &CredentialFacts,
    days: i64,
) -> sqlx::Result<Outcome> {
    let sql = "insert into expiry_notice as n (credential_id, days, expires_at)
               select $1, $2, $3
               where exists (select from credential where credential_id = $1 and expires_at = $3)
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
    conn: &mut PgConnection,
    expiring: &ExpiringAgent,
    days: i64,
) -> sqlx::Result<Outcome> {
    let sql = "insert into agent_expiry_notice as n (agent_id, days, expires_at)
               select $1, $2, $3
               where exists (select from agent where agent_id = $1 and expires_at = $3)
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
