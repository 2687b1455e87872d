//! What can be changed about the keys that a store holds, on SQLite. The same functions in the same
//! order as on PostgreSQL.

use sqlx::sqlite::SqliteConnection;

use crate::domain::id::Kid;
use crate::domain::time::Timestamp;
use crate::store::key::{KeyRecord, KeyState, StoreKey};
use crate::store::write::{KeyChange, Outcome, Retires};

/// Applies one change.
pub(super) async fn apply(
    conn: &mut SqliteConnection,
    at: Timestamp,
    change: &KeyChange,
) -> sqlx::Result<Outcome> {
    match change {
        KeyChange::Insert(key) => insert_key(conn, key).await,
        KeyChange::Activate {
            kid,
            seal,
            retires,
            published_until,
        } => activate_key(conn, at, (kid, seal), retires.as_ref(), *published_until).await,
        KeyChange::Remove(kid) => remove_key(conn, kid).await,
        KeyChange::InsertStoreKey(key) => insert_store_key(conn, key).await,
    }
}

async fn insert_key(conn: &mut SqliteConnection, key: &KeyRecord) -> sqlx::Result<Outcome> {
    let added = sqlx::query(
        "insert into signing_key (kid, public_jwk, private_key, state, announced_at, signs_from, signs_until,
                                  published_until, seal)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         on conflict do nothing",
    )
    .bind(&key.kid.0)
    .bind(&key.public_jwk)
    .bind(&key.private_key.0)
    .bind(key.state.as_str())
    .bind(key.announced_at.0)
    .bind(key.signs_from.0)
    .bind(key.signs_until.map(|t| t.0))
    .bind(key.published_until.map(|t| t.0))
    .bind(&key.seal)
    .execute(conn)
    .await?;
    Ok(Outcome::applied_or(
        added.rows_affected(),
        Outcome::Conflict,
    ))
}

async fn activate_key(
    conn: &mut SqliteConnection,
    at: Timestamp,
    (kid, seal): (&Kid, &[u8]),
    retires: Option<&Retires>,
    published_until: Timestamp,
) -> sqlx::Result<Outcome> {
    let sql = "select kid, state from signing_key order by kid";
    let keys: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(&mut *conn).await?;
    let signs = keys
        .iter()
        .find(|(_, state)| state == KeyState::Signing.as_str())
        .map(|(kid, _)| kid);
    let announced = keys
        .iter()
        .any(|(k, state)| *k == kid.0 && state == KeyState::Announced.as_str());
    if !announced || signs != retires.map(|old| &old.kid.0) {
        return Ok(Outcome::Conflict);
    }
    let sql = "update signing_key set state = 'retiring', signs_until = ?1, published_until = ?2, seal = ?3
               where state = 'signing'";
    let old = retires.map(|old| &old.seal);
    sqlx::query(sql)
        .bind(at.0)
        .bind(published_until.0)
        .bind(old)
        .execute(&mut *conn)
        .await?;
    let sql = "update signing_key set state = 'signing', seal = ?2 where kid = ?1";
    sqlx::query(sql)
        .bind(&kid.0)
        .bind(seal)
        .execute(conn)
        .await?;
    Ok(Outcome::Applied)
}

async fn remove_key(conn: &mut SqliteConnection, kid: &Kid) -> sqlx::Result<Outcome> {
    let sql = "delete from signing_key where kid = ?1 and state = 'retiring'";
    let removed = sqlx::query(sql).bind(&kid.0).execute(conn).await?;
    Ok(Outcome::applied_or(
        removed.rows_affected(),
        Outcome::NotFound,
    ))
}

async fn insert_store_key(conn: &mut SqliteConnection, key: &StoreKey) -> sqlx::Result<Outcome> {
    let sql = "insert into store_key (purpose, key_id, sealed) values (?1, ?2, ?3) on conflict do nothing";
    let added = sqlx::query(sql)
        .bind(&key.purpose)
        .bind(&key.key_id)
        .bind(&key.sealed.0)
        .execute(conn)
        .await?;
    Ok(Outcome::applied_or(
        added.rows_affected(),
        Outcome::Conflict,
    ))
}
