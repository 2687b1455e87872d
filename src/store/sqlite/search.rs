//! The search for events, on SQLite. The same functions in the same order as on PostgreSQL.

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

use crate::domain::digest::hex;
use crate::domain::event::row::EventRow;
use crate::domain::event::search::{EventCriteria, EventOrder};
use crate::domain::id::AgentId;
use crate::store::error::StoreError;
use crate::store::records::SearchEvents;
use crate::store::row::{EventColumns, event, list};
use crate::store::search::{IdRange, MAX_WINDOW_ROWS, kind_texts};

use super::lane::ask_again;
use super::open::SqliteStore;

#[async_trait]
impl SearchEvents for SqliteStore {
    async fn change_window(
        &self,
        order: EventOrder,
        range: IdRange,
    ) -> Result<IdRange, StoreError> {
        ask_again!(self.readers, change_window, order, range).await
    }

    async fn search_changes(
        &self,
        sought: &EventCriteria,
        order: EventOrder,
        range: IdRange,
        limit: i64,
    ) -> Result<Vec<EventRow>, StoreError> {
        ask_again!(self.readers, search_changes, sought, order, range, limit).await
    }
}

async fn change_window(
    conn: &mut SqliteConnection,
    order: EventOrder,
    range: IdRange,
) -> sqlx::Result<IdRange> {
    let sql = match order {
        EventOrder::Ascending => {
            "select id from audit_event where id > ?1 and id <= ?2 order by id limit 1 offset ?3"
        }
        EventOrder::Descending => {
            "select id from audit_event where id > ?1 and id <= ?2 order by id desc limit 1 offset ?3"
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
             where id > ?1 and id <= ?2
               and (?3 is null or agent_id = ?3)
               and (?4 is null or actor = ?4)
               and (?5 is null or kind in (select value from json_each(?5)))
               and (?6 is null or jti = ?6)
               and (?7 is null or hex(request) in (select value from json_each(?7)))
               and (?8 is null or at >= ?8)
               and (?9 is null or at < ?9)
             order by id ",
            $direction,
            " limit ?10"
        )
    };
}

async fn search_changes(
    conn: &mut SqliteConnection,
    sought: &EventCriteria,
    order: EventOrder,
    range: IdRange,
    limit: i64,
) -> sqlx::Result<Vec<EventRow>> {
    let sql = match order {
        EventOrder::Ascending => search_changes!("asc"),
        EventOrder::Descending => search_changes!("desc"),
    };
    let kinds = kind_texts(sought).map(|kinds| list(kinds.into_iter()));
    let requests = sought.requests.as_ref().map(|sought| {
        let hexes: Vec<String> = sought
            .iter()
            .map(|one| hex(&one.to_bytes()).to_uppercase())
            .collect();
        list(hexes.iter().map(String::as_str))
    });
    let rows: Vec<EventColumns> = sqlx::query_as(sql)
        .bind(range.after)
        .bind(range.through)
        .bind(sought.agent_id.as_ref().map(AgentId::as_str))
        .bind(sought.actor.as_deref())
        .bind(kinds)
        .bind(sought.jti.map(|jti| jti.0))
        .bind(requests)
        .bind(sought.from.map(|from| from.0))
        .bind(sought.to.map(|to| to.0))
        .bind(limit)
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(event).collect())
}
