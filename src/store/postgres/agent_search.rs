//! The agents of a list, on PostgreSQL. The same functions in the same order as on SQLite.

use sqlx::postgres::PgConnection;

use crate::domain::about::Owner;
use crate::domain::agent::AgentStatus;
use crate::domain::agent_filter::{AgentFilter, NamePrefix};
use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::quota::PlanName;
use crate::store::agent_search::{
    AgentRows, BEHIND_ALL_IDS, MAX_WINDOW_AGENTS, last_use_bounds, stored_label,
};

use super::agent_columns::{agent_columns, agent_row};
use super::errors::broken;

/// The agents behind an id, and up to another one, that meet a filter. The part about ids stands
/// alone, so that the rows of ids are found by the primary key.
macro_rules! search {
    ($ids:literal) => {
        concat!(
            "select ",
            agent_columns!(),
            " from agent a
             where a.agent_id > $1 and a.agent_id <= $2
               and ($3::text is null or a.status = $3)
               and ($4::text is null or position($4 in a.scopes) > 0)
               and ($5::text is null or a.plan = $5)
               and not exists (select from unnest($6::text[]) as l where position(l in coalesce(a.labels, '')) = 0)
               and ($7::text is null or starts_with(a.name, $7))
               and ($8::text is null or a.owner = $8)
               and ($9::text is null or a.org_id = $9)
               and ($10::text is null or a.org_id = $10)
               and ($11::bigint is null or a.expires_at < $11)
               and ($12::bigint is null
                    or coalesce(
                        (select max(u.last_used_at) from scope_use u where u.agent_id = a.agent_id), -1
                    ) between $12 and $13)
               and ", $ids, "
             order by a.agent_id
             limit $15"
        )
    };
}

/// Reads a window of rows, or the rows of the ids that the filter names.
pub(super) async fn agents_where(
    conn: &mut PgConnection,
    filter: &AgentFilter,
    org_id: Option<&OrgId>,
    after: Option<&AgentId>,
    limit: i64,
) -> sqlx::Result<AgentRows> {
    // The empty string sorts before every id.
    let after = after.map_or("", AgentId::as_str);
    let through = if filter.ids.is_empty() {
        window_end(conn, after).await?
    } else {
        None
    };
    let sql = if filter.ids.is_empty() {
        search!("$14::text[] is null")
    } else {
        search!("a.agent_id = any($14::text[])")
    };
    let last_use = last_use_bounds(filter);
    // A scope contains neither quotation marks nor backslashes, so it stands in the list as it is.
    let scope = filter.scope.as_ref().map(|scope| format!("\"{scope}\""));
    let labels: Vec<String> = filter.labels.iter().map(stored_label).collect();
    let ids: Option<Vec<&str>> =
        (!filter.ids.is_empty()).then(|| filter.ids.iter().map(AgentId::as_str).collect());
    let rows = sqlx::query(sql)
        .bind(after)
        .bind(through.as_ref().map_or(BEHIND_ALL_IDS, AgentId::as_str))
        .bind(filter.status.map(AgentStatus::as_str))
        .bind(scope)
        .bind(filter.plan.as_ref().map(PlanName::as_str))
        .bind(labels)
        .bind(filter.name_prefix.as_ref().map(NamePrefix::as_str))
        .bind(filter.owner.as_ref().map(Owner::as_str))
        .bind(filter.org_id.as_ref().map(OrgId::as_str))
        .bind(org_id.map(OrgId::as_str))
        .bind(filter.expires_before.map(|time| time.0))
        .bind(last_use.map(|(first, _)| first))
        .bind(last_use.map(|(_, last)| last))
        .bind(ids)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    let agents = rows
        .iter()
        .map(agent_row)
        .collect::<sqlx::Result<Vec<_>>>()?;
    let is_full = i64::try_from(agents.len()).is_ok_and(|found| found >= limit);
    Ok(AgentRows {
        agents,
        through: through.filter(|_| !is_full),
    })
}

/// The last id of the window that begins behind `after`; `None` if the window has fewer rows.
async fn window_end(conn: &mut PgConnection, after: &str) -> sqlx::Result<Option<AgentId>> {
    let sql = "select agent_id from agent where agent_id > $1 order by agent_id limit 1 offset $2";
    let end: Option<String> = sqlx::query_scalar(sql)
        .bind(after)
        .bind(MAX_WINDOW_AGENTS - 1)
        .fetch_optional(conn)
        .await?;
    end.as_deref()
        .map(AgentId::parse)
        .transpose()
        .map_err(broken)
}
