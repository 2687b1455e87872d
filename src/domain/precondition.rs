//! What a change demands of the version that it changes (RFC 9110 §13.1). Must not know header
//! fields.

use super::rejection::RejectionCode;

/// Versions that a condition names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionMatch {
    /// Every version of something that exists.
    Any,
    /// One of these versions. An empty list matches nothing.
    OneOf(Vec<i64>),
}

impl VersionMatch {
    /// Whether the condition names this version. `None` if there is nothing that has a version.
    fn names(&self, version: Option<i64>) -> bool {
        match self {
            Self::Any => version.is_some(),
            Self::OneOf(versions) => version.is_some_and(|version| versions.contains(&version)),
        }
    }
}

/// What a change demands of the version that it changes. The default demands nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precondition {
    /// The change is made only to one of these versions.
    pub if_match: Option<VersionMatch>,
    /// The change is made to none of these versions.
    pub if_none_match: Option<VersionMatch>,
}

impl Precondition {
    /// Rejects the change unless this version meets the demand. `None` if what is to be changed
    /// does not exist.
    pub fn demand(&self, version: Option<i64>) -> Result<(), RejectionCode> {
        let matches = self.if_match.as_ref().is_none_or(|m| m.names(version));
        let excluded = self
            .if_none_match
            .as_ref()
            .is_some_and(|m| m.names(version));
        if matches && !excluded {
            Ok(())
        } else {
            Err(RejectionCode::VersionMismatch)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::VersionMatch::{Any, OneOf};
    use super::*;

    #[test]
    fn a_condition_is_met_by_the_versions_that_it_names() {
        for (condition, none, seven) in [
            (Any, false, true),
            (OneOf(vec![7]), false, true),
            (OneOf(vec![8, 7]), false, true),
            (OneOf(vec![8]), false, false),
            (OneOf(vec![]), false, false),
        ] {
            let matches = Precondition {
                if_match: Some(condition.clone()),
                if_none_match: None,
            };
            assert_eq!(matches.demand(None).is_ok(), none, "{condition:?}");
            assert_eq!(matches.demand(Some(7)).is_ok(), seven, "{condition:?}");
            let matches_not = Precondition {
                if_match: None,
                if_none_match: Some(condition.clone()),
            };
            assert_eq!(matches_not.demand(None).is_ok(), !none, "{condition:?}");
            assert_eq!(matches_not.demand(Some(7)).is_ok(), !seven, "{condition:?}");
        }
        assert!(Precondition::default().demand(None).is_ok());
    }
}
