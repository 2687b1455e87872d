//! What can be changed about partners, on SQLite. The same functions in the same order as on
//! PostgreSQL.

use sqlx::sqlite::SqliteConnection;

use crate::domain::partner::preset::PartnerPreset;
use crate::domain::partner::record::{Partner, PartnerTerms};
use crate::domain::partner::terms::{PartnerId, PartnerStatus};
use crate::domain::time::Moment;
use crate::store::partner::PartnerTermsColumns;
use crate::store::write::{Outcome, PartnerChange};

/// Applies one change.
pub(super) async fn apply(
    conn: &mut SqliteConnection,
    at: Moment,
    change: &PartnerChange,
) -> sqlx::Result<Outcome> {
    match change {
        PartnerChange::Create(partner, most) => create_partner(conn, partner, *most).await,
        PartnerChange::Update { before, terms } => update_partner(conn, at, before, terms).await,
        PartnerChange::SetStatus { before, status } => set_status(conn, at, before, *status).await,
        PartnerChange::Delete(before) => delete_partner(conn, at, before).await,
    }
}

async fn create_partner(
    conn: &mut SqliteConnection,
    partner: &Partner,
    most: i64,
) -> sqlx::Result<Outcome> {
    let sql = "select count(*) from partner where org_id = ?1";
    let others: i64 = sqlx::query_scalar(sql)
        .bind(partner.org_id.as_str())
        .fetch_one(&mut *conn)
        .await?;
    if others >= most {
        return Ok(Outcome::TooMany);
    }
    let columns = PartnerTermsColumns::of(&partner.terms);
    let sql = "insert into partner (partner_id, org_id, name, issuer, jwks_uri, jwks, thumbprints, audiences,
                                    required_claims, algorithms, max_age, preset, status, version, created_at, updated_at)
               values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
               on conflict do nothing";
    let made = sqlx::query(sql)
        .bind(partner.partner_id.0)
        .bind(partner.org_id.as_str())
        .bind(columns.name)
        .bind(partner.issuer.as_str())
        .bind(columns.jwks_uri)
        .bind(columns.jwks)
        .bind(columns.thumbprints)
        .bind(columns.audiences)
        .bind(columns.required_claims)
        .bind(columns.algorithms)
        .bind(columns.max_age)
        .bind(partner.preset.map(PartnerPreset::as_str))
        .bind(partner.status.as_str())
        .bind(partner.version)
        .bind(partner.created_at.0)
        .bind(partner.updated_at.0)
        .execute(conn)
        .await?;
    Ok(Outcome::applied_or(made.rows_affected(), Outcome::Conflict))
}

async fn update_partner(
    conn: &mut SqliteConnection,
    at: Moment,
    before: &Partner,
    terms: &PartnerTerms,
) -> sqlx::Result<Outcome> {
    let columns = PartnerTermsColumns::of(terms);
    let sql = "update partner
               set name = ?3, jwks_uri = ?4, jwks = ?5, thumbprints = ?6, audiences = ?7, required_claims = ?8,
                   algorithms = ?9, max_age = ?10, updated_at = ?11,
                   version = max(version + 1, ?12)
               where partner_id = ?1 and version = ?2";
    let changed = sqlx::query(sql)
        .bind(before.partner_id.0)
        .bind(before.version)
        .bind(columns.name)
        .bind(columns.jwks_uri)
        .bind(columns.jwks)
        .bind(columns.thumbprints)
        .bind(columns.audiences)
        .bind(columns.required_claims)
        .bind(columns.algorithms)
        .bind(columns.max_age)
        .bind(at.second().0)
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(changed_or_not(changed.rows_affected()))
}

async fn set_status(
    conn: &mut SqliteConnection,
    at: Moment,
    before: &Partner,
    status: PartnerStatus,
) -> sqlx::Result<Outcome> {
    let sql = "update partner
               set status = ?3, updated_at = ?4,
                   version = max(version + 1, ?5)
               where partner_id = ?1 and version = ?2";
    let changed = sqlx::query(sql)
        .bind(before.partner_id.0)
        .bind(before.version)
        .bind(status.as_str())
        .bind(at.second().0)
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(changed_or_not(changed.rows_affected()))
}

async fn delete_partner(
    conn: &mut SqliteConnection,
    at: Moment,
    before: &Partner,
) -> sqlx::Result<Outcome> {
    let sql = "select exists (select 1 from credential c join agent a on a.agent_id = c.agent_id
                              where c.partner_id = ?1 and (c.expires_at is null or c.expires_at > ?2)
                                and a.status <> 'decommissioned')";
    let is_in_use: bool = sqlx::query_scalar(sql)
        .bind(before.partner_id.0)
        .bind(at.second().0)
        .fetch_one(&mut *conn)
        .await?;
    if is_in_use {
        return Ok(Outcome::Conflict);
    }
    let sql = "delete from partner where partner_id = ?1 and version = ?2";
    let deleted = sqlx::query(sql)
        .bind(before.partner_id.0)
        .bind(before.version)
        .execute(conn)
        .await?;
    Ok(changed_or_not(deleted.rows_affected()))
}

/// Whether there is such a partner. The transaction holds the write lock, so it is not deleted before
/// the commit.
pub(super) async fn has_partner(
    conn: &mut SqliteConnection,
    partner_id: PartnerId,
) -> sqlx::Result<bool> {
    let sql = "select true from partner where partner_id = ?1";
    let found: Option<bool> = sqlx::query_scalar(sql)
        .bind(partner_id.0)
        .fetch_optional(conn)
        .await?;
    Ok(found.is_some())
}

fn changed_or_not(rows: u64) -> Outcome {
    Outcome::applied_or(rows, Outcome::TargetChanged)
}
