//! Partners, on PostgreSQL. The same functions in the same order as on SQLite.

use async_trait::async_trait;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::domain::id::AgentId;
use crate::domain::org::{DEFAULT_ORG, OrgId};
use crate::domain::partner::record::Partner;
use crate::domain::partner::source::PartnerIssuer;
use crate::domain::partner::terms::PartnerId;
use crate::domain::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::partner::{PartnerColumns, PartnerHolder, ReadPartners, partner_row};

use super::errors::broken;
use super::lane::ask_again;
use super::open::PostgresStore;

#[async_trait]
impl ReadPartners for PostgresStore {
    async fn partner(&self, partner_id: PartnerId) -> Result<Option<Partner>, StoreError> {
        ask_again!(self.general, partner, partner_id).await
    }

    async fn partners_of_issuer(
        &self,
        org_id: &OrgId,
        issuer: &PartnerIssuer,
    ) -> Result<Vec<Partner>, StoreError> {
        ask_again!(self.general, partners_of_issuer, org_id, issuer).await
    }

    async fn partners(
        &self,
        org_id: Option<&OrgId>,
        after: Option<PartnerId>,
        limit: i64,
    ) -> Result<Vec<Partner>, StoreError> {
        ask_again!(self.general, partners, org_id, after, limit).await
    }

    async fn partner_holders(
        &self,
        partner_id: PartnerId,
        now: Timestamp,
        after: Option<&AgentId>,
        limit: i64,
    ) -> Result<Vec<PartnerHolder>, StoreError> {
        ask_again!(self.general, partner_holders, partner_id, now, after, limit).await
    }
}

async fn partner(conn: &mut PgConnection, partner_id: PartnerId) -> sqlx::Result<Option<Partner>> {
    let sql = "select partner_id, org_id, name, issuer, jwks_uri, jwks, thumbprints, audiences, required_claims,
                      algorithms, max_age, preset, status, version, created_at, updated_at
               from partner where partner_id = $1";
    let row: Option<PartnerColumns> = sqlx::query_as(sql)
        .bind(partner_id.0)
        .fetch_optional(conn)
        .await?;
    row.map(partner_row).transpose().map_err(broken)
}

async fn partners_of_issuer(
    conn: &mut PgConnection,
    org_id: &OrgId,
    issuer: &PartnerIssuer,
) -> sqlx::Result<Vec<Partner>> {
    let sql = "select partner_id, org_id, name, issuer, jwks_uri, jwks, thumbprints, audiences, required_claims,
                      algorithms, max_age, preset, status, version, created_at, updated_at
               from partner where org_id in ($1, $3) and issuer = $2";
    let rows: Vec<PartnerColumns> = sqlx::query_as(sql)
        .bind(org_id.as_str())
        .bind(issuer.as_str())
        .bind(DEFAULT_ORG)
        .fetch_all(conn)
        .await?;
    rows.into_iter()
        .map(|row| partner_row(row).map_err(broken))
        .collect()
}

async fn partners(
    conn: &mut PgConnection,
    org_id: Option<&OrgId>,
    after: Option<PartnerId>,
    limit: i64,
) -> sqlx::Result<Vec<Partner>> {
    // No partner has the nil UUID, which sorts before every id.
    let after = after.map_or(Uuid::nil(), |after| after.0);
    let rows: Vec<PartnerColumns> = if let Some(org_id) = org_id {
        let sql = "select partner_id, org_id, name, issuer, jwks_uri, jwks, thumbprints, audiences, required_claims,
                              algorithms, max_age, preset, status, version, created_at, updated_at
                       from partner where org_id = $3 and partner_id > $1 order by partner_id limit $2";
        let query = sqlx::query_as(sql).bind(after).bind(limit);
        query.bind(org_id.as_str()).fetch_all(conn).await?
    } else {
        let sql = "select partner_id, org_id, name, issuer, jwks_uri, jwks, thumbprints, audiences, required_claims,
                              algorithms, max_age, preset, status, version, created_at, updated_at
                       from partner where partner_id > $1 order by partner_id limit $2";
        let query = sqlx::query_as(sql).bind(after).bind(limit);
        query.fetch_all(conn).await?
    };
    let partners: Result<_, _> = rows.into_iter().map(partner_row).collect();
    partners.map_err(broken)
}

async fn partner_holders(
    conn: &mut PgConnection,
    partner_id: PartnerId,
    now: Timestamp,
    after: Option<&AgentId>,
    limit: i64,
) -> sqlx::Result<Vec<PartnerHolder>> {
    let sql = "select distinct a.agent_id, a.epoch from credential c join agent a on a.agent_id = c.agent_id
               where c.partner_id = $1 and (c.expires_at is null or c.expires_at > $2)
                 and a.status <> 'decommissioned' and a.agent_id > $3
               order by a.agent_id limit $4";
    let found: Vec<(String, i64)> = sqlx::query_as(sql)
        .bind(partner_id.0)
        .bind(now.0)
        .bind(after.map_or("", AgentId::as_str))
        .bind(limit)
        .fetch_all(conn)
        .await?;
    let holders: Result<_, _> = found.into_iter().map(PartnerHolder::of_row).collect();
    holders.map_err(broken)
}
