//! The catalogue: the scopes that exist, in their order, and which of them are high-risk. With them, as of the
//! same version, the organizations whose agents' tokens were killed.
//!
//! Must not know which agent may have them.

use std::collections::HashMap;

use super::org::{OrgEpoch, OrgId, OrgStanding, OrgStatus};
use super::refusal::Refusal;
use super::risk::{NameRisk, RiskRules};
use super::scope::Scope;
use super::ttl::Risk;

/// One entry of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// The scope.
    pub scope: Scope,
    /// What it is for, one sentence.
    pub description: String,
    /// Whether the operator marked it high-risk. The name alone can make it high-risk too.
    pub high_risk: bool,
}

/// The scopes that exist, in the order in which they were added, and the version of that list.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    version: i64,
    entries: Vec<CatalogueEntry>,
    /// What each entry's name says about its risk: computed once, and not for every token.
    names: Vec<NameRisk>,
    position: HashMap<Scope, usize>,
    /// The standing of each organization whose epoch was ever raised.
    orgs: HashMap<OrgId, OrgStanding>,
}

impl Catalogue {
    /// The catalogue as a store holds it; `entries` in catalogue order.
    pub fn new(version: i64, entries: Vec<CatalogueEntry>) -> Self {
        let position = entries
            .iter()
            .enumerate()
            .map(|(i, e)| (e.scope.clone(), i))
            .collect();
        let names = entries
            .iter()
            .map(|e| NameRisk::of(e.scope.as_str()))
            .collect();
        Self {
            version,
            entries,
            names,
            position,
            orgs: HashMap::new(),
        }
    }

    /// The same catalogue, with the standing of each organization whose epoch was ever raised.
    #[must_use]
    pub fn with_orgs(self, orgs: HashMap<OrgId, OrgStanding>) -> Self {
        Self { orgs, ..self }
    }

    /// What a token says of this organization: its id and its epoch, and nothing for the first one.
    /// Refuses a suspended organization; one that is not known here was never suspended. The statement
    /// that counts the token compares the version.
    pub fn org_claim(&self, org_id: &OrgId) -> Result<Option<(OrgId, OrgEpoch)>, Refusal> {
        if org_id.is_default() {
            return Ok(None);
        }
        let standing = self.orgs.get(org_id).copied().unwrap_or_default();
        match standing.status {
            OrgStatus::Active => Ok(Some((org_id.clone(), standing.epoch))),
            OrgStatus::Suspended => Err(Refusal::AgentSuspended),
        }
    }

    /// Rises with every change to the catalogue, and with every change of an organization's standing.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// All entries in catalogue order.
    pub fn entries(&self) -> &[CatalogueEntry] {
        &self.entries
    }

    /// Whether the scope exists.
    pub fn contains(&self, scope: &Scope) -> bool {
        self.position.contains_key(scope)
    }

    /// Those of `scopes` that exist, sorted into catalogue order, without duplicates (contract D3).
    pub fn in_order(&self, scopes: &[Scope]) -> Vec<Scope> {
        let mut places: Vec<usize> = scopes
            .iter()
            .filter_map(|s| self.position.get(s).copied())
            .collect();
        places.sort_unstable();
        places.dedup();
        places
            .into_iter()
            .filter_map(|i| self.entries.get(i))
            .map(|e| e.scope.clone())
            .collect()
    }

    /// Whether any of `scopes` is high-risk (contract D2).
    pub fn risk(&self, scopes: &[Scope], rules: &RiskRules) -> Risk {
        let high = |scope: &Scope| {
            let (name, marked) = self.judge(scope);
            marked || rules.is_high(name) || rules.lists(scope)
        };
        if scopes.iter().any(high) {
            Risk::High
        } else {
            Risk::Ordinary
        }
    }

    /// Whether neither the name, nor the catalogue's mark, nor the configuration decides the
    /// scope's risk: see [`RiskRules::leaves_open`].
    pub fn is_open(&self, scope: &Scope, rules: &RiskRules) -> bool {
        let (name, marked) = self.judge(scope);
        !marked && rules.leaves_open(name) && !rules.lists(scope)
    }

    /// What the name of a scope says about its risk, and whether the catalogue marks it.
    fn judge(&self, scope: &Scope) -> (NameRisk, bool) {
        let known = self.position.get(scope);
        let known =
            known.and_then(|i| Some((*self.names.get(*i)?, self.entries.get(*i)?.high_risk)));
        known.unwrap_or_else(|| (NameRisk::of(scope.as_str()), false))
    }
}

#[cfg(test)]
mod tests {
    use super::super::scope::join;
    use super::*;

    fn scope(text: &str) -> Scope {
        Scope::parse(text).unwrap()
    }

    #[test]
    fn marks_are_added_and_never_taken_away() {
        let entry = |n: &str, high_risk| CatalogueEntry {
            scope: scope(n),
            description: String::new(),
            high_risk,
        };
        let catalogue = Catalogue::new(
            1,
            vec![
                entry("pay:visit", true),
                entry("db:read", false),
                entry("db:write", false),
                entry("x", false),
            ],
        );
        let risk = |n: &str, listed: &[Scope]| {
            catalogue.risk(
                &[scope(n)],
                &RiskRules {
                    high_risk: listed.to_vec(),
                    ..RiskRules::default()
                },
            )
        };
        assert_eq!(risk("pay:visit", &[]), Risk::High);
        assert_eq!(risk("db:write", &[]), Risk::High);
        assert_eq!(risk("x", &[]), Risk::Ordinary);
        assert_eq!(risk("db:read", &[]), Risk::Ordinary);
        assert_eq!(risk("db:read", &[scope("DB:read")]), Risk::High);
        assert_eq!(risk("write:gone", &[]), Risk::High);
        assert_eq!(
            join(&catalogue.in_order(&[scope("db:write"), scope("gone"), scope("pay:visit")])),
            "pay:visit db:write"
        );
    }
}
