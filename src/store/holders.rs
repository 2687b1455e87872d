//! Which agents hold a scope or are on a plan: for those who manage the catalogue. Must not know SQL.

use async_trait::async_trait;

use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::quota::PlanName;
use crate::domain::scope::Scope;

use super::error::StoreError;

/// The agents that hold a scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopeHolders {
    /// How many there are.
    pub count: i64,
    /// The first of them, in the byte order of their ids.
    pub first: Vec<AgentId>,
}

/// Who holds what of the catalogue. Decommissioned agents hold nothing. With an `org_id`, only the
/// agents of this organisation count.
#[async_trait]
pub trait ReadHolders: Send + Sync {
    /// How many agents hold each scope. Scopes that no agent holds are absent.
    async fn scope_counts(&self, org_id: Option<&OrgId>) -> Result<Vec<(Scope, i64)>, StoreError>;

    /// The agents that hold this scope, at most `limit` of them by name.
    async fn scope_holders(
        &self,
        scope: &Scope,
        org_id: Option<&OrgId>,
        limit: i64,
    ) -> Result<ScopeHolders, StoreError>;

    /// How many agents are on each plan. Plans without an agent are absent.
    async fn plan_counts(&self, org_id: Option<&OrgId>)
    -> Result<Vec<(PlanName, i64)>, StoreError>;
}
