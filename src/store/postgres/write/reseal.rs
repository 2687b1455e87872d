//! Sealing keys under another master key, on PostgreSQL. The same functions in the same order as on
//! SQLite.

use sqlx::postgres::PgConnection;

use crate::store::key::{KeyRecord, Sealed, StoreKey};
use crate::store::write::{KeyResealing, Outcome};

/// Replaces the rows, all of them or none. The version of the signing keys is locked.
pub(super) async fn reseal(
    conn: &mut PgConnection,
    resealing: &KeyResealing,
) -> sqlx::Result<Outcome> {
    if lacks_master_key(conn, resealing).await? || !is_unchanged(conn, &resealing.own).await? {
        return Ok(Outcome::Conflict);
    }
    for key in &resealing.signing {
        reseal_signing_key(conn, key).await?;
    }
    for (key, sealed) in &resealing.own {
        reseal_store_key(conn, key, sealed).await?;
    }
    Ok(Outcome::Applied)
}

/// Whether a process serves without the master key. No process reports until the commit, and each
/// reports before it reads the keys: so one that starts meanwhile reads the rows of this commit.
async fn lacks_master_key(conn: &mut PgConnection, resealing: &KeyResealing) -> sqlx::Result<bool> {
    sqlx::raw_sql("lock table process in share mode")
        .execute(&mut *conn)
        .await?;
    let sql = "select exists (
                   select from process
                   where seen_at > floor(extract(epoch from clock_timestamp()) * 1000)::bigint - $1
                     and not $2 = any (string_to_array(master_keys, ' ')))";
    sqlx::query_scalar(sql)
        .bind(resealing.serving_millis)
        .bind(&resealing.master_key)
        .fetch_one(conn)
        .await
}

/// Whether these keys of the store are as they were.
async fn is_unchanged(conn: &mut PgConnection, keys: &[(StoreKey, Sealed)]) -> sqlx::Result<bool> {
    let sql = "select purpose, key_id, sealed from store_key order by purpose, key_id for update";
    let rows: Vec<(String, String, Vec<u8>)> = sqlx::query_as(sql).fetch_all(conn).await?;
    Ok(keys.iter().all(|(key, _)| {
        rows.iter().any(|(purpose, key_id, sealed)| {
            (purpose, key_id, sealed) == (&key.purpose, &key.key_id, &key.sealed.0)
        })
    }))
}

async fn reseal_signing_key(conn: &mut PgConnection, key: &KeyRecord) -> sqlx::Result<()> {
    sqlx::query("update signing_key set private_key = $2, seal = $3 where kid = $1")
        .bind(&key.kid.0)
        .bind(&key.private_key.0)
        .bind(&key.seal)
        .execute(conn)
        .await
        .map(drop)
}

async fn reseal_store_key(
    conn: &mut PgConnection,
    key: &StoreKey,
    sealed: &Sealed,
) -> sqlx::Result<()> {
    sqlx::query("update store_key set sealed = $3 where purpose = $1 and key_id = $2")
        .bind(&key.purpose)
        .bind(&key.key_id)
        .bind(&sealed.0)
        .execute(conn)
        .await
        .map(drop)
}
