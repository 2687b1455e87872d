//! Idempotency keys: a client's name for a request, so that the same request sent again is done
//! once. Owns their form. Must not know how long a key is remembered.

use super::Invalid;

const RULE: Invalid = Invalid(
    "an idempotency key is 1 to 255 visible ASCII characters, bare or as a quoted string of RFC 8941",
);

/// The key of a request: 1–255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(Box<str>);

impl IdempotencyKey {
    /// Reads the value of the header field. A quoted string
    /// (draft-ietf-httpapi-idempotency-key-header) and the same characters without quotes are
    /// one key.
    pub fn parse(value: &str) -> Result<Self, Invalid> {
        let value = value.trim_matches([' ', '\t']);
        let key = match value.strip_prefix('"') {
            Some(rest) => unquote(rest).ok_or(RULE)?,
            None => value.to_owned(),
        };
        if !(1..=255).contains(&key.len()) || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(RULE);
        }
        Ok(Self(key.into()))
    }

    /// The key without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// RFC 8941 §4.2.5: the characters of a string whose opening quote was read. `None` if anything
/// follows the closing quote, or if none closes it.
fn unquote(text: &str) -> Option<String> {
    let (mut key, mut characters) = (String::new(), text.chars());
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => key.push(characters.next().filter(|c| matches!(c, '"' | '\\'))?),
            other => key.push(other),
        }
    }
    characters.next().is_none().then_some(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(value: &str) -> Option<String> {
        let key = IdempotencyKey::parse(value).ok();
        key.map(|key| key.as_str().to_owned())
    }

    #[test]
    fn a_quoted_key_and_a_bare_one_are_the_same() {
        for (value, expected) in [
            (
                "8e03978e-40d5-43dd-bc93-6894a57f9324",
                "8e03978e-40d5-43dd-bc93-6894a57f9324",
            ),
            ("\"8e03978e\"", "8e03978e"),
            ("  \"a\" ", "a"),
            ("\"a\\\"b\\\\c\"", "a\"b\\c"),
            ("a\"b\\c", "a\"b\\c"),
            (&"k".repeat(255), &"k".repeat(255)),
        ] {
            assert_eq!(key(value).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for value in [
            "",
            " ",
            "\"\"",
            "\"",
            "\"a",
            "\"a\"b",
            "\"a\";p=1",
            "\"a\\b\"",
            "\"a\\",
            "a b",
            "\"a b\"",
            "a\tb",
            "\u{e9}",
            "\u{7f}",
            &"k".repeat(256),
        ] {
            assert_eq!(key(value), None, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn a_key_is_found_back_in_its_quoted_form(bare in "[!#-~]{1,255}") {
            let quoted = bare.replace('\\', "\\\\").replace('"', "\\\"");
            prop_assert_eq!(key(&format!("\"{quoted}\"")), Some(bare.clone()));
            prop_assert_eq!(key(&bare), Some(bare));
        }
    }
}
