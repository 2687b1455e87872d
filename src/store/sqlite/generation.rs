//! Which generation of the store this is, on SQLite. The same functions in the same order as on
//! PostgreSQL.

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

use crate::store::error::StoreError;
use crate::store::generation::{ReadGeneration, StoreGeneration};

use super::lane::ask_again;
use super::open::SqliteStore;

#[async_trait]
impl ReadGeneration for SqliteStore {
    async fn generation(&self) -> Result<StoreGeneration, StoreError> {
        ask_again!(self.readers, generation).await
    }
}

pub(super) async fn generation(conn: &mut SqliteConnection) -> sqlx::Result<StoreGeneration> {
    let sql = "select generation, restored_at is not null from store_generation";
    let (number, is_marked) = sqlx::query_as(sql).fetch_one(conn).await?;
    Ok(StoreGeneration {
        number,
        is_marked,
        is_moved: false,
    })
}
