//! The standing of tokens, on SQLite. The same functions in the same order as on PostgreSQL.

use std::collections::HashSet;

use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use crate::domain::agent::{AgentStatus, Epoch};
use crate::domain::id::Jti;
use crate::domain::org::OrgId;
use crate::domain::time::Timestamp;
use crate::store::org::org_standing;
use crate::store::row::json;
use crate::store::token::{Standing, TokenRef};

use super::errors::broken;

pub(super) async fn standing(
    conn: &mut SqliteConnection,
    tokens: &[TokenRef],
) -> sqlx::Result<Vec<Standing>> {
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    let tokens: Vec<(String, &str)> = tokens
        .iter()
        .map(|t| (t.jti.0.simple().to_string(), t.agent_id.as_str()))
        .collect();
    let rows: Vec<StandingColumns> = sqlx::query_as(
        "select r.jti is not null, a.status, a.epoch, a.expires_at, a.org_id, o.status, o.epoch,
                (select version from revision where name = 'keys')
         from json_each(?1) t
         left join revoked_token r on r.jti = unhex(t.value ->> 0)
         left join agent a on a.agent_id = t.value ->> 1
         left join org o on o.org_id = a.org_id and a.org_id <> 'default'
         order by t.key",
    )
    .bind(json(&tokens).map_err(sqlx::Error::Encode)?)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(standing_row).collect()
}

/// Which of these tokens were revoked individually.
pub(super) async fn revoked(
    conn: &mut SqliteConnection,
    jtis: &[Jti],
) -> sqlx::Result<HashSet<Jti>> {
    let jtis: Vec<String> = jtis.iter().map(|jti| jti.0.simple().to_string()).collect();
    let sql = "select jti from revoked_token where jti in (select unhex(value) from json_each(?1))";
    let rows: Vec<Uuid> = sqlx::query_scalar(sql)
        .bind(json(&jtis).map_err(sqlx::Error::Encode)?)
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(Jti).collect())
}

/// The columns of a token's standing.
type StandingColumns = (
    bool,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<i64>,
    i64,
);

fn standing_row(
    (revoked, status, epoch, expires_at, org_id, org_status, org_epoch, keys_version): StandingColumns,
) -> sqlx::Result<Standing> {
    let status = status
        .as_deref()
        .map(AgentStatus::parse)
        .transpose()
        .map_err(broken)?;
    Ok(Standing {
        revoked,
        agent: status.zip(epoch.map(Epoch)),
        org_id: org_id
            .as_deref()
            .map(OrgId::parse)
            .transpose()
            .map_err(broken)?,
        org: org_standing(org_status.as_deref(), org_epoch).map_err(broken)?,
        expires_at: expires_at.map(Timestamp),
        keys_version,
    })
}
