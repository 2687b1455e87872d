//! Scopes, requests for them, and the catalogue of those that exist.
//!
//! Owns the grammar of RFC 6749 §3.3 and whose word makes a scope high-risk (contract D2; `risk` reads the
//! names). Must not know agents.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::Invalid;
use super::risk::{NameRisk, RiskRules};
use super::ttl::Risk;

/// One scope token: 1–128 characters of `%x21 / %x23-5B / %x5D-7E` (RFC 6749 §3.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(Arc<str>);

impl Scope {
    /// Accepts `text` when every character is one the RFC allows.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        // RFC 6749 §3.3: NQCHAR without the space.
        let allowed = |b: u8| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        if text.is_empty() || text.len() > 128 || !text.bytes().all(allowed) {
            return Err(Invalid(
                "a scope is 1 to 128 printable ASCII characters without space, quote or backslash",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The scope as it travels.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Splits a `scope` parameter at single spaces, keeping the order and dropping doubles.
///
/// Anything else between, before or after the scopes is malformed (RFC 6749 §3.3).
pub fn parse_scope_list(text: &str) -> Result<Vec<Scope>, Invalid> {
    let mut scopes: Vec<Scope> = Vec::new();
    // The set of names bounds the work on a list of thousands of doubles.
    let mut seen = std::collections::HashSet::new();
    for part in text.split(' ') {
        let scope = Scope::parse(part)?;
        if seen.insert(scope.clone()) {
            scopes.push(scope);
        }
    }
    Ok(scopes)
}

/// Joins scopes with single spaces, as `scope` travels in replies and claims.
pub fn join(scopes: &[Scope]) -> String {
    let mut text = String::with_capacity(scopes.iter().map(|s| s.as_str().len() + 1).sum());
    for scope in scopes {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(scope.as_str());
    }
    text
}

/// A scope that the server ships with and that opens its own endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltIn {
    /// The scope's name.
    pub name: &'static str,
    /// What it opens.
    pub description: &'static str,
}

/// The seven built-in scopes, in catalogue order (contract §3).
pub const BUILT_IN: [BuiltIn; 7] = [
    BuiltIn { name: "agents:read", description: "Read agent identity records" },
    BuiltIn { name: "agents:write", description: "Create, update and decommission agents" },
    BuiltIn { name: "tokens:read", description: "Introspect tokens" },
    BuiltIn { name: "audit:read", description: "Query the audit log and verify its chain" },
    BuiltIn { name: "webhooks:read", description: "List webhook subscriptions and deliveries" },
    BuiltIn { name: "webhooks:write", description: "Create, update and delete webhook subscriptions" },
    BuiltIn { name: "admin:orgs", description: "Manage organizations and federation partners" },
];

/// Whether `name` is a built-in scope whose first segment is `admin`: it opens what belongs to
/// other agents. A scope that an operator added never does (contract §3).
pub fn is_admin(name: &str) -> bool {
    BUILT_IN.iter().any(|b| b.name == name) && name.split([':', '.']).next() == Some("admin")
}

/// One line of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// The scope.
    pub scope: Scope,
    /// What it is for, one sentence.
    pub description: String,
    /// Marked high-risk by the operator. The name alone can make it so too.
    pub high_risk: bool,
}

/// The scopes that exist, in the order in which they were added, and the version of that list.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    version: i64,
    entries: Vec<CatalogueEntry>,
    /// What each entry's name says: read once, not for every token.
    names: Vec<NameRisk>,
    position: HashMap<Scope, usize>,
}

impl Catalogue {
    /// The catalogue as a store holds it; `entries` in catalogue order.
    pub fn new(version: i64, entries: Vec<CatalogueEntry>) -> Self {
        let position = entries.iter().enumerate().map(|(i, e)| (e.scope.clone(), i)).collect();
        let names = entries.iter().map(|e| NameRisk::of(e.scope.as_str())).collect();
        Self { version, entries, names, position }
    }

    /// Rises with every change to the catalogue.
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

    /// `scopes` that exist, sorted into catalogue order, without doubles (contract D3).
    pub fn in_order(&self, scopes: &[Scope]) -> Vec<Scope> {
        let mut places: Vec<usize> = scopes.iter().filter_map(|s| self.position.get(s).copied()).collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().filter_map(|i| self.entries.get(i)).map(|e| e.scope.clone()).collect()
    }

    /// Whether any of `scopes` is high-risk (contract D2).
    pub fn risk(&self, scopes: &[Scope], rules: &RiskRules) -> Risk {
        let high = |scope: &Scope| {
            let (name, marked) = self.judge(scope);
            marked || rules.is_high(name) || rules.lists(scope)
        };
        if scopes.iter().any(high) { Risk::High } else { Risk::Ordinary }
    }

    /// Whether neither a name nor a hand has judged the scope: see [`RiskRules::leaves_open`].
    pub fn is_open(&self, scope: &Scope, rules: &RiskRules) -> bool {
        let (name, marked) = self.judge(scope);
        !marked && rules.leaves_open(name) && !rules.lists(scope)
    }

    /// What the name of a scope says, and whether the catalogue marks it.
    fn judge(&self, scope: &Scope) -> (NameRisk, bool) {
        let known = self.position.get(scope);
        let known = known.and_then(|i| Some((*self.names.get(*i)?, self.entries.get(*i)?.high_risk)));
        known.unwrap_or_else(|| (NameRisk::of(scope.as_str()), false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scope(text: &str) -> Scope {
        Scope::parse(text).unwrap()
    }

    #[test]
    fn the_grammar_is_that_of_rfc_6749() {
        for bad in ["", " ", "a  b", " a", "a ", "a\"b", "a\\b", "a\tb", "é", "a\u{7f}"] {
            assert!(parse_scope_list(bad).is_err(), "{bad:?}");
        }
        let list = parse_scope_list("b a b").unwrap();
        assert_eq!(join(&list), "b a");
        assert_ne!(scope("A"), scope("a"));
    }

    #[test]
    fn only_built_in_admin_scopes_are_admin() {
        assert!(is_admin("admin:orgs"));
        assert!(!is_admin("admin:everything"));
        assert!(!is_admin("agents:write"));
    }

    #[test]
    fn marks_are_added_and_never_taken_away() {
        let entry =
            |n: &str, high_risk| CatalogueEntry { scope: scope(n), description: String::new(), high_risk };
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
            catalogue.risk(&[scope(n)], &RiskRules { high_risk: listed.to_vec(), ..RiskRules::default() })
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

    proptest! {
        #[test]
        fn what_was_joined_parses_back(names in proptest::collection::btree_set("[!#-\\[\\]-~]{1,20}", 1..8)) {
            let scopes: Vec<Scope> = names.iter().map(|n| scope(n)).collect();
            prop_assert_eq!(parse_scope_list(&join(&scopes)).unwrap(), scopes);
        }

        #[test]
        fn no_input_panics(text in ".*") {
            let _ = parse_scope_list(&text);
        }
    }
}
