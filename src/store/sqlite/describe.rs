//! The schema of the store, on SQLite. The same functions in the same order as on PostgreSQL.

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

use crate::store::StoreSchema;
use crate::store::error::StoreError;
use crate::store::schema::ReadSchema;

use super::lane::ask_again;
use super::open::SqliteStore;
use super::schema;

#[async_trait]
impl ReadSchema for SqliteStore {
    async fn schema(&self) -> Result<StoreSchema, StoreError> {
        ask_again!(self.readers, described).await
    }
}

async fn described(conn: &mut SqliteConnection) -> sqlx::Result<StoreSchema> {
    let sql = "select coalesce(max(version), 0) from _sqlx_migrations where success";
    let version = sqlx::query_scalar(sql).fetch_one(conn).await?;
    Ok(StoreSchema {
        server: None,
        name: None,
        version,
        known: schema::newest_known(),
    })
}
