//! The scope catalogue under an operator's hand.

use std::sync::Arc;

use serde::Serialize;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::Invalid;
use crate::domain::event::Actor;
use crate::domain::scope::{BUILT_IN, Catalogue, CatalogueEntry, Scope};
use crate::domain::ttl::Risk;
use crate::store::{Change, Freshness, Outcome, Store, Write};

use super::Error;

/// A scope of the catalogue as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScopeView {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Whether a token that carries it lives 15 minutes at most: by its name, the catalogue's mark or
    /// the configuration.
    pub high_risk: bool,
    /// Whether the server ships with it.
    pub built_in: bool,
}

/// What became of a scope that was to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// It stands at the end of the catalogue.
    Added(ScopeView),
    /// The catalogue has it already; nothing was changed.
    Exists,
}

/// The operations on the catalogue.
pub struct Scopes {
    /// Where it is kept.
    pub store: Arc<dyn Store>,
    /// Scopes that the configuration marks as high-risk.
    pub high_risk: Vec<Scope>,
    /// The clock.
    pub clock: Arc<StoreClock>,
}

/// Accepts 1–200 characters, none of them a control character.
pub fn parse_description(text: &str) -> Result<String, Invalid> {
    if text.trim().is_empty() || text.chars().count() > 200 || text.chars().any(char::is_control) {
        return Err(Invalid("a description is 1 to 200 characters without control characters"));
    }
    Ok(text.to_owned())
}

impl Scopes {
    /// All scopes in catalogue order.
    pub async fn list(&self) -> Result<Vec<ScopeView>, Error> {
        let catalogue = self.store.catalogue(Freshness::Fresh).await?;
        Ok(catalogue.entries().iter().map(|entry| self.view(entry, &catalogue)).collect())
    }

    /// Adds a scope at the end of the catalogue.
    pub async fn add(&self, entry: CatalogueEntry, by: Actor) -> Result<Added, Error> {
        let (at, change) = (self.clock.now(), Change::AddScope(entry.clone()));
        let outcomes = self.store.commit(vec![Write { at, by, change }]).await?;
        if outcomes.first() == Some(&Outcome::Applied) {
            let catalogue = Catalogue::new(0, vec![entry.clone()]);
            return Ok(Added::Added(self.view(&entry, &catalogue)));
        }
        Ok(Added::Exists)
    }

    fn view(&self, entry: &CatalogueEntry, catalogue: &Catalogue) -> ScopeView {
        let scope = &entry.scope;
        let risk = catalogue.risk(std::slice::from_ref(scope), &self.high_risk);
        ScopeView {
            name: scope.to_string(),
            description: entry.description.clone(),
            high_risk: risk == Risk::High,
            built_in: BUILT_IN.iter().any(|b| b.name == scope.as_str()),
        }
    }
}
