//! Replies that are kept, as they are read, on PostgreSQL. The same functions in the same order as
//! on SQLite.

use async_trait::async_trait;
use sqlx::postgres::PgConnection;

use crate::domain::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::key::Sealed;
use crate::store::reply::{REPLY_TTL, ReadReplies, ReplyPlace};

use super::lane::ask_again;
use super::open::PostgresStore;

#[async_trait]
impl ReadReplies for PostgresStore {
    async fn kept_reply(
        &self,
        place: ReplyPlace,
        _now: Timestamp,
    ) -> Result<Option<Sealed>, StoreError> {
        ask_again!(self.general, kept_reply, place).await
    }
}

pub(super) async fn kept_reply(
    conn: &mut PgConnection,
    place: ReplyPlace,
) -> sqlx::Result<Option<Sealed>> {
    let sql = "select sealed from kept_reply
               where place = $1 and made_at > floor(extract(epoch from now()))::bigint - $2";
    let sealed: Option<Vec<u8>> = sqlx::query_scalar(sql)
        .bind(&place.0[..])
        .bind(REPLY_TTL)
        .fetch_optional(conn)
        .await?;
    Ok(sealed.map(Sealed))
}
