//! Reads of events, on PostgreSQL. The same functions in the same order as on SQLite.

use async_trait::async_trait;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::domain::id::Jti;
use crate::store::error::StoreError;
use crate::store::records::ReadEvents;
use crate::store::revocation::IssuedToken;
use crate::store::row::{drawn_at, issued};

use super::errors::broken;
use super::lane::ask_again;
use super::open::PostgresStore;

#[async_trait]
impl ReadEvents for PostgresStore {
    async fn newest_event(&self) -> Result<i64, StoreError> {
        ask_again!(self.general, newest_event).await
    }

    async fn issued_token(&self, jti: Jti) -> Result<Option<IssuedToken>, StoreError> {
        ask_again!(self.general, issued_token, jti).await
    }
}

/// How many seconds before its id was drawn a token may have been issued, because the database's
/// clock is behind. [`DRAWN_AFTER`] is how many seconds after.
const DRAWN_BEFORE: i64 = 900;
/// See [`DRAWN_BEFORE`].
const DRAWN_AFTER: i64 = 300;

pub(super) async fn newest_event(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("select coalesce(max(id), 0) from audit_event")
        .fetch_one(conn)
        .await
}

pub(super) async fn issued_token(
    conn: &mut PgConnection,
    jti: Jti,
) -> sqlx::Result<Option<IssuedToken>> {
    let Some(drawn) = drawn_at(jti) else {
        return Ok(None);
    };
    let row: Option<(Uuid, String, i64)> = sqlx::query_as(
        "select jti, agent_id, expires_at
         from audit_event
         where at between $1 and $2 and kind = 'token.issued' and jti = $3
         limit 1",
    )
    .bind(drawn.0.saturating_sub(DRAWN_BEFORE))
    .bind(drawn.0.saturating_add(DRAWN_AFTER))
    .bind(jti.0)
    .fetch_optional(conn)
    .await?;
    row.map(issued).transpose().map_err(broken)
}
