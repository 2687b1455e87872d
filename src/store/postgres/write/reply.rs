//! Replies that are kept in the commit of a change, on PostgreSQL. The same functions in the same
//! order as on SQLite.

use sqlx::postgres::PgConnection;

use crate::domain::time::Timestamp;
use crate::store::reply::{REPLY_TTL, ReplyRecord};

/// Keeps a reply. False if the request was answered already.
pub(super) async fn keep(
    conn: &mut PgConnection,
    at: Timestamp,
    reply: &ReplyRecord,
) -> sqlx::Result<bool> {
    let sql = "insert into kept_reply (place, made_at, sealed) values ($1, $2, $3)
               on conflict (place) do update set made_at = excluded.made_at, sealed = excluded.sealed
               where kept_reply.made_at <= $4";
    let kept = sqlx::query(sql)
        .bind(&reply.place.0[..])
        .bind(at.0)
        .bind(&reply.sealed.0)
        .bind(at.saturating_add(-REPLY_TTL).0)
        .execute(conn)
        .await?;
    Ok(kept.rows_affected() > 0)
}

/// Forgets a reply that this transaction kept, since nothing was changed.
pub(super) async fn forget(conn: &mut PgConnection, reply: &ReplyRecord) -> sqlx::Result<()> {
    let sql = "delete from kept_reply where place = $1";
    let forget = sqlx::query(sql).bind(&reply.place.0[..]);
    forget.execute(conn).await.map(drop)
}
