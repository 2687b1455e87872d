//! Organizations, on SQLite. The same functions in the same order as on PostgreSQL.

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

use crate::domain::org::OrgId;
use crate::store::error::StoreError;
use crate::store::org::ReadOrgs;

use super::lane::ask_again;
use super::open::SqliteStore;

#[async_trait]
impl ReadOrgs for SqliteStore {
    async fn org_exists(&self, org_id: &OrgId) -> Result<bool, StoreError> {
        ask_again!(self.readers, org_exists, org_id).await
    }
}

async fn org_exists(conn: &mut SqliteConnection, org_id: &OrgId) -> sqlx::Result<bool> {
    let sql = "select exists (select 1 from org where org_id = ?1)";
    sqlx::query_scalar(sql)
        .bind(org_id.as_str())
        .fetch_one(conn)
        .await
}
