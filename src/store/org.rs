//! Organizations, as they are looked up, and as both backends hold them. Must not know SQL, or what
//! an organization may do.

use async_trait::async_trait;

use crate::domain::id::AgentId;
use crate::domain::org::{Org, OrgEpoch, OrgId, OrgName, OrgStanding, OrgStatus};
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;

use super::error::StoreError;
use super::holders::ScopeHolders;
use super::row::Broken;

/// Organizations.
#[async_trait]
pub trait ReadOrgs: Send + Sync {
    /// The organization with this id.
    async fn org(&self, org_id: &OrgId) -> Result<Option<Org>, StoreError>;

    /// Up to `limit` organizations in the byte order of their ids, starting after the id `after`.
    async fn orgs(&self, after: Option<&OrgId>, limit: i64) -> Result<Vec<Org>, StoreError>;

    /// The agents of this organization, which is not the first one, that hold a scope besides these,
    /// at most `limit` of them by name. Decommissioned agents hold nothing.
    async fn holders_beyond(
        &self,
        org_id: &OrgId,
        scopes: &[Scope],
        limit: i64,
    ) -> Result<ScopeHolders, StoreError>;

    /// Up to `limit` agents of this organization, which is not the first one, in the byte order of
    /// their ids, each with the longest custom lifetime that it ever had, in seconds. Decommissioned
    /// agents are left out.
    async fn org_members(
        &self,
        org_id: &OrgId,
        limit: i64,
    ) -> Result<Vec<(AgentId, i64)>, StoreError>;

    /// Whether organizations may be made: not while a release that overlooks their suspension may
    /// serve.
    async fn may_make_orgs(&self) -> Result<bool, StoreError>;
}

/// The standing of an organization from its columns, which are absent for the first one.
pub(in crate::store) fn org_standing(
    status: Option<&str>,
    epoch: Option<i64>,
) -> Result<OrgStanding, Broken> {
    let status = status.map(OrgStatus::parse).transpose()?;
    Ok(OrgStanding {
        status: status.unwrap_or_default(),
        epoch: OrgEpoch(epoch.unwrap_or_default()),
    })
}

/// The columns of an organization.
pub(in crate::store) type OrgColumns = (
    String,
    String,
    Option<String>,
    String,
    i64,
    i64,
    i64,
    Option<i64>,
);

/// An organization from its columns.
pub(in crate::store) fn org_row(columns: OrgColumns) -> Result<Org, Broken> {
    let (org_id, name, scopes, status, epoch, version, created_at, updated_at) = columns;
    let scopes = match scopes {
        Some(json) => {
            let names: Vec<String> = serde_json::from_str(&json)?;
            let scopes: Result<_, _> = names.iter().map(|name| Scope::parse(name)).collect();
            Some(scopes?)
        }
        None => None,
    };
    Ok(Org {
        org_id: OrgId::parse(&org_id)?,
        name: OrgName::parse(&name)?,
        scopes,
        status: OrgStatus::parse(&status)?,
        epoch: OrgEpoch(epoch),
        version,
        created_at: Timestamp(created_at),
        updated_at: Timestamp(updated_at.unwrap_or(created_at)),
    })
}
