//! The search for events, on PostgreSQL. The same functions in the same order as on SQLite.

use async_trait::async_trait;
use sqlx::postgres::PgConnection;

use crate::domain::event::row::EventRow;
use crate::domain::event::search::{EventCriteria, EventOrder};
use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::log::{LogEntryKind, log_index};
use crate::store::records::SearchEvents;
use crate::store::row::{EventColumns, TokenColumns, event, token_event};
use crate::store::search::{EventTable, IdRange, MAX_WINDOW_ROWS, kind_texts};

use super::errors::broken;
use super::lane::ask_again;
use super::open::PostgresStore;

#[async_trait]
impl SearchEvents for PostgresStore {
    async fn search_window(
        &self,
        table: EventTable,
        order: EventOrder,
        range: IdRange,
    ) -> Result<IdRange, StoreError> {
        ask_again!(self.general, search_window, table, order, range).await
    }

    async fn search_events(
        &self,
        table: EventTable,
        sought: &EventCriteria,
        order: EventOrder,
        range: IdRange,
        limit: i64,
    ) -> Result<Vec<EventRow>, StoreError> {
        match table {
            EventTable::Changes => {
                ask_again!(self.general, search_changes, sought, order, range, limit).await
            }
            EventTable::Tokens => {
                ask_again!(self.general, search_tokens, sought, order, range, limit).await
            }
        }
    }

    async fn first_token(
        &self,
        order: EventOrder,
        range: IdRange,
    ) -> Result<Option<(i64, Timestamp)>, StoreError> {
        ask_again!(self.general, first_token, order, range).await
    }

    async fn log_indexes(
        &self,
        events: &[(i64, LogEntryKind)],
    ) -> Result<Vec<(i64, u64)>, StoreError> {
        ask_again!(self.general, log_indexes, events).await
    }
}

/// A statement for each order, which begins with the first text and ends with the second one.
macro_rules! in_order {
    ($order:expr, $begin:literal, $end:literal) => {
        match $order {
            EventOrder::Ascending => concat!($begin, " asc ", $end),
            EventOrder::Descending => concat!($begin, " desc ", $end),
        }
    };
}

async fn search_window(
    conn: &mut PgConnection,
    table: EventTable,
    order: EventOrder,
    range: IdRange,
) -> sqlx::Result<IdRange> {
    let sql = match table {
        EventTable::Changes => in_order!(
            order,
            "select id from audit_event where id > $1 and id <= $2 order by id",
            "limit 1 offset $3"
        ),
        EventTable::Tokens => in_order!(
            order,
            "select id from token_event where id > $1 and id <= $2 order by id",
            "limit 1 offset $3"
        ),
    };
    let last: Option<i64> = sqlx::query_scalar(sql)
        .bind(range.after)
        .bind(range.through)
        .bind(MAX_WINDOW_ROWS - 1)
        .fetch_optional(conn)
        .await?;
    Ok(last.map_or(range, |last| range.until(order, last)))
}

async fn search_changes(
    conn: &mut PgConnection,
    sought: &EventCriteria,
    order: EventOrder,
    range: IdRange,
    limit: i64,
) -> sqlx::Result<Vec<EventRow>> {
    let sql = in_order!(
        order,
        "select id, at, kind, actor, agent_id, jti, expires_at, epoch, detail, credential_id, org_id, source,
                request, reason, data
         from audit_event
         where id > $1 and id <= $2
           and ($3::text is null or agent_id = $3)
           and ($4::text is null or actor = $4)
           and ($5::text[] is null or kind = any($5))
           and ($6::uuid is null or jti = $6)
           and ($7::bytea[] is null or request = any($7))
           and ($8::bigint is null or at >= $8)
           and ($9::bigint is null or at < $9)
           and ($10::text is null or coalesce(org_id, 'default') = $10)
         order by id",
        "limit $11"
    );
    let rows: Vec<EventColumns> = sqlx::query_as(sql)
        .bind(range.after)
        .bind(range.through)
        .bind(sought.agent_id.as_ref().map(AgentId::as_str))
        .bind(sought.actor.as_deref())
        .bind(kind_texts(sought))
        .bind(sought.jti.map(|jti| jti.0))
        .bind(requests(sought))
        .bind(sought.from.map(|from| from.0))
        .bind(sought.to.map(|to| to.0))
        .bind(sought.org_id.as_ref().map(OrgId::as_str))
        .bind(limit)
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(event).collect())
}

/// All rows are `token.issued` events, and their agent is their actor.
async fn search_tokens(
    conn: &mut PgConnection,
    sought: &EventCriteria,
    order: EventOrder,
    range: IdRange,
    limit: i64,
) -> sqlx::Result<Vec<EventRow>> {
    let sql = in_order!(
        order,
        "select e.id, e.at, e.jti, e.epoch, e.request, e.source, coalesce(e.agent_id, t.agent_id), e.inline,
                t.credential_id, t.scope, t.audience, t.ttl
         from token_event e
         left join token_terms t on t.id = e.terms
         where e.id > $1 and e.id <= $2
           and ($3::text is null or coalesce(e.agent_id, t.agent_id) = $3)
           and ($4::text is null or 'agent:' || coalesce(e.agent_id, t.agent_id) = $4)
           and ($5::uuid is null or e.jti = $5)
           and ($6::bytea[] is null or e.request = any($6))
           and ($7::bigint is null or e.at >= $7)
           and ($8::bigint is null or e.at < $8)
           and ($9::text is null or coalesce((select a.org_id from agent a where a.agent_id = coalesce(e.agent_id, t.agent_id)), 'default') = $9)
         order by e.id",
        "limit $10"
    );
    let rows: Vec<TokenColumns> = sqlx::query_as(sql)
        .bind(range.after)
        .bind(range.through)
        .bind(sought.agent_id.as_ref().map(AgentId::as_str))
        .bind(sought.actor.as_deref())
        .bind(sought.jti.map(|jti| jti.0))
        .bind(requests(sought))
        .bind(sought.from.map(|from| from.0))
        .bind(sought.to.map(|to| to.0))
        .bind(sought.org_id.as_ref().map(OrgId::as_str))
        .bind(limit)
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(token_event).collect())
}

async fn first_token(
    conn: &mut PgConnection,
    order: EventOrder,
    range: IdRange,
) -> sqlx::Result<Option<(i64, Timestamp)>> {
    let sql = in_order!(
        order,
        "select id, at from token_event where id > $1 and id <= $2 order by id",
        "limit 1"
    );
    let row: Option<(i64, i64)> = sqlx::query_as(sql)
        .bind(range.after)
        .bind(range.through)
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|(id, at)| (id, Timestamp(at))))
}

async fn log_indexes(
    conn: &mut PgConnection,
    events: &[(i64, LogEntryKind)],
) -> sqlx::Result<Vec<(i64, u64)>> {
    let ids: Vec<i64> = events.iter().map(|(id, _)| *id).collect();
    let tokens: Vec<bool> = events
        .iter()
        .map(|(_, kind)| *kind == LogEntryKind::Tokens)
        .collect();
    let rows: Vec<(i64, i64)> = sqlx::query_as(
        "select sought.id, entry.position
         from unnest($1::bigint[], $2::boolean[]) sought (id, tokens)
         cross join lateral (
             select position, first_id from log_entry
             where tokens = sought.tokens and last_id >= sought.id
             order by last_id
             limit 1
         ) entry
         where entry.first_id <= sought.id",
    )
    .bind(ids)
    .bind(tokens)
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|(id, position)| Ok((id, log_index(position).map_err(broken)?)))
        .collect()
}

/// The sought requests, as rows hold them.
fn requests(sought: &EventCriteria) -> Option<Vec<Vec<u8>>> {
    let requests = sought.requests.as_ref()?;
    Some(requests.iter().map(|one| one.to_bytes()).collect())
}
