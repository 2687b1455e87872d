//! Which generation of the store this is, on PostgreSQL. The same functions in the same order as on
//! SQLite.

use async_trait::async_trait;
use sqlx::postgres::PgConnection;

use crate::store::error::StoreError;
use crate::store::generation::{NoteUse, ReadGeneration, StoreGeneration};

use super::lane::ask_again;
use super::open::PostgresStore;

#[async_trait]
impl ReadGeneration for PostgresStore {
    async fn generation(&self) -> Result<StoreGeneration, StoreError> {
        ask_again!(self.lanes.standing(), generation).await
    }
}

impl NoteUse for PostgresStore {}

async fn generation(conn: &mut PgConnection) -> sqlx::Result<StoreGeneration> {
    let sql = "select generation, restored_at is not null, home from store_generation";
    let (number, is_marked, stored): (i64, bool, Option<String>) =
        sqlx::query_as(sql).fetch_one(&mut *conn).await?;
    let is_moved = match stored {
        Some(stored) => home(conn).await?.is_some_and(|now| now != stored),
        None => false,
    };
    Ok(StoreGeneration {
        number,
        is_marked,
        is_moved,
    })
}

/// Where the tables are: the cluster, the database and the table. A restore by `pg_dump` makes at
/// least the table anew, and a copy of the database gets another number. `None` if the role may not
/// ask for the cluster.
pub(super) async fn home(conn: &mut PgConnection) -> sqlx::Result<Option<String>> {
    let sql = "select has_function_privilege('pg_catalog.pg_control_system()', 'execute')";
    // PostgreSQL checks the right to a function even where the function is not called.
    if !sqlx::query_scalar(sql).fetch_one(&mut *conn).await? {
        return Ok(None);
    }
    let sql = "select concat_ws('/', system_identifier,
                   (select oid from pg_catalog.pg_database where datname = current_database()),
                   'store_generation'::regclass::oid)
               from pg_catalog.pg_control_system()";
    sqlx::query_scalar(sql).fetch_one(conn).await
}
