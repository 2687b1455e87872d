//! Changes to organizations. Owns the order of steps. Must not know who asks or how the result is
//! shown.

use crate::domain::id::AgentId;
use crate::domain::org::{Org, OrgId};
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::scope::Scope;
use crate::store::{CommitCondition, OrgChange, Outcome, ScopeHolders};

use super::attempt::MAX_CONFLICTS;
use super::error::ManageError;
use super::orgs::{OrgPatch, OrgView, Orgs, not_found, view};
use super::request::ChangeRequest;
use super::scope_risk::named;

/// How many agents a rejection names.
const MAX_NAMED: i64 = 10;

impl Orgs {
    /// Changes the name of an organization, or what its agents may be given. None of its agents may
    /// hold more than that. A patch that changes nothing writes nothing.
    pub async fn update(
        &self,
        org_id: &OrgId,
        patch: &OrgPatch,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<OrgView, ManageError> {
        let request = request.into();
        let given = patch.scopes.as_ref().and_then(Option::as_deref);
        self.check_scopes(given).await?;
        for _ in 0..MAX_CONFLICTS {
            let org = self.find_for(org_id, &request).await?;
            let next = Org {
                name: patch.name.clone().unwrap_or_else(|| org.name.clone()),
                scopes: patch.scopes.clone().unwrap_or_else(|| org.scopes.clone()),
                ..org.clone()
            };
            if next == org {
                return Ok(view(org));
            }
            if let Some(scopes) = next.scopes.as_deref().filter(|_| next.scopes != org.scopes) {
                if org_id.is_default() {
                    return Err(RejectionCode::OrgBuiltIn.into());
                }
                self.demand_unheld(org_id, scopes).await?;
            }
            if request.is_dry_run() {
                return Ok(view(next));
            }
            let change = OrgChange::Update {
                before: Box::new(org),
                name: next.name,
                scopes: next.scopes,
            };
            let write = self.write(change, &request).await?;
            match self.commit(write).await? {
                Outcome::Applied => return self.show(org_id, None).await,
                Outcome::NotFound => return Err(not_found()),
                Outcome::TargetChanged if request.names_versions() => {
                    return Err(RejectionCode::VersionMismatch.into());
                }
                // An agent got a scope meanwhile, or somebody else changed the organization.
                _ => {}
            }
        }
        Err(RejectionCode::OrgKeptChanging.into())
    }

    /// Stops an organization: its agents get no tokens, and all their live tokens are dead. One commit
    /// changes one row.
    pub async fn suspend(
        &self,
        org_id: &OrgId,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<OrgView, ManageError> {
        let change = OrgChange::Suspend(org_id.clone());
        self.change(org_id, change, request.into()).await
    }

    /// Lets a suspended organization work again. The old tokens of its agents stay dead.
    pub async fn reactivate(
        &self,
        org_id: &OrgId,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<OrgView, ManageError> {
        let change = OrgChange::Reactivate(org_id.clone());
        self.change(org_id, change, request.into()).await
    }

    /// Kills the live tokens of an organization's agents and leaves it active.
    pub async fn revoke_tokens(
        &self,
        org_id: &OrgId,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<OrgView, ManageError> {
        let change = OrgChange::RevokeTokens(org_id.clone());
        self.change(org_id, change, request.into()).await
    }

    /// Makes one change of the standing, and shows the organization after it.
    async fn change(
        &self,
        org_id: &OrgId,
        change: OrgChange,
        request: ChangeRequest<'_>,
    ) -> Result<OrgView, ManageError> {
        for _ in 0..MAX_CONFLICTS {
            let org = self.find_for(org_id, &request).await?;
            if org_id.is_default() {
                return Err(RejectionCode::OrgBuiltIn.into());
            }
            if request.is_dry_run() {
                let status = change.status().unwrap_or(org.status);
                return Ok(view(Org { status, ..org }));
            }
            let mut write = self.write(change.clone(), &request).await?;
            if request.names_versions() {
                write.conditions.push(CommitCondition::Org {
                    org_id: org_id.clone(),
                    version: org.version,
                });
            }
            match self.commit(write).await? {
                outcome @ (Outcome::Applied | Outcome::Unchanged) => {
                    return Ok(OrgView {
                        tokens_killed: change.kills() && outcome == Outcome::Applied,
                        ..self.show(org_id, None).await?
                    });
                }
                Outcome::NotFound => return Err(not_found()),
                Outcome::TargetChanged if request.names_versions() => {
                    return Err(RejectionCode::VersionMismatch.into());
                }
                _ => {}
            }
        }
        Err(RejectionCode::OrgKeptChanging.into())
    }

    /// The organization that a request changes.
    async fn find_for(
        &self,
        org_id: &OrgId,
        request: &ChangeRequest<'_>,
    ) -> Result<Org, ManageError> {
        let found = self.records.org(org_id).await?;
        request.demand(found.as_ref().map(|org| org.version))?;
        found.ok_or_else(not_found)
    }

    /// Rejects scopes that are fewer than what the organization's agents hold.
    async fn demand_unheld(&self, org_id: &OrgId, scopes: &[Scope]) -> Result<(), ManageError> {
        let holders = self
            .records
            .holders_beyond(org_id, scopes, MAX_NAMED)
            .await?;
        if holders.count > 0 {
            return Err(in_use(&holders).into());
        }
        Ok(())
    }
}

fn in_use(holders: &ScopeHolders) -> Rejection {
    let agents: Vec<&str> = holders.first.iter().map(AgentId::as_str).collect();
    let facts = vec![("agents", agents.into()), ("count", holders.count.into())];
    let message = format!("agents hold other scopes: {}", named(holders));
    Rejection::with(RejectionCode::OrgScopesInUse, message).and(facts)
}
