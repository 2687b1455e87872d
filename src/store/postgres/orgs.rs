//! Organizations, on PostgreSQL. The same functions in the same order as on SQLite.

use async_trait::async_trait;
use sqlx::postgres::PgConnection;

use crate::domain::org::OrgId;
use crate::store::error::StoreError;
use crate::store::org::ReadOrgs;

use super::lane::ask_again;
use super::open::PostgresStore;

#[async_trait]
impl ReadOrgs for PostgresStore {
    async fn org_exists(&self, org_id: &OrgId) -> Result<bool, StoreError> {
        ask_again!(self.general, org_exists, org_id).await
    }
}

async fn org_exists(conn: &mut PgConnection, org_id: &OrgId) -> sqlx::Result<bool> {
    let sql = "select exists (select 1 from org where org_id = $1)";
    sqlx::query_scalar(sql)
        .bind(org_id.as_str())
        .fetch_one(conn)
        .await
}
