//! The standing of tokens, on PostgreSQL. The same functions in the same order as on SQLite.

use std::collections::HashSet;

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::domain::agent::{AgentStatus, Epoch};
use crate::domain::id::Jti;
use crate::domain::org::OrgId;
use crate::domain::time::Timestamp;
use crate::store::org::org_standing;
use crate::store::token::{Standing, TokenRef};

use super::errors::broken;

pub(super) async fn standing(
    conn: &mut PgConnection,
    tokens: &[TokenRef],
) -> sqlx::Result<Vec<Standing>> {
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    let jtis: Vec<Uuid> = tokens.iter().map(|t| t.jti.0).collect();
    let ids: Vec<&str> = tokens.iter().map(|t| t.agent_id.as_str()).collect();
    let rows: Vec<StandingColumns> = sqlx::query_as(
        "select r.jti is not null, a.status, a.epoch, a.expires_at, a.org_id, o.status, o.epoch,
                (select version from revision where name = 'keys')
         from unnest($1::uuid[], $2::text[]) with ordinality as t (jti, agent_id, place)
         left join revoked_token r on r.jti = any (array[t.jti])
         left join agent a on a.agent_id = any (array[t.agent_id])
         left join org o on o.org_id = any (array[a.org_id]) and a.org_id <> 'default'
         order by t.place",
    )
    .bind(&jtis)
    .bind(&ids)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(standing_row).collect()
}

/// Which of these tokens were revoked individually.
pub(super) async fn revoked(conn: &mut PgConnection, jtis: &[Jti]) -> sqlx::Result<HashSet<Jti>> {
    let jtis: Vec<Uuid> = jtis.iter().map(|jti| jti.0).collect();
    let sql = "select jti from revoked_token where jti = any($1)";
    let rows: Vec<Uuid> = sqlx::query_scalar(sql).bind(jtis).fetch_all(conn).await?;
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
