//! What can be changed about organizations, on SQLite. The same functions in the same order as
//! on PostgreSQL.

use sqlx::sqlite::SqliteConnection;

use crate::domain::org::{Org, OrgId, OrgName, OrgStatus};
use crate::domain::scope::Scope;
use crate::domain::time::Moment;
use crate::store::row::list;
use crate::store::sqlite::orgs::holders_beyond;
use crate::store::write::{OrgChange, Outcome};

use super::scope::raise_catalogue_version;

/// Applies one change.
pub(super) async fn apply(
    conn: &mut SqliteConnection,
    at: Moment,
    change: &OrgChange,
    killed: i64,
) -> sqlx::Result<Outcome> {
    match change {
        OrgChange::Create(org) => create_org(conn, org).await,
        OrgChange::Update {
            before,
            name,
            scopes,
        } => update_org(conn, at, before, name, scopes.as_deref()).await,
        OrgChange::Suspend(org_id)
        | OrgChange::Reactivate(org_id)
        | OrgChange::RevokeTokens(org_id) => {
            change_standing(conn, at, org_id, change, killed).await
        }
    }
}

async fn create_org(conn: &mut SqliteConnection, org: &Org) -> sqlx::Result<Outcome> {
    let sql =
        "insert into org (org_id, name, scopes, status, epoch, version, created_at, updated_at)
               values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
               on conflict do nothing";
    let made = sqlx::query(sql)
        .bind(org.org_id.as_str())
        .bind(org.name.as_str())
        .bind(org.scopes.as_deref().map(scope_list))
        .bind(org.status.as_str())
        .bind(org.epoch.0)
        .bind(org.version)
        .bind(org.created_at.0)
        .bind(org.updated_at.0)
        .execute(conn)
        .await?;
    Ok(Outcome::applied_or(made.rows_affected(), Outcome::Conflict))
}

/// The transaction holds the write lock, so no agent gets a scope meanwhile.
async fn update_org(
    conn: &mut SqliteConnection,
    at: Moment,
    before: &Org,
    name: &OrgName,
    scopes: Option<&[Scope]>,
) -> sqlx::Result<Outcome> {
    let org_id = &before.org_id;
    match version_of(conn, org_id).await? {
        None => return Ok(Outcome::NotFound),
        Some(version) if version != before.version => return Ok(Outcome::TargetChanged),
        Some(_) => {}
    }
    if let Some(scopes) = scopes
        && holders_beyond(conn, org_id, scopes, 1).await?.count > 0
    {
        return Ok(Outcome::Conflict);
    }
    let sql = "update org
               set name = ?2, scopes = ?3, updated_at = ?4,
                   version = max(version + 1, ?5)
               where org_id = ?1";
    sqlx::query(sql)
        .bind(org_id.as_str())
        .bind(name.as_str())
        .bind(scopes.map(scope_list))
        .bind(at.second().0)
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(Outcome::Applied)
}

/// Stops an organization, or lets it work again, in one row whatever the number of its agents. Each
/// process decides on the catalogue of the version that the counting statement compares, so no
/// token is counted under the old standing.
async fn change_standing(
    conn: &mut SqliteConnection,
    at: Moment,
    org_id: &OrgId,
    change: &OrgChange,
    killed: i64,
) -> sqlx::Result<Outcome> {
    let sql = "select status from org where org_id = ?1";
    let status: Option<String> = sqlx::query_scalar(sql)
        .bind(org_id.as_str())
        .fetch_optional(&mut *conn)
        .await?;
    let Some(status) = status else {
        return Ok(Outcome::NotFound);
    };
    if change.status().map(OrgStatus::as_str) == Some(status.as_str()) {
        return Ok(Outcome::Unchanged);
    }
    let sql = "update org
               set status = coalesce(?2, status), updated_at = ?3,
                   version = max(version + 1, ?6),
                   epoch = case when ?4 then max(epoch + 1, ?6) else epoch end,
                   killed_at = case when ?4 then max(coalesce(killed_at, ?3), ?3) else killed_at end,
                   killed_version = case when ?4 then ?5 else killed_version end
               where org_id = ?1";
    sqlx::query(sql)
        .bind(org_id.as_str())
        .bind(change.status().map(OrgStatus::as_str))
        .bind(at.second().0)
        .bind(change.kills())
        .bind(killed)
        .bind(at.0)
        .execute(&mut *conn)
        .await?;
    raise_catalogue_version(conn, at).await?;
    Ok(Outcome::Applied)
}

async fn version_of(conn: &mut SqliteConnection, org_id: &OrgId) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("select version from org where org_id = ?1")
        .bind(org_id.as_str())
        .fetch_optional(conn)
        .await
}

fn scope_list(scopes: &[Scope]) -> String {
    list(scopes.iter().map(Scope::as_str))
}
