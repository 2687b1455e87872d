//! Scopes and requests for them. Owns the grammar of RFC 6749 §3.3 and the built-in names; must not
//! know which scopes a store holds.

use std::fmt;
use std::sync::Arc;

use super::Invalid;

/// One scope token: 1–128 characters of `%x21 / %x23-5B / %x5D-7E` (RFC 6749 §3.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(Arc<str>);

impl Scope {
    /// Accepts `text` if the RFC allows every character.
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

    /// The scope as sent in requests and tokens.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Splits a `scope` parameter at single spaces, keeps the order and drops duplicates.
///
/// Any other separator, or anything before or after the scopes, is malformed (RFC 6749 §3.3).
pub fn parse_scope_list(text: &str) -> Result<Vec<Scope>, Invalid> {
    let mut scopes: Vec<Scope> = Vec::new();
    // The set of names bounds the work on a list of thousands of duplicates.
    let mut seen = std::collections::HashSet::new();
    for part in text.split(' ') {
        let scope = Scope::parse(part)?;
        if seen.insert(scope.clone()) {
            scopes.push(scope);
        }
    }
    Ok(scopes)
}

/// Joins scopes with single spaces, as `scope` is written in responses and claims.
pub(crate) fn join(scopes: &[Scope]) -> String {
    let mut text = String::with_capacity(scopes.iter().map(|s| s.as_str().len() + 1).sum());
    for scope in scopes {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(scope.as_str());
    }
    text
}

/// A scope that the server ships with. Only these scopes give access to the server's own endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltIn {
    /// The scope's name.
    pub name: &'static str,
    /// What it gives access to, or is reserved for.
    pub description: &'static str,
}

/// The seven built-in scopes, in catalogue order (contract §3). Two are reserved and give access to
/// nothing yet: `webhooks:read` and `webhooks:write`.
pub const BUILT_IN: [BuiltIn; 7] = [
    BuiltIn {
        name: "agents:read",
        description: "Read agent identity records",
    },
    BuiltIn {
        name: "agents:write",
        description: "Create, update and decommission agents",
    },
    BuiltIn {
        name: "tokens:read",
        description: "Introspect tokens",
    },
    BuiltIn {
        name: "audit:read",
        description: "Query the audit log and verify its chain",
    },
    BuiltIn {
        name: "webhooks:read",
        description: "List webhook subscriptions and deliveries",
    },
    BuiltIn {
        name: "webhooks:write",
        description: "Create, update and delete webhook subscriptions",
    },
    BuiltIn {
        name: "admin:orgs",
        description: "Manage organizations and federation partners",
    },
];

/// Whether `name` is a built-in scope whose first segment is `admin`. Such a scope gives access to
/// what belongs to other agents. A scope that an operator added never does (contract §3).
pub(crate) fn is_admin(name: &str) -> bool {
    BUILT_IN.iter().any(|b| b.name == name) && name.split([':', '.']).next() == Some("admin")
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
        for bad in [
            "", " ", "a  b", " a", "a ", "a\"b", "a\\b", "a\tb", "é", "a\u{7f}",
        ] {
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
