//! The rule that a value broke. Owns the rule's text; must not know the value.

use std::borrow::Cow;

use crate::domain::Invalid;

/// The text of a rule. It never contains the value that broke the rule, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule(pub Cow<'static, str>);

impl From<Invalid> for Rule {
    fn from(invalid: Invalid) -> Self {
        Self(Cow::Borrowed(invalid.0))
    }
}

impl From<&'static str> for Rule {
    fn from(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Rule {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}
