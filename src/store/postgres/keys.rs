//! The keys that a store holds, on PostgreSQL. The same functions in the same order as on SQLite.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use crate::store::error::StoreError;
use crate::store::key::{KeyRecord, ReadKeys, Sealed, StoreKey, StoredKeys};
use crate::store::row::KeyRow;

use super::errors::broken;
use super::lane::ask_again;
use super::open::PostgresStore;

#[async_trait]
impl ReadKeys for PostgresStore {
    async fn keys(&self) -> Result<StoredKeys, StoreError> {
        ask_again!(self.general, keys).await
    }

    async fn keys_version(&self) -> Result<i64, StoreError> {
        ask_again!(self.general, keys_version).await
    }

    async fn rotates_by_default(&self) -> Result<bool, StoreError> {
        ask_again!(self.general, rotates_by_default).await
    }

    async fn may_revoke(&self) -> Result<bool, StoreError> {
        ask_again!(self.general, may_revoke).await
    }

    async fn store_keys(&self) -> Result<Vec<StoreKey>, StoreError> {
        ask_again!(self.general, store_keys).await
    }
}

/// All keys and their version, from one statement.
pub(super) async fn keys(conn: &mut PgConnection) -> sqlx::Result<StoredKeys> {
    let rows = sqlx::query(
        "select r.version, k.kid, k.public_jwk, k.private_key, k.state, k.announced_at, k.signs_from, k.signs_until,
                k.published_until, k.seal
         from revision r
         left join signing_key k on true
         where r.name = 'keys'
         order by k.announced_at, k.kid",
    )
    .fetch_all(conn)
    .await?;
    let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let is_key = |row: &&PgRow| !matches!(row.try_get::<Option<&str>, _>("kid"), Ok(None));
    Ok(StoredKeys {
        version: first.try_get("version")?,
        keys: rows
            .iter()
            .filter(is_key)
            .map(key_row)
            .collect::<Result<_, _>>()?,
    })
}

pub(super) async fn keys_version(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("select version from revision where name = 'keys'")
        .fetch_one(conn)
        .await
}

pub(super) async fn rotates_by_default(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists (select 1 from store_default where name = 'rotation')")
        .fetch_one(conn)
        .await
}

pub(super) async fn may_revoke(conn: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists (select 1 from store_default where name = 'key_revocation')")
        .fetch_one(conn)
        .await
}

pub(super) async fn store_keys(conn: &mut PgConnection) -> sqlx::Result<Vec<StoreKey>> {
    let sql = "select purpose, key_id, sealed from store_key order by purpose, key_id";
    let rows: Vec<(String, String, Vec<u8>)> = sqlx::query_as(sql).fetch_all(conn).await?;
    let key = |(purpose, key_id, sealed)| StoreKey {
        purpose,
        key_id,
        sealed: Sealed(sealed),
    };
    Ok(rows.into_iter().map(key).collect())
}

fn key_row(row: &PgRow) -> sqlx::Result<KeyRecord> {
    let row = KeyRow {
        kid: row.try_get("kid")?,
        public_jwk: row.try_get("public_jwk")?,
        private_key: row.try_get("private_key")?,
        state: row.try_get("state")?,
        announced_at: row.try_get("announced_at")?,
        signs_from: row.try_get("signs_from")?,
        signs_until: row.try_get("signs_until")?,
        published_until: row.try_get("published_until")?,
        seal: row.try_get("seal")?,
    };
    row.parse().map_err(broken)
}
