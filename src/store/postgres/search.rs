//! The search for events, on PostgreSQL. The same functions in the same order as on SQLite.

use async_trait::async_trait;
use sqlx::postgres::PgConnection;

use crate::domain::event::request::RequestRef;
use crate::domain::event::row::EventRow;
use crate::domain::event::search::{EventCriteria, EventOrder};
use crate::domain::id::AgentId;
use crate::store::error::StoreError;
use crate::store::records::SearchEvents;
use crate::store::row::{EventColumns, event};
use crate::store::search::{IdRange, MAX_WINDOW_ROWS, kind_texts};

use super::lane::ask_again;
use super::open::PostgresStore;

#[async_trait]
impl SearchEvents for PostgresStore {
    async fn change_window(
        &self,
        order: EventOrder,
        range: IdRange,
    ) -> Result<IdRange, StoreError> {
        ask_again!(self.general, change_window, order, range).await
    }

    async fn search_changes(
        &self,
        sought: &EventCriteria,
        order: EventOrder,
        range: IdRange,
        limit: i64,
    ) -> Result<Vec<EventRow>, StoreError> {
        ask_again!(self.general, search_changes, sought, order, range, limit).await
    }
}

async fn change_window(
    conn: &mut PgConnection,
    order: EventOrder,
    range: IdRange,
) -> sqlx::Result<IdRange> {
    let sql = match order {
        EventOrder::Ascending => {
            "select id from audit_event where id > $1 and id <= $2 order by id limit 1 offset $3"
        }
        EventOrder::Descending => {
            "select id from audit_event where id > $1 and id <= $2 order by id desc limit 1 offset $3"
        }
    };
    let last: Option<i64> = sqlx::query_scalar(sql)
        .bind(range.after)
        .bind(range.through)
        .bind(MAX_WINDOW_ROWS - 1)
        .fetch_optional(conn)
        .await?;
    Ok(last.map_or(range, |last| range.until(order, last)))
}

/// The statement of a search in one direction.
macro_rules! search_changes {
    ($direction:literal) => {
        concat!(
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
             order by id ",
            $direction,
            " limit $10"
        )
    };
}

async fn search_changes(
    conn: &mut PgConnection,
    sought: &EventCriteria,
    order: EventOrder,
    range: IdRange,
    limit: i64,
) -> sqlx::Result<Vec<EventRow>> {
    let sql = match order {
        EventOrder::Ascending => search_changes!("asc"),
        EventOrder::Descending => search_changes!("desc"),
    };
    let requests: Option<Vec<Vec<u8>>> = sought.requests.as_ref().map(|sought| {
        sought
            .iter()
            .map(|one| RequestRef::to_bytes(*one))
            .collect()
    });
    let rows: Vec<EventColumns> = sqlx::query_as(sql)
        .bind(range.after)
        .bind(range.through)
        .bind(sought.agent_id.as_ref().map(AgentId::as_str))
        .bind(sought.actor.as_deref())
        .bind(kind_texts(sought))
        .bind(sought.jti.map(|jti| jti.0))
        .bind(requests)
        .bind(sought.from.map(|from| from.0))
        .bind(sought.to.map(|to| to.0))
        .bind(limit)
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(event).collect())
}
