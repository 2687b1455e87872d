//! Changes to partners. Owns the order of steps. Must not know who asks or how the result is shown.

use crate::clock::Clock as _;
use crate::domain::id::AgentId;
use crate::domain::partner::draft::PartnerPatch;
use crate::domain::partner::record::Partner;
use crate::domain::partner::terms::{PartnerId, PartnerStatus};
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::service;
use crate::service::tokens::Caller;
use crate::store::{Outcome, PartnerChange, PartnerHolder};

use super::attempt::MAX_CONFLICTS;
use super::error::ManageError;
use super::partners::Partners;
use super::request::ChangeRequest;

/// Up to how many agents are counted that hold credentials of a partner.
const MAX_COUNTED: i64 = 10_000;

/// What a request makes of a partner.
enum PartnerStep {
    /// It is so already.
    Unchanged,
    /// The partner after the change, and the change.
    Changed(Box<Partner>, PartnerChange),
}

impl Partners {
    /// Changes what an operator decides about a partner. A patch that changes nothing writes nothing.
    pub async fn update(
        &self,
        partner_id: PartnerId,
        patch: &PartnerPatch,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<Partner, ManageError> {
        let next = |partner: &Partner| {
            let terms = patch.apply(partner).map_err(Rejection::invalid)?;
            if terms == partner.terms {
                return Ok(PartnerStep::Unchanged);
            }
            let change = PartnerChange::Update {
                before: Box::new(partner.clone()),
                terms: Box::new(terms.clone()),
            };
            let after = Partner {
                terms,
                ..partner.clone()
            };
            Ok(PartnerStep::Changed(Box::new(after), change))
        };
        self.change(partner_id, next, request.into()).await
    }

    /// Makes a partner's tokens prove nothing.
    pub async fn suspend(
        &self,
        partner_id: PartnerId,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<Partner, ManageError> {
        let next = |partner: &Partner| Ok(with_status(partner, PartnerStatus::Suspended));
        self.change(partner_id, next, request.into()).await
    }

    /// Lets a suspended partner's tokens prove agents again.
    pub async fn reactivate(
        &self,
        partner_id: PartnerId,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<Partner, ManageError> {
        let next = |partner: &Partner| Ok(with_status(partner, PartnerStatus::Active));
        self.change(partner_id, next, request.into()).await
    }

    /// Deletes a partner. Its issuer may be registered again.
    pub async fn delete(
        &self,
        partner_id: PartnerId,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<(), ManageError> {
        let request = request.into();
        for _ in 0..MAX_CONFLICTS {
            let partner = self.find_for(partner_id, &request).await?;
            self.demand_unused(partner_id).await?;
            if request.is_dry_run() {
                return Ok(());
            }
            let change = PartnerChange::Delete(Box::new(partner));
            if self.is_made(change, &request).await? {
                return Ok(());
            }
        }
        Err(RejectionCode::PartnerKeptChanging.into())
    }

    /// Up to `limit` agents that hold live credentials of the partner, starting after `after`.
    pub async fn holders(
        &self,
        partner_id: PartnerId,
        after: Option<&AgentId>,
        limit: i64,
    ) -> Result<Vec<PartnerHolder>, service::Error> {
        let now = self.clock.now();
        let found = self.records.partner_holders(partner_id, now, after, limit);
        Ok(found.await?)
    }

    /// Refuses to delete a partner that agents hold live credentials of, and names some of them.
    async fn demand_unused(&self, partner_id: PartnerId) -> Result<(), ManageError> {
        let holders = self.holders(partner_id, None, MAX_COUNTED).await?;
        if holders.is_empty() {
            return Ok(());
        }
        let first = holders.iter().take(10);
        let first: Vec<&str> = first.map(|holder| holder.agent_id.as_str()).collect();
        let message = format!(
            "agents hold live credentials of the partner: {}{}",
            first.join(", "),
            if holders.len() > first.len() {
                " and others"
            } else {
                ""
            }
        );
        let facts = vec![("agents", first.into()), ("count", holders.len().into())];
        Err(Rejection::with(RejectionCode::PartnerInUse, message)
            .and(facts)
            .into())
    }

    /// Makes the change that `next` decides upon the partner as it is, and shows the partner after it.
    async fn change(
        &self,
        partner_id: PartnerId,
        next: impl Fn(&Partner) -> Result<PartnerStep, Rejection> + Send + Sync,
        request: ChangeRequest<'_>,
    ) -> Result<Partner, ManageError> {
        for _ in 0..MAX_CONFLICTS {
            let partner = self.find_for(partner_id, &request).await?;
            let PartnerStep::Changed(after, change) = next(&partner)? else {
                return Ok(partner);
            };
            if request.is_dry_run() {
                return Ok(*after);
            }
            if self.is_made(change, &request).await? {
                return self.show(partner_id, None).await;
            }
        }
        Err(RejectionCode::PartnerKeptChanging.into())
    }

    /// Whether the change was made. If it was not, the partner or the caller changed meanwhile.
    async fn is_made(
        &self,
        change: PartnerChange,
        request: &ChangeRequest<'_>,
    ) -> Result<bool, ManageError> {
        let write = self.write(change, request).await?;
        match self.commit(write).await? {
            Outcome::Applied => Ok(true),
            // Somebody was given a credential meanwhile.
            Outcome::Conflict => Err(RejectionCode::PartnerInUse.into()),
            Outcome::TargetChanged if request.names_versions() => {
                Err(RejectionCode::VersionMismatch.into())
            }
            _ => Ok(false),
        }
    }

    /// The partner that a request changes.
    pub(super) async fn find_for(
        &self,
        partner_id: PartnerId,
        request: &ChangeRequest<'_>,
    ) -> Result<Partner, ManageError> {
        let own = request.caller.and_then(Caller::limited_to);
        let found = self.find(partner_id, own).await?;
        request.demand(found.as_ref().map(|partner| partner.version))?;
        found.ok_or_else(|| RejectionCode::PartnerNotFound.into())
    }
}

fn with_status(partner: &Partner, status: PartnerStatus) -> PartnerStep {
    if partner.status == status {
        return PartnerStep::Unchanged;
    }
    let change = PartnerChange::SetStatus {
        before: Box::new(partner.clone()),
        status,
    };
    let after = Partner {
        status,
        ..partner.clone()
    };
    PartnerStep::Changed(Box::new(after), change)
}
