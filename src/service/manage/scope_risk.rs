//! Why a scope is high-risk, and what an operator is told of that, in words. Must not know how scopes or
//! agents are read.

use crate::domain::catalogue::{Catalogue, CatalogueEntry};
use crate::domain::id::AgentId;
use crate::domain::risk::{NameRisk, RiskRules};
use crate::domain::scope::Scope;
use crate::store::ScopeHolders;

use super::view::HighRiskBy;

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

/// The reason why the scope is high-risk even without the catalogue's mark.
pub(super) fn why_high_unmarked(scope: &Scope, rules: &RiskRules) -> Option<&'static str> {
    let name = NameRisk::of(scope.as_str());
    match name {
        _ if rules.lists(scope) => Some("the configuration lists it under scopes.high_risk"),
        _ if !rules.is_high(name) => None,
        NameRisk::Floor => Some(
            "its last part is write, delete or admin, or its first one is admin, and nothing lifts that",
        ),
        NameRisk::Writing => {
            Some("a word of its name changes something, which counts under scopes.rule = \"words\"")
        }
        NameRisk::Reading | NameRisk::Unclassified => Some(
            "no word of its name is a known verb, which counts under scopes.unclassified = \"high\"",
        ),
    }
}

/// What makes a scope high-risk. The mark comes last: if it is the answer, an operator can remove it.
pub(super) fn high_risk_by(entry: &CatalogueEntry, rules: &RiskRules) -> Option<HighRiskBy> {
    if rules.is_high(NameRisk::of(entry.scope.as_str())) {
        Some(HighRiskBy::Name)
    } else if rules.lists(&entry.scope) {
        Some(HighRiskBy::Configuration)
    } else {
        entry.high_risk.then_some(HighRiskBy::Catalogue)
    }
}

/// The holders as a list in words.
pub(super) fn named(holders: &ScopeHolders) -> String {
    let ids: Vec<&str> = holders.first.iter().map(AgentId::as_str).collect();
    let named = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    match holders.count.saturating_sub(named) {
        ..=0 => ids.join(", "),
        more => format!("{} and {more} more", ids.join(", ")),
    }
}

/// A warning that tokens from before the mark keep their longer lives. It names the agents that
/// have the scope.
pub(super) fn living_warning(holders: &ScopeHolders) -> Option<String> {
    (holders.count > 0).then(|| {
        format!(
            "tokens that carry it already live on as long as they were made for; `agent revoke-tokens` ends \
             those of an agent, and these have the scope: {}",
            named(holders)
        )
    })
}
