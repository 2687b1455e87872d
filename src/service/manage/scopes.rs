//! The operations on the scope catalogue.
//!
//! Owns what an operator is refused and warned of. Must not know who asks or how the result is
//! shown.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::Invalid;
use crate::domain::act::Act;
use crate::domain::catalogue::{Catalogue, CatalogueEntry};
use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::risk::RiskRules;
use crate::domain::scope::{BUILT_IN, Scope};
use crate::domain::ttl::Risk;
use crate::store::{
    Change, Freshness, Outcome, Records, ScopeChange, ScopeHolders, Store, StoreError, Write,
};

use crate::service;

use super::error::ManageError;
use super::keeping::Keep;
use super::request::ChangeRequest;
use super::scope_risk::{high_risk_by, living_warning, named, open_warnings, why_high_unmarked};
use super::view::ScopeView;

/// How many agents a warning or a rejection names.
const MAX_NAMED: i64 = 10;

/// What stands for the version of a scope, which has none. No entity tag names it.
const NO_VERSION: i64 = i64::MIN;

/// The changes to a scope. `None` leaves a value as it is.
#[derive(Debug, Clone, Default)]
pub struct ScopePatch {
    /// What the scope is for.
    pub description: Option<String>,
    /// The operator's mark as high-risk.
    pub high_risk: Option<bool>,
}

/// The operations on the catalogue.
pub struct Scopes {
    pub(super) store: Arc<dyn Store>,
    pub(super) records: Arc<dyn Records>,
    pub(super) rules: RiskRules,
    clock: Arc<StoreClock>,
}

/// What a scope is for, in one sentence: 1 to 200 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeDescription(String);

impl ScopeDescription {
    /// Accepts 1 to 200 characters without control characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.trim().is_empty()
            || text.chars().count() > 200
            || text.chars().any(char::is_control)
        {
            return Err(Invalid(
                "a description is 1 to 200 characters without control characters",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl From<ScopeDescription> for String {
    fn from(description: ScopeDescription) -> Self {
        description.0
    }
}

fn scope_not_found(scope: &Scope) -> Rejection {
    Rejection::with(
        RejectionCode::ScopeNotFound,
        format!("scope {scope} is not in the catalogue"),
    )
}

impl Scopes {
    /// `rules`: which scopes the configuration makes high-risk.
    pub fn new(
        store: Arc<dyn Store>,
        records: Arc<dyn Records>,
        rules: RiskRules,
        clock: Arc<StoreClock>,
    ) -> Self {
        Self {
            store,
            records,
            rules,
            clock,
        }
    }

    /// All scopes in catalogue order. `org_id` is the organisation that the reader is limited to.
    pub async fn list(&self, org_id: Option<&OrgId>) -> Result<Vec<ScopeView>, service::Error> {
        let catalogue = self.store.catalogue(Freshness::Fresh).await?;
        let counts = self.records.scope_counts(org_id).await?;
        let counts: HashMap<Scope, i64> = counts.into_iter().collect();
        let view = |entry: &CatalogueEntry| {
            let agents = counts.get(&entry.scope).copied().unwrap_or(0);
            self.view(entry, &catalogue, agents)
        };
        Ok(catalogue.entries().iter().map(view).collect())
    }

    /// One scope. `org_id` is the organisation that the reader is limited to.
    pub async fn show(
        &self,
        scope: &Scope,
        org_id: Option<&OrgId>,
    ) -> Result<ScopeView, ManageError> {
        let (catalogue, entry) = self.find(scope).await?;
        let holders = self.records.scope_holders(scope, org_id, MAX_NAMED);
        let agents = holders.await?.count;
        Ok(self.view(&entry, &catalogue, agents))
    }

    /// Adds a scope at the end of the catalogue. It is shown as its commit makes it, since the reply
    /// is kept in that commit.
    pub async fn add(
        &self,
        entry: CatalogueEntry,
        request: impl Into<ChangeRequest<'_>>,
        keep: Keep<'_, ScopeView>,
    ) -> Result<ScopeView, ManageError> {
        let (scope, request) = (entry.scope.clone(), request.into());
        let catalogue = self.store.catalogue(Freshness::Fresh).await?;
        let version = catalogue.contains(&scope).then_some(NO_VERSION);
        request.demand(version)?;
        if version.is_some() {
            return Err(RejectionCode::ScopeExists.into());
        }
        let agents = self.holders(&scope).await?.count;
        let catalogue = Catalogue::new(0, vec![entry.clone()]);
        let added = self.view(&entry, &catalogue, agents);
        if request.is_dry_run() {
            return Ok(added);
        }
        let write = self.write(Change::Scope(ScopeChange::Add(entry)), request.act);
        match self.commit_write(keep.keeping(write, &added)?).await? {
            Some(Outcome::Applied) => Ok(added),
            Some(Outcome::Answered) => Err(RejectionCode::IdempotencyInProgress.into()),
            _ => Err(RejectionCode::ScopeExists.into()),
        }
    }

    /// Deletes a scope that no agent holds, and returns what it was. Tokens that carry it live on.
    pub async fn delete(
        &self,
        scope: &Scope,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<ScopeView, ManageError> {
        let request = request.into();
        if is_built_in(scope) {
            let message = format!("scope {scope} is built in: it opens a part of this server");
            return Err(Rejection::with(RejectionCode::ScopeBuiltIn, message).into());
        }
        let (catalogue, entry) = self.find_for(scope, request).await?;
        let holders = self.holders(scope).await?;
        if holders.count > 0 {
            return Err(in_use(scope, &holders).into());
        }
        let shown = self.view(&entry, &catalogue, 0);
        if request.is_dry_run() {
            return Ok(shown);
        }
        let change = Change::Scope(ScopeChange::Delete(scope.clone()));
        match self.commit(change, request.act).await? {
            Some(Outcome::Applied) => Ok(shown),
            Some(Outcome::Conflict) => Err(in_use(scope, &self.holders(scope).await?).into()),
            _ => Err(scope_not_found(scope).into()),
        }
    }

    /// Changes a scope's description or mark. The mark can be removed only if nothing else makes
    /// the scope high-risk.
    pub async fn update(
        &self,
        scope: &Scope,
        patch: ScopePatch,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<ScopeView, ManageError> {
        let request = request.into();
        let (catalogue, entry) = self.find_for(scope, request).await?;
        let was_high = self.is_high(&entry, &catalogue);
        if patch.high_risk == Some(false)
            && let Some(why) = why_high_unmarked(scope, &self.rules)
        {
            let message = format!("scope {scope} stays high-risk: {why}");
            return Err(Rejection::with(RejectionCode::ScopeStaysHighRisk, message).into());
        }
        let ScopePatch {
            description,
            high_risk,
        } = patch;
        let (catalogue, entry) = if request.is_dry_run() {
            let entry = CatalogueEntry {
                description: description.unwrap_or(entry.description),
                high_risk: high_risk.unwrap_or(entry.high_risk),
                ..entry
            };
            (Arc::new(Catalogue::new(0, vec![entry.clone()])), entry)
        } else {
            let change = Change::Scope(ScopeChange::Update {
                scope: scope.clone(),
                description,
                high_risk,
            });
            if self.commit(change, request.act).await? == Some(Outcome::NotFound) {
                return Err(scope_not_found(scope).into());
            }
            self.find(scope).await?
        };
        let holders = self.holders(scope).await?;
        let mut view = self.view(&entry, &catalogue, holders.count);
        if view.high_risk_by.is_some() && !was_high {
            view.warnings.extend(living_warning(&holders));
        }
        Ok(view)
    }

    fn write(&self, change: Change, act: &Act) -> Write {
        Write::new(act.committed_at(self.clock.moment()), change)
    }

    async fn commit(&self, change: Change, act: &Act) -> Result<Option<Outcome>, StoreError> {
        self.commit_write(self.write(change, act)).await
    }

    async fn commit_write(&self, write: Write) -> Result<Option<Outcome>, StoreError> {
        let outcomes = self.store.commit(vec![write]).await?;
        Ok(outcomes.first().copied())
    }

    async fn find(&self, scope: &Scope) -> Result<(Arc<Catalogue>, CatalogueEntry), ManageError> {
        let catalogue = self.store.catalogue(Freshness::Fresh).await?;
        let entry = catalogue
            .entries()
            .iter()
            .find(|entry| entry.scope == *scope)
            .cloned();
        Ok((catalogue, entry.ok_or_else(|| scope_not_found(scope))?))
    }

    /// The scope that a request changes. A scope has no version, so `If-Match` is met by `*` alone.
    async fn find_for(
        &self,
        scope: &Scope,
        request: ChangeRequest<'_>,
    ) -> Result<(Arc<Catalogue>, CatalogueEntry), ManageError> {
        let catalogue = self.store.catalogue(Freshness::Fresh).await?;
        request.demand(catalogue.contains(scope).then_some(NO_VERSION))?;
        self.find(scope).await
    }

    /// The holders in all organisations, for those who change the catalogue.
    async fn holders(&self, scope: &Scope) -> Result<ScopeHolders, StoreError> {
        self.records.scope_holders(scope, None, MAX_NAMED).await
    }

    fn is_high(&self, entry: &CatalogueEntry, catalogue: &Catalogue) -> bool {
        catalogue.risk(std::slice::from_ref(&entry.scope), &self.rules) == Risk::High
    }

    fn view(&self, entry: &CatalogueEntry, catalogue: &Catalogue, agents: i64) -> ScopeView {
        let scope = &entry.scope;
        ScopeView {
            entry: entry.clone(),
            high_risk_by: high_risk_by(entry, &self.rules),
            built_in: is_built_in(scope),
            agents,
            warnings: open_warnings(std::slice::from_ref(scope), catalogue, &self.rules),
        }
    }
}

fn in_use(scope: &Scope, holders: &ScopeHolders) -> Rejection {
    let agents: Vec<&str> = holders.first.iter().map(AgentId::as_str).collect();
    let facts = vec![("agents", agents.into()), ("count", holders.count.into())];
    let message = format!("agents hold scope {scope}: {}", named(holders));
    Rejection::with(RejectionCode::ScopeInUse, message).and(facts)
}

fn is_built_in(scope: &Scope) -> bool {
    BUILT_IN.iter().any(|b| b.name == scope.as_str())
}
