//! The scope catalogue, on PostgreSQL. The same functions in the same order as on SQLite.

use std::sync::Arc;

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use crate::domain::catalogue::{Catalogue, CatalogueEntry};
use crate::domain::org::{OrgId, OrgStanding};
use crate::domain::scope::Scope;
use crate::store::org::org_standing;

use super::errors::broken;

pub(super) async fn catalogue(conn: &mut PgConnection) -> sqlx::Result<Arc<Catalogue>> {
    // One statement, so that all of it is of one version.
    let rows = sqlx::query(
        "select r.version, s.position, s.name, s.description, s.high_risk,
                null::text as org_id, null::text as status, null::bigint as epoch
         from revision r
         left join scope s on true
         where r.name = 'catalogue'
         union all
         select r.version, null, null, null, null, o.org_id, o.status, o.epoch
         from revision r
         join org o on o.epoch > 0
         where r.name = 'catalogue'
         order by position",
    )
    .fetch_all(conn)
    .await?;
    let version = rows
        .first()
        .ok_or(sqlx::Error::RowNotFound)?
        .try_get("version")?;
    let entries = rows.iter().filter_map(|row| entry_row(row).transpose());
    let entries = entries.collect::<sqlx::Result<_>>()?;
    let orgs = rows.iter().filter_map(|row| org_row(row).transpose());
    let orgs = orgs.collect::<sqlx::Result<_>>()?;
    Ok(Arc::new(Catalogue::new(version, entries).with_orgs(orgs)))
}

fn org_row(row: &PgRow) -> sqlx::Result<Option<(OrgId, OrgStanding)>> {
    let Some(org_id) = row.try_get::<Option<String>, _>("org_id")? else {
        return Ok(None);
    };
    let status: Option<String> = row.try_get("status")?;
    let standing = org_standing(status.as_deref(), row.try_get("epoch")?).map_err(broken)?;
    Ok(Some((OrgId::parse(&org_id).map_err(broken)?, standing)))
}

fn entry_row(row: &PgRow) -> sqlx::Result<Option<CatalogueEntry>> {
    let Some(name) = row.try_get::<Option<String>, _>("name")? else {
        return Ok(None);
    };
    Ok(Some(CatalogueEntry {
        scope: Scope::parse(&name).map_err(broken)?,
        description: row.try_get("description")?,
        high_risk: row.try_get("high_risk")?,
    }))
}
