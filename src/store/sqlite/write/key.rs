//! What can be changed about the keys that a store holds, on SQLite. The same functions in the same
//! order as on PostgreSQL.

use sqlx::sqlite::SqliteConnection;

use crate::domain::id::Kid;
use crate::domain::time::{Moment, Timestamp};
use crate::store::key::{KeyRecord, KeyState, StoreKey};
use crate::store::row::json;
use crate::store::sqlite::keys::keys_version;
use crate::store::write::{KeyChange, KeyReplacement, Outcome, Retires};

use super::reseal::reseal;

/// Applies one change. A change of a signing key raises their version. `killed` is the version of the
/// revocation list if this change raises it.
pub(super) async fn apply(
    conn: &mut SqliteConnection,
    at: Moment,
    change: &KeyChange,
    killed: i64,
) -> sqlx::Result<Outcome> {
    let version = keys_version(conn).await?;
    let second = at.second();
    let outcome = match change {
        KeyChange::Insert(key) => insert_key(conn, key).await?,
        KeyChange::Announce { key, keys_version } if *keys_version == version => {
            insert_key(conn, key).await?
        }
        KeyChange::Replace(replacement) if replacement.keys_version == version => {
            replace_key(conn, second, replacement, killed).await?
        }
        KeyChange::Reseal(resealing) if resealing.keys_version == version => {
            reseal(conn, at, resealing).await?
        }
        KeyChange::Announce { .. } | KeyChange::Replace(_) | KeyChange::Reseal(_) => {
            Outcome::Conflict
        }
        KeyChange::Activate {
            kid,
            seal,
            retires,
            published_until,
        } => {
            activate_key(
                conn,
                second,
                (kid, seal),
                retires.as_ref(),
                *published_until,
            )
            .await?
        }
        KeyChange::Remove(kid) => remove_key(conn, kid).await?,
        KeyChange::InsertStoreKey(key) => return insert_store_key(conn, key).await,
    };
    if outcome == Outcome::Applied {
        raise_version(conn, at).await?;
    }
    Ok(outcome)
}

async fn raise_version(conn: &mut SqliteConnection, at: Moment) -> sqlx::Result<()> {
    let sql = "update revision set version = max(version + 1, ?1) where name = 'keys'";
    sqlx::query(sql).bind(at.0).execute(conn).await.map(drop)
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
    let states = key_states(conn).await?;
    if state_of(&states, kid) != Some(KeyState::Announced.as_str())
        || signing(&states) != retires.map(|old| old.kid.0.as_str())
    {
        return Ok(Outcome::Conflict);
    }
    if let Some(old) = retires {
        retire_key(conn, at, &old.seal, published_until).await?;
    }
    let sql = "update signing_key set state = 'signing', seal = ?2 where kid = ?1";
    sqlx::query(sql)
        .bind(&kid.0)
        .bind(seal)
        .execute(conn)
        .await?;
    Ok(Outcome::Applied)
}

/// The id and the state of each key.
async fn key_states(conn: &mut SqliteConnection) -> sqlx::Result<Vec<(String, String)>> {
    let sql = "select kid, state from signing_key order by kid";
    sqlx::query_as(sql).fetch_all(conn).await
}

fn state_of<'s>(states: &'s [(String, String)], kid: &Kid) -> Option<&'s str> {
    let found = states.iter().find(|(other, _)| *other == kid.0);
    found.map(|(_, state)| state.as_str())
}

fn signing(states: &[(String, String)]) -> Option<&str> {
    let found = states
        .iter()
        .find(|(_, state)| state == KeyState::Signing.as_str());
    found.map(|(kid, _)| kid.as_str())
}

/// A release without the version of the keys may have changed them since the decision. So their
/// states are compared too, before anything is written.
async fn replace_key(
    conn: &mut SqliteConnection,
    at: Timestamp,
    replacement: &KeyReplacement,
    killed: i64,
) -> sqlx::Result<Outcome> {
    let states = key_states(conn).await?;
    let expected = replacement
        .was_announced
        .then_some(KeyState::Announced.as_str());
    let signs = signing(&states);
    let makes_way = |kid: &str| {
        let retires = replacement.retires.as_ref().map(|old| &old.kid);
        replacement
            .revokes
            .iter()
            .chain(retires)
            .any(|old| old.0 == kid)
    };
    if state_of(&states, &replacement.key.kid) != expected || !signs.is_none_or(makes_way) {
        return Ok(Outcome::Conflict);
    }
    let gone = replacement
        .revokes
        .iter()
        .chain(replacement.was_announced.then_some(&replacement.key.kid));
    let gone: Vec<&str> = gone.map(|kid| kid.0.as_str()).collect();
    sqlx::query("delete from signing_key where kid in (select value from json_each(?1))")
        .bind(json(&gone).map_err(sqlx::Error::Encode)?)
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
    conn: &mut SqliteConnection,
    at: Timestamp,
    kid: &Kid,
    killed: i64,
) -> sqlx::Result<()> {
    let sql = "insert into revoked_key (kid, revoked_at, version) values (?1, ?2, ?3)
               on conflict (kid) do update set revoked_at = excluded.revoked_at, version = excluded.version";
    let listed = sqlx::query(sql).bind(&kid.0).bind(at.0).bind(killed);
    listed.execute(conn).await.map(drop)
}

/// Retires the key that signs.
async fn retire_key(
    conn: &mut SqliteConnection,
    at: Timestamp,
    seal: &[u8],
    published_until: Timestamp,
) -> sqlx::Result<()> {
    let sql = "update signing_key set state = 'retiring', signs_until = ?1, published_until = ?2, seal = ?3
               where state = 'signing'";
    sqlx::query(sql)
        .bind(at.0)
        .bind(published_until.0)
        .bind(seal)
        .execute(conn)
        .await
        .map(drop)
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
