//! Replies that are kept, as they are read, on SQLite. The same functions in the same order as on
//! PostgreSQL.

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

use crate::domain::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::key::Sealed;
use crate::store::reply::{REPLY_TTL, ReadReplies, ReplyPlace};

use super::lane::ask_again;
use super::open::SqliteStore;

#[async_trait]
impl ReadReplies for SqliteStore {
    async fn kept_reply(
        &self,
        place: ReplyPlace,
        now: Timestamp,
    ) -> Result<Option<Sealed>, StoreError> {
        ask_again!(self.readers, kept_reply, place, now).await
    }
}

pub(super) async fn kept_reply(
    conn: &mut SqliteConnection,
    place: ReplyPlace,
    now: Timestamp,
) -> sqlx::Result<Option<Sealed>> {
    let sql = "select sealed from kept_reply where place = ?1 and made_at > ?2";
    let sealed: Option<Vec<u8>> = sqlx::query_scalar(sql)
        .bind(&place.0[..])
        .bind(now.saturating_add(-REPLY_TTL).0)
        .fetch_optional(conn)
        .await?;
    Ok(sealed.map(Sealed))
}
