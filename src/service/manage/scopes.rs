//! The operations on the scope catalogue.
//!
//! Owns what an operator is refused and warned of. Must not know who asks or how the result is
//! shown.

use std::sync::Arc;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::Invalid;
use crate::domain::act::Act;
use crate::domain::agent::Agent;
use crate::domain::catalogue::{Catalogue, CatalogueEntry};
use crate::domain::id::AgentId;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::risk::{NameRisk, NameRule, RiskRules};
use crate::domain::scope::{BUILT_IN, Scope};
use crate::domain::ttl::{HIGH_RISK_CAP, Risk, Ttl};
use crate::store::{Change, Freshness, Outcome, Records, ScopeChange, Store, StoreError, Write};

use crate::service;

use super::error::ManageError;
use super::view::{ScopeView, ShortenedView};

/// How many agents are read at once.
const PAGE: i64 = 500;

/// How many agents a warning names.
const MAX_NAMED: usize = 10;

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

/// A warning for each of `scopes` whose risk neither its name nor an operator has decided.
pub(super) fn open_warnings(
    scopes: &[Scope],
    catalogue: &Catalogue,
    rules: &RiskRules,
) -> Vec<String> {
    let open = scopes
        .iter()
        .filter(|scope| catalogue.is_open(scope, rules));
    let warning = |scope: &Scope| {
        format!(
            "scope {scope}: no word of its name says whether it changes something, so it does not count as \
             high-risk; if it does change something, `scope update {scope} --high-risk` has its tokens live \
             15 minutes at most"
        )
    };
    open.map(warning).collect()
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
        Ok(catalogue
            .entries()
            .iter()
            .map(|entry| self.view(entry, &catalogue))
            .collect())
    }

    /// Adds a scope at the end of the catalogue.
    pub async fn add(&self, entry: CatalogueEntry, act: &Act) -> Result<ScopeView, ManageError> {
        if self
            .commit(Change::Scope(ScopeChange::Add(entry.clone())), act)
            .await?
            == Some(Outcome::Applied)
        {
            let catalogue = Catalogue::new(0, vec![entry.clone()]);
            return Ok(self.view(&entry, &catalogue));
        }
        Err(RejectionCode::ScopeExists.into())
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
            && let Some(why) = self.why_high_unmarked(scope)
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
        let mut view = self.view(&entry, &catalogue);
        if view.high_risk && !was_high {
            view.warnings.extend(self.living_warning(scope).await?);
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
            .commit(vec![Write { act, change }])
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

    /// The reason why the scope is high-risk even without the catalogue's mark.
    fn why_high_unmarked(&self, scope: &Scope) -> Option<&'static str> {
        let name = NameRisk::of(scope.as_str());
        match name {
            _ if self.rules.lists(scope) => {
                Some("the configuration lists it under scopes.high_risk")
            }
            _ if !self.rules.is_high(name) => None,
            NameRisk::Floor => Some(
                "its last part is write, delete or admin, or its first one is admin, and nothing lifts that",
            ),
            NameRisk::Writing => Some(
                "a word of its name changes something, which counts under scopes.rule = \"words\"",
            ),
            NameRisk::Reading | NameRisk::Unclassified => Some(
                "no word of its name is a known verb, which counts under scopes.unclassified = \"high\"",
            ),
        }
    }

    /// A warning that tokens from before the mark keep their longer lives. It names the agents that
    /// have the scope.
    async fn living_warning(&self, scope: &Scope) -> Result<Option<String>, service::Error> {
        let mut holders: Vec<AgentId> = Vec::new();
        self.each_agent(|agent| {
            if agent.profile.terms.scopes.contains(scope) {
                holders.push(agent.agent_id.clone());
            }
        })
        .await?;
        if holders.is_empty() {
            return Ok(None);
        }
        let named: Vec<&str> = holders
            .iter()
            .take(MAX_NAMED)
            .map(AgentId::as_str)
            .collect();
        let more = holders.len().saturating_sub(named.len());
        let more = if more == 0 {
            String::new()
        } else {
            format!(" and {more} more")
        };
        Ok(Some(format!(
            "tokens that carry it already live on as long as they were made for; `agent revoke-tokens` ends \
             those of an agent, and these have the scope: {}{more}",
            named.join(", ")
        )))
    }

    fn is_high(&self, entry: &CatalogueEntry, catalogue: &Catalogue) -> bool {
        catalogue.risk(std::slice::from_ref(&entry.scope), &self.rules) == Risk::High
    }

    fn view(&self, entry: &CatalogueEntry, catalogue: &Catalogue) -> ScopeView {
        let scope = &entry.scope;
        ScopeView {
            entry: entry.clone(),
            high_risk: self.is_high(entry, catalogue),
            built_in: BUILT_IN.iter().any(|b| b.name == scope.as_str()),
            warnings: open_warnings(std::slice::from_ref(scope), catalogue, &self.rules),
        }
    }
}
