//! What can be changed about the scope catalogue, on PostgreSQL. The same functions in the same
//! order as on SQLite.

use sqlx::postgres::PgConnection;

use crate::domain::catalogue::CatalogueEntry;
use crate::domain::scope::Scope;
use crate::store::write::{Effect, Outcome, Previous, ScopeChange, effect};

/// Applies one change.
pub(super) async fn apply(conn: &mut PgConnection, change: &ScopeChange) -> sqlx::Result<Effect> {
    match change {
        ScopeChange::Add(entry) => add_scope(conn, entry).await.map(effect),
        ScopeChange::Update {
            scope,
            description,
            high_risk,
        } => update_scope(conn, scope, description.as_deref(), *high_risk).await,
        ScopeChange::Delete(scope) => delete_scope(conn, scope).await,
    }
}

async fn add_scope(conn: &mut PgConnection, entry: &CatalogueEntry) -> sqlx::Result<Outcome> {
    let sql = "insert into scope (name, description, high_risk) values ($1, $2, $3) on conflict do nothing";
    let added = sqlx::query(sql)
        .bind(entry.scope.as_str())
        .bind(&entry.description)
        .bind(entry.high_risk)
        .execute(&mut *conn)
        .await?;
    if added.rows_affected() > 0 {
        raise_catalogue_version(conn).await?;
    }
    Ok(Outcome::applied_or(
        added.rows_affected(),
        Outcome::Conflict,
    ))
}

/// Reads the scope first, since the event tells what it was.
async fn update_scope(
    conn: &mut PgConnection,
    scope: &Scope,
    description: Option<&str>,
    high_risk: Option<bool>,
) -> sqlx::Result<Effect> {
    let sql = "select description, high_risk from scope where name = $1 for update";
    let found: Option<(String, bool)> = sqlx::query_as(sql)
        .bind(scope.as_str())
        .fetch_optional(&mut *conn)
        .await?;
    let Some((old_description, old_mark)) = found else {
        return Ok(effect(Outcome::NotFound));
    };
    let (new_description, new_mark) = (
        description.unwrap_or(&old_description),
        high_risk.unwrap_or(old_mark),
    );
    if new_description == old_description && new_mark == old_mark {
        return Ok(effect(Outcome::Unchanged));
    }
    let sql = "update scope set description = $2, high_risk = $3 where name = $1";
    sqlx::query(sql)
        .bind(scope.as_str())
        .bind(new_description)
        .bind(new_mark)
        .execute(&mut *conn)
        .await?;
    raise_catalogue_version(conn).await?;
    let before = CatalogueEntry {
        scope: scope.clone(),
        description: old_description,
        high_risk: old_mark,
    };
    Ok((Outcome::Applied, Previous::Before(before)))
}

/// A decommissioned agent holds nothing. [`crate::store::holders`] says why the text is searched.
async fn delete_scope(conn: &mut PgConnection, scope: &Scope) -> sqlx::Result<Effect> {
    let sql = "select exists (select 1 from agent where status <> 'decommissioned' and strpos(scopes, '\"' || $1 || '\"') > 0)";
    let is_held: bool = sqlx::query_scalar(sql)
        .bind(scope.as_str())
        .fetch_one(&mut *conn)
        .await?;
    if is_held {
        return Ok(effect(Outcome::Conflict));
    }
    let sql = "delete from scope where name = $1 returning description, high_risk";
    let deleted: Option<(String, bool)> = sqlx::query_as(sql)
        .bind(scope.as_str())
        .fetch_optional(&mut *conn)
        .await?;
    let Some((description, high_risk)) = deleted else {
        return Ok(effect(Outcome::NotFound));
    };
    raise_catalogue_version(conn).await?;
    let before = CatalogueEntry {
        scope: scope.clone(),
        description,
        high_risk,
    };
    Ok((Outcome::Applied, Previous::Before(before)))
}

/// Makes every process read the catalogue again before it issues another token.
pub(super) async fn raise_catalogue_version(conn: &mut PgConnection) -> sqlx::Result<()> {
    let sql =
        "update revision set version = greatest(version + 1, floor(extract(epoch from now()) * 1000)::bigint)
               where name = 'catalogue'";
    sqlx::query(sql).execute(conn).await.map(drop)
}
