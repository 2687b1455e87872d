//! The schema of the store, on PostgreSQL. The same functions in the same order as on SQLite.

use async_trait::async_trait;
use sqlx::postgres::PgConnection;

use crate::store::StoreSchema;
use crate::store::error::StoreError;
use crate::store::schema::ReadSchema;

use super::lane::ask_again;
use super::open::PostgresStore;
use super::schema;

#[async_trait]
impl ReadSchema for PostgresStore {
    async fn schema(&self) -> Result<StoreSchema, StoreError> {
        let schema = ask_again!(self.general, described).await?;
        let server = self.hosts.in_use().map(str::to_owned);
        Ok(StoreSchema { server, ..schema })
    }
}

async fn described(conn: &mut PgConnection) -> sqlx::Result<StoreSchema> {
    // The schema in which the search path finds the tables, which need not be the first of the path.
    let sql = "select n.nspname::text, (select coalesce(max(version), 0) from _sqlx_migrations where success)
               from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where c.oid = to_regclass('_sqlx_migrations')";
    let (name, version) = sqlx::query_as(sql).fetch_one(conn).await?;
    Ok(StoreSchema {
        server: None,
        name: Some(name),
        version,
        known: schema::newest_known(),
    })
}
