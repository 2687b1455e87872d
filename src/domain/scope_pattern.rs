//! Patterns of scopes: which scopes a secret does not open.

use super::Invalid;
use super::scope::Scope;

/// A scope, or the beginning of scopes with a `*` behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopePattern(Box<str>);

impl ScopePattern {
    /// Accepts a scope in which a `*` stands at the end only: `payments:*`, `db:write`, `*`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let fault = Invalid("patterns of scopes, such as payments:* or db:write");
        let start = text.strip_suffix('*').unwrap_or(text);
        if start.contains('*') || Scope::parse(text).is_err() {
            return Err(fault);
        }
        Ok(Self(text.into()))
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the scope is one of those that the pattern means.
    pub fn covers(&self, scope: &Scope) -> bool {
        match self.0.strip_suffix('*') {
            Some(start) => scope.as_str().starts_with(start),
            None => *self.0 == *scope.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_a_scope_or_what_begins_like_it() {
        let covers = |pattern: &str, scope: &str| {
            let pattern = ScopePattern::parse(pattern).unwrap();
            pattern.covers(&Scope::parse(scope).unwrap())
        };
        assert!(covers("payments:*", "payments:send") && covers("*", "a"));
        assert!(covers("db:write", "db:write"));
        assert!(!covers("db:write", "db:writer") && !covers("payments:*", "payments"));
        for bad in ["", "*a", "a*b", "a b", "**"] {
            assert!(ScopePattern::parse(bad).is_err(), "{bad}");
        }
    }
}
