//! What can be changed about organizations, on PostgreSQL. The same functions in the same order as
//! on SQLite.

use sqlx::postgres::PgConnection;

use crate::domain::org::{Org, OrgId, OrgName, OrgStatus};
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;
use crate::store::postgres::orgs::holders_beyond;
use crate::store::row::list;
use crate::store::write::{OrgChange, Outcome};

use super::scope::raise_catalogue_version;

/// Applies one change.
pub(super) async fn apply(
    conn: &mut PgConnection,
    at: Timestamp,
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

async fn create_org(conn: &mut PgConnection, org: &Org) -> sqlx::Result<Outcome> {
    let sql =
        "insert into org (org_id, name, scopes, status, epoch, version, created_at, updated_at)
               values ($1, $2, $3, $4, $5, $6, $7, $8)
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

/// Locks the organization before it looks at its agents: a write that gives one of them a scope holds
/// the row until its own commit.
async fn update_org(
    conn: &mut PgConnection,
    at: Timestamp,
    before: &Org,
    name: &OrgName,
    scopes: Option<&[Scope]>,
) -> sqlx::Result<Outcome> {
    let org_id = &before.org_id;
    match locked_version(conn, org_id).await? {
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
               set name = $2, scopes = $3, updated_at = $4,
                   version = greatest(version + 1, floor(extract(epoch from now()) * 1000)::bigint)
               where org_id = $1";
    sqlx::query(sql)
        .bind(org_id.as_str())
        .bind(name.as_str())
        .bind(scopes.map(scope_list))
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(Outcome::Applied)
}

/// Stops an organization, or lets it work again, in one row whatever the number of its agents. Each
/// process decides on the catalogue of the version that the counting statement compares, so no
/// token is counted under the old standing.
async fn change_standing(
    conn: &mut PgConnection,
    at: Timestamp,
    org_id: &OrgId,
    change: &OrgChange,
    killed: i64,
) -> sqlx::Result<Outcome> {
    let sql = "select status from org where org_id = $1 for no key update";
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
               set status = coalesce($2::text, status), updated_at = $3,
                   version = greatest(version + 1, floor(extract(epoch from now()) * 1000)::bigint),
                   epoch = case when $4 then greatest(epoch + 1, floor(extract(epoch from now()) * 1000)::bigint) else epoch end,
                   killed_at = case when $4 then greatest(killed_at, $3) else killed_at end,
                   killed_version = case when $4 then $5 else killed_version end
               where org_id = $1";
    sqlx::query(sql)
        .bind(org_id.as_str())
        .bind(change.status().map(OrgStatus::as_str))
        .bind(at.0)
        .bind(change.kills())
        .bind(killed)
        .execute(&mut *conn)
        .await?;
    raise_catalogue_version(conn).await?;
    Ok(Outcome::Applied)
}

async fn locked_version(conn: &mut PgConnection, org_id: &OrgId) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("select version from org where org_id = $1 for no key update")
        .bind(org_id.as_str())
        .fetch_optional(conn)
        .await
}

fn scope_list(scopes: &[Scope]) -> String {
    list(scopes.iter().map(Scope::as_str))
}
