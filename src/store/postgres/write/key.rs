//! What can be changed about the keys that a store holds, on PostgreSQL. The same functions in the
//! same order as on SQLite.

use sqlx::postgres::PgConnection;

use crate::domain::id::Kid;
use crate::domain::time::Timestamp;
use crate::store::key::{KeyRecord, StoreKey};
use crate::store::write::{KeyChange, KeyReplacement, KeyStates, Outcome, Retires};

use super::reseal::reseal;

/// Applies one change. A change of a signing key raises their version. `killed` is the version of the
/// revocation list if this change raises it. The change takes the version's row first, so that such
/// changes follow one another.
pub(super) async fn apply(
    conn: &mut PgConnection,
    at: Timestamp,
    change: &KeyChange,
    killed: i64,
) -> sqlx::Result<Outcome> {
    let version = lock_version(conn).await?;
    if !change.is_of_version(version) {
        return Ok(Outcome::Conflict);
    }
    let outcome = match change {
        KeyChange::Insert(key) | KeyChange::Announce { key, .. } => insert_key(conn, key).await?,
        KeyChange::Replace(replacement) => replace_key(conn, at, replacement, killed).await?,
        KeyChange::Reseal(resealing) => reseal(conn, resealing).await?,
        KeyChange::Activate {
            kid,
            seal,
            retires,
            published_until,
        } => activate_key(conn, at, (kid, seal), retires.as_ref(), *published_until).await?,
        KeyChange::Remove(kid) => remove_key(conn, kid).await?,
        KeyChange::InsertStoreKey(key) => return insert_store_key(conn, key).await,
    };
    if outcome == Outcome::Applied {
        raise_version(conn).await?;
    }
    Ok(outcome)
}

async fn lock_version(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("select version from revision where name = 'keys' for update")
        .fetch_one(conn)
        .await
}

async fn raise_version(conn: &mut PgConnection) -> sqlx::Result<()> {
    let sql =
        "update revision set version = greatest(version + 1, floor(extract(epoch from now()) * 1000)::bigint)
               where name = 'keys'";
    sqlx::query(sql).execute(conn).await.map(drop)
}

async fn insert_key(conn: &mut PgConnection, key: &KeyRecord) -> sqlx::Result<Outcome> {
    let added = sqlx::query(
        "insert into signing_key (kid, public_jwk, private_key, state, announced_at, signs_from, signs_until,
                                  published_until, seal)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
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
    conn: &mut PgConnection,
    at: Timestamp,
    (kid, seal): (&Kid, &[u8]),
    retires: Option<&Retires>,
    published_until: Timestamp,
) -> sqlx::Result<Outcome> {
    if !key_states(conn).await?.allow_activation(kid, retires) {
        return Ok(Outcome::Conflict);
    }
    if let Some(old) = retires {
        retire_key(conn, at, &old.seal, published_until).await?;
    }
    let sql = "update signing_key set state = 'signing', seal = $2 where kid = $1";
    sqlx::query(sql)
        .bind(&kid.0)
        .bind(seal)
        .execute(conn)
        .await?;
    Ok(Outcome::Applied)
}

async fn key_states(conn: &mut PgConnection) -> sqlx::Result<KeyStates> {
    let sql = "select kid, state from signing_key order by kid for update";
    sqlx::query_as(sql).fetch_all(conn).await.map(KeyStates)
}

async fn replace_key(
    conn: &mut PgConnection,
    at: Timestamp,
    replacement: &KeyReplacement,
    killed: i64,
) -> sqlx::Result<Outcome> {
    if !key_states(conn).await?.allow_replacement(replacement) {
        return Ok(Outcome::Conflict);
    }
    sqlx::query("delete from signing_key where kid = any($1)")
        .bind(replacement.gone())
        .execute(&mut *conn)
        .await?;
    for kid in &replacement.revokes {
        list_revoked(conn, at, kid, killed).await?;
    }
    if let Some(old) = &replacement.retires {
        retire_key(conn, at, &old.seal, replacement.published_until).await?;
    }
    insert_key(conn, &replacement.key).await
}

/// Lists a key as revoked in this version of the revocation list.
async fn list_revoked(
    conn: &mut PgConnection,
    at: Timestamp,
    kid: &Kid,
    killed: i64,
) -> sqlx::Result<()> {
    let sql = "insert into revoked_key (kid, revoked_at, version) values ($1, $2, $3)
               on conflict (kid) do update set revoked_at = excluded.revoked_at, version = excluded.version";
    let listed = sqlx::query(sql).bind(&kid.0).bind(at.0).bind(killed);
    listed.execute(conn).await.map(drop)
}

/// Retires the key that signs.
async fn retire_key(
    conn: &mut PgConnection,
    at: Timestamp,
    seal: &[u8],
    published_until: Timestamp,
) -> sqlx::Result<()> {
    let sql = "update signing_key set state = 'retiring', signs_until = $1, published_until = $2, seal = $3
               where state = 'signing'";
    sqlx::query(sql)
        .bind(at.0)
        .bind(published_until.0)
        .bind(seal)
        .execute(conn)
        .await
        .map(drop)
}

async fn remove_key(conn: &mut PgConnection, kid: &Kid) -> sqlx::Result<Outcome> {
    let sql = "delete from signing_key where kid = $1 and state = 'retiring'";
    let removed = sqlx::query(sql).bind(&kid.0).execute(conn).await?;
    Ok(Outcome::applied_or(
        removed.rows_affected(),
        Outcome::NotFound,
    ))
}

async fn insert_store_key(conn: &mut PgConnection, key: &StoreKey) -> sqlx::Result<Outcome> {
    let sql = "insert into store_key (purpose, key_id, sealed) values ($1, $2, $3) on conflict do nothing";
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
