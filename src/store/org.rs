//! Organizations, as they are looked up. Must not know SQL, or what an organization may do.

use async_trait::async_trait;

use crate::domain::org::OrgId;

use super::error::StoreError;

/// Organizations.
#[async_trait]
pub trait ReadOrgs: Send + Sync {
    /// Whether there is an organization with this id.
    async fn org_exists(&self, org_id: &OrgId) -> Result<bool, StoreError>;
}
