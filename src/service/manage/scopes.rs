//! The operations on the scope catalogue.
//!
//! Owns what an operator is refused and warned of. Must not know who asks or how the result is
//! shown.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::Invalid;
use crate::domain::act::Act;
use crate::domain::agent::Agent;
use crate::domain::catalogue::{Catalogue, CatalogueEntry};
use crate::domain::id::AgentId;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::risk::{NameRule, RiskRules};
use crate::domain::scope::{BUILT_IN, Scope};
use crate::domain::ttl::{HIGH_RISK_CAP, Risk, Ttl};
use crate::store::{
    Change, Freshness, Outcome, Records, ScopeChange, ScopeHolders, Store, StoreError, Write,
};

use crate::service;

use super::error::ManageError;
use super::scope_risk::{high_risk_by, living_warning, named, open_warnings, why_high_unmarked};
use super::view::{ScopeView, ShortenedView};

/// How many agents are read at once.
const PAGE: i64 = 500;

/// How many agents a warning or a rejection names.
const MAX_NAMED: i64 = 10;

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
    store: Arc<dyn Store>,
    records: Arc<dyn Records>,
    rules: RiskRules,
    clock: Arc<StoreClock>,
}

/// Accepts 1–200 characters without control characters.
pub(crate) fn parse_description(text: &str) -> Result<String, Invalid> {
    if text.trim().is_empty() || text.chars().count() > 200 || text.chars().any(char::is_control) {
        return Err(Invalid(
            "a description is 1 to 200 characters without control characters",
        ));
    }
    Ok(text.to_owned())
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

    /// All scopes in catalogue order.
    pub async fn list(&self) -> Result<Vec<ScopeView>, service::Error> {
        let catalogue = self.store.catalogue(Freshness::Fresh).await?;
        let counts: HashMap<Scope, i64> = self.records.scope_counts().await?.into_iter().collect();
        let view = |entry: &CatalogueEntry| {
            let agents = counts.get(&entry.scope).copied().unwrap_or(0);
            self.view(entry, &catalogue, agents)
        };
        Ok(catalogue.entries().iter().map(view).collect())
    }

    /// One scope.
    pub async fn show(&self, scope: &Scope) -> Result<ScopeView, ManageError> {
        let (catalogue, entry) = self.find(scope).await?;
        let agents = self.holders(scope).await?.count;
        Ok(self.view(&entry, &catalogue, agents))
    }

    /// Adds a scope at the end of the catalogue.
    pub async fn add(&self, entry: CatalogueEntry, act: &Act) -> Result<ScopeView, ManageError> {
        let scope = entry.scope.clone();
        match self
            .commit(Change::Scope(ScopeChange::Add(entry)), act)
            .await?
        {
            Some(Outcome::Applied) => self.show(&scope).await,
            _ => Err(RejectionCode::ScopeExists.into()),
        }
    }

    /// Deletes a scope that no agent holds, and returns what it was. Tokens that carry it live on.
    pub async fn delete(&self, scope: &Scope, act: &Act) -> Result<ScopeView, ManageError> {
        if is_built_in(scope) {
            let message = format!("scope {scope} is built in: it opens a part of this server");
            return Err(Rejection::with(RejectionCode::ScopeBuiltIn, message).into());
        }
        let shown = self.show(scope).await?;
        let change = Change::Scope(ScopeChange::Delete(scope.clone()));
        match self.commit(change, act).await? {
            Some(Outcome::Applied) => Ok(shown),
            Some(Outcome::Conflict) => {
                let holders = self.holders(scope).await?;
                let (message, agents) = (
                    format!("agents hold scope {scope}: {}", named(&holders)),
                    holders
                        .first
                        .iter()
                        .map(AgentId::as_str)
                        .collect::<Vec<_>>(),
                );
                let facts = vec![("agents", agents.into()), ("count", holders.count.into())];
                Err(Rejection::with(RejectionCode::ScopeInUse, message)
                    .and(facts)
                    .into())
            }
            _ => Err(scope_not_found(scope).into()),
        }
    }

    /// Changes a scope's description or mark. The mark can be removed only if nothing else makes
    /// the scope high-risk.
    pub async fn update(
        &self,
        scope: &Scope,
        patch: ScopePatch,
        act: &Act,
    ) -> Result<ScopeView, ManageError> {
        let (catalogue, entry) = self.find(scope).await?;
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
        let change = Change::Scope(ScopeChange::Update {
            scope: scope.clone(),
            description,
            high_risk,
        });
        if self.commit(change, act).await? == Some(Outcome::NotFound) {
            return Err(scope_not_found(scope).into());
        }
        let (catalogue, entry) = self.find(scope).await?;
        let holders = self.holders(scope).await?;
        let mut view = self.view(&entry, &catalogue, holders.count);
        if view.high_risk_by.is_some() && !was_high {
            view.warnings.extend(living_warning(&holders));
        }
        Ok(view)
    }

    /// The agents, except decommissioned ones, whose tokens live shorter than they would under
    /// `scopes.rule = "suffix"`. An upgrade from a version that knew only that rule affects these
    /// agents.
    pub async fn shortened(&self, default: Ttl) -> Result<Vec<ShortenedView>, service::Error> {
        let catalogue = self.store.catalogue(Freshness::Fresh).await?;
        let floor = RiskRules {
            rule: NameRule::Suffix,
            ..self.rules.clone()
        };
        let is_cut = |scope: &&Scope| {
            let risk = |rules| catalogue.risk(std::slice::from_ref(*scope), rules);
            risk(&self.rules) == Risk::High && risk(&floor) == Risk::Ordinary
        };
        let mut all = Vec::new();
        self.each_agent(|agent| {
            let terms = &agent.profile.terms;
            let ttl = terms.ttl.unwrap_or(default).secs();
            let scopes: Vec<Scope> = terms.scopes.iter().filter(is_cut).cloned().collect();
            if ttl > HIGH_RISK_CAP && !scopes.is_empty() && !agent.status.is_final() {
                all.push(ShortenedView {
                    agent_id: agent.agent_id.clone(),
                    ttl,
                    scopes,
                });
            }
        })
        .await?;
        Ok(all)
    }

    /// Calls `see` with every agent, in the order of their ids.
    async fn each_agent(&self, mut see: impl FnMut(&Agent)) -> Result<(), StoreError> {
        let mut after: Option<AgentId> = None;
        loop {
            let page = self.records.agents(after.as_ref(), PAGE).await?;
            page.iter().for_each(&mut see);
            after = page.last().map(|agent| agent.agent_id.clone());
            if i64::try_from(page.len()).is_ok_and(|count| count < PAGE) {
                return Ok(());
            }
        }
    }

    async fn commit(&self, change: Change, act: &Act) -> Result<Option<Outcome>, StoreError> {
        let act = act.committed_at(self.clock.moment());
        Ok(self
            .store
            .commit(vec![Write::new(act, change)])
            .await?
            .first()
            .copied())
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

    async fn holders(&self, scope: &Scope) -> Result<ScopeHolders, StoreError> {
        self.records.scope_holders(scope, MAX_NAMED).await
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

fn is_built_in(scope: &Scope) -> bool {
    BUILT_IN.iter().any(|b| b.name == scope.as_str())
}
