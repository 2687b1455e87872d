//! What people say about an agent: a description, who answers for it, and labels. No decision about
//! a token reads these. Must not know what an agent may do.

use std::collections::BTreeMap;
use std::fmt;

use super::Invalid;
use super::time::Timestamp;

/// The most labels of one agent.
const MAX_LABELS: usize = 16;

/// What people say about an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// What it is for.
    pub description: Option<Description>,
    /// Who answers for it.
    pub owner: Option<Owner>,
    /// By what it is found.
    pub labels: Labels,
}

/// A description: 1–1,000 characters, without control characters other than line feeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description(Box<str>);

impl Description {
    /// Accepts 1–1,000 characters without control characters other than line feeds.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let forbidden = |c: char| c.is_control() && c != '\n';
        if text.trim().is_empty() || text.chars().count() > 1_000 || text.chars().any(forbidden) {
            return Err(Invalid(
                "a description is 1 to 1000 characters without control characters, except line feeds",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who answers for an agent, a person or a team: 1–200 characters without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(Box<str>);

impl Owner {
    /// Accepts 1–200 characters without control characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.trim().is_empty()
            || text.chars().count() > 200
            || text.chars().any(char::is_control)
        {
            return Err(Invalid(
                "an owner is 1 to 200 characters without control characters",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The key or the value of a label: 1–63 characters of `[A-Za-z0-9._/-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabelText(Box<str>);

impl LabelText {
    /// Accepts 1–63 characters of the alphabet.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._/-".contains(&b);
        if text.is_empty() || text.len() > 63 || !text.bytes().all(allowed) {
            return Err(Invalid(
                "the key and the value of a label are 1 to 63 characters of A-Z a-z 0-9 . _ / -",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One label: a key and its value.
pub(crate) type Label = (LabelText, LabelText);

/// Reads a label that is written as `key=value`.
pub fn parse_label(text: &str) -> Result<Label, Invalid> {
    let (key, value) = text
        .split_once('=')
        .ok_or(Invalid("a label is written as key=value"))?;
    Ok((LabelText::parse(key)?, LabelText::parse(value)?))
}

/// The labels of an agent: at most 16, each key once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<LabelText, LabelText>);

impl Labels {
    /// Accepts at most 16 labels with different keys.
    pub fn new(labels: impl IntoIterator<Item = Label>) -> Result<Self, Invalid> {
        let mut all = BTreeMap::new();
        for (key, value) in labels {
            if all.insert(key, value).is_some() {
                return Err(Invalid("an agent has each label key once"));
            }
        }
        if all.len() > MAX_LABELS {
            return Err(Invalid("an agent has at most 16 labels"));
        }
        Ok(Self(all))
    }

    /// These labels after each of the keys got its new value, or was removed.
    pub(crate) fn merged(
        &self,
        changes: &[(LabelText, Option<LabelText>)],
    ) -> Result<Self, Invalid> {
        let mut all = self.0.clone();
        for (key, value) in changes {
            match value {
                Some(value) => all.insert(key.clone(), value.clone()),
                None => all.remove(key),
            };
        }
        Self::new(all)
    }

    /// The labels in the byte order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.0.iter();
        pairs.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The labels, in the byte order of their keys.
    pub(crate) fn into_pairs(self) -> Vec<Label> {
        self.0.into_iter().collect()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Labels {
    /// Writes `key=value`, separated by spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (key, value)) in self.iter().enumerate() {
            let separator = if place == 0 { "" } else { " " };
            write!(f, "{separator}{key}={value}")?;
        }
        Ok(())
    }
}

/// Reads the time from which on an agent is expired: RFC 3339 with whole seconds, in the years 1970
/// to 9999 of UTC.
pub(crate) fn parse_expiry(text: &str) -> Result<Timestamp, Invalid> {
    let time = Timestamp::parse_rfc3339(text)?;
    if (0..=253_402_300_799).contains(&time.0) {
        Ok(time)
    } else {
        Err(Invalid("an expiry is a time in the years 1970 to 9999"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_description_may_have_lines_and_an_owner_may_not() {
        for good in ["x", "a\nb", &"\u{1f600}".repeat(1_000)] {
            assert_eq!(Description::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            " \n",
            "a\tb",
            "a\r\n",
            "\0",
            "\u{85}",
            &"x".repeat(1_001),
        ] {
            assert!(Description::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["x", "Payments <pay@acme.example>", &"\u{fc}".repeat(200)] {
            assert_eq!(Owner::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", " ", "a\nb", "\u{7f}", &"x".repeat(201)] {
            assert!(Owner::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_label_is_a_key_and_a_value_of_one_alphabet() {
        let (key, value) = parse_label("acme.example/team=pay-1_x").unwrap();
        assert_eq!(
            (key.as_str(), value.as_str()),
            ("acme.example/team", "pay-1_x")
        );
        let long = format!("{}=v", "k".repeat(64));
        for bad in [
            "",
            "k",
            "k=",
            "=v",
            "k=a=b",
            "k=a b",
            "k\u{fc}=v",
            "k:v=w",
            &long,
        ] {
            assert!(parse_label(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_expiry_can_be_written_again() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
            ("2026-01-31T23:59:59+01:00", 1_769_900_399),
        ] {
            assert_eq!(parse_expiry(text), Ok(Timestamp(seconds)));
        }
        for bad in [
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59-01:00",
            "2026-01-31T23:59:59.5Z",
            "never",
        ] {
            assert!(parse_expiry(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn labels_are_at_most_sixteen_with_different_keys(
            pairs in proptest::collection::vec(("[a-d]{1,3}", "[A-Za-z0-9._/-]{1,63}"), 0..24),
        ) {
            let label = |(key, value): &(String, String)| {
                (LabelText::parse(key).unwrap(), LabelText::parse(value).unwrap())
            };
            let expected: BTreeMap<_, _> = pairs.iter().cloned().collect();
            let labels = Labels::new(pairs.iter().map(label));
            prop_assert_eq!(labels.is_ok(), expected.len() == pairs.len() && pairs.len() <= 16);
            if let Ok(labels) = labels {
                let again = labels.to_string();
                let again = Labels::new(again.split_whitespace().map(|l| parse_label(l).unwrap()));
                prop_assert_eq!(&again, &Ok(labels.clone()));
                let shown: Vec<_> = labels.iter().collect();
                let sorted: Vec<_> = expected.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
                prop_assert_eq!(shown, sorted);
            }
        }
    }
}
