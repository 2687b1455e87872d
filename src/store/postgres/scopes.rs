//! The scope catalogue, on PostgreSQL. The same functions in the same order as on SQLite.

use std::sync::Arc;

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use crate::domain::catalogue::{Catalogue, CatalogueEntry};
use crate::domain::scope::Scope;

use super::errors::broken;

pub(super) async fn catalogue(conn: &mut PgConnection) -> sqlx::Result<Arc<Catalogue>> {
    let rows = sqlx::query(
        "select r.version, s.name, s.description, s.high_risk
         from revision r
         left join scope s on true
         where r.name = 'catalogue'
         order by s.position",
    )
    .fetch_all(conn)
    .await?;
    let version = rows
        .first()
        .ok_or(sqlx::Error::RowNotFound)?
        .try_get("version")?;
    let entries = rows.iter().filter_map(|row| entry_row(row).transpose());
    let entries = entries.collect::<sqlx::Result<_>>()?;
    Ok(Arc::new(Catalogue::new(version, entries)))
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
