//! What can be changed about the scope catalogue, on SQLite. The same functions in the same order
//! as on PostgreSQL.

use sqlx::sqlite::SqliteConnection;

use crate::domain::catalogue::CatalogueEntry;
use crate::domain::scope::Scope;
use crate::domain::time::Moment;
use crate::store::write::{Outcome, ScopeChange};

/// Applies one change.
pub(super) async fn apply(
    conn: &mut SqliteConnection,
    at: Moment,
    change: &ScopeChange,
) -> sqlx::Result<Outcome> {
    match change {
        ScopeChange::Add(entry) => add_scope(conn, at, entry).await,
        ScopeChange::Update {
            scope,
            description,
            high_risk,
        } => update_scope(conn, at, scope, description.as_deref(), *high_risk).await,
    }
}

async fn add_scope(
    conn: &mut SqliteConnection,
    at: Moment,
    entry: &CatalogueEntry,
) -> sqlx::Result<Outcome> {
    let sql = "insert into scope (name, description, high_risk) values (?1, ?2, ?3) on conflict do nothing";
    let added = sqlx::query(sql)
        .bind(entry.scope.as_str())
        .bind(&entry.description)
        .bind(entry.high_risk)
        .execute(&mut *conn)
        .await?;
    if added.rows_affected() > 0 {
        raise_catalogue_version(conn, at).await?;
    }
    Ok(Outcome::applied_or(
        added.rows_affected(),
        Outcome::Conflict,
    ))
}

async fn update_scope(
    conn: &mut SqliteConnection,
    at: Moment,
    scope: &Scope,
    description: Option<&str>,
    high_risk: Option<bool>,
) -> sqlx::Result<Outcome> {
    let sql = "update scope set description = coalesce(?2, description), high_risk = coalesce(?3, high_risk)
               where name = ?1
                 and (description <> coalesce(?2, description) or high_risk <> coalesce(?3, high_risk))";
    let changed = sqlx::query(sql)
        .bind(scope.as_str())
        .bind(description)
        .bind(high_risk)
        .execute(&mut *conn)
        .await?;
    if changed.rows_affected() > 0 {
        raise_catalogue_version(conn, at).await?;
        return Ok(Outcome::Applied);
    }
    let sql = "select exists (select 1 from scope where name = ?1)";
    let there: bool = sqlx::query_scalar(sql)
        .bind(scope.as_str())
        .fetch_one(conn)
        .await?;
    Ok(if there {
        Outcome::Unchanged
    } else {
        Outcome::NotFound
    })
}

async fn raise_catalogue_version(conn: &mut SqliteConnection, at: Moment) -> sqlx::Result<()> {
    let sql = "update revision set version = max(version + 1, ?1) where name = 'catalogue'";
    sqlx::query(sql).bind(at.0).execute(conn).await.map(drop)
}
