//! Parameters: the pairs of a form, under the rules of RFC 6749 and contract D14 on what a client may
//! write. Must not know which of them anybody asks for.
//!
//! They are parsed to pairs by hand: an extractor into a struct sees no repeated parameter and turns
//! bytes that are not UTF-8 into replacement characters.

use std::borrow::Cow;

use crate::domain::refusal::Refusal;

use super::error::{Challenge, Failure};

const MALFORMED_FORM: Failure =
    Failure::Refused(Refusal::InvalidRequest("The request is not valid form encoding."), Challenge::None);
/// What a repeated parameter is answered with.
pub const REPEATED: Failure =
    Failure::Refused(Refusal::InvalidRequest("A parameter is repeated."), Challenge::None);

/// The parameters of a request, in the order in which they came.
pub struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    /// Parses `application/x-www-form-urlencoded`. Raw spaces and colons are accepted, since real
    /// clients send them; anything that is not valid percent-encoding of UTF-8 is refused, in a
    /// parameter that nobody asked for too.
    pub fn of_form(text: &'a [u8]) -> Result<Self, Failure> {
        let pairs = text.split(|b| *b == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
            let mut halves = pair.splitn(2, |b| *b == b'=');
            let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
            Some((decode(name)?, decode(value)?))
        });
        pairs.collect::<Option<Vec<_>>>().map(Self).ok_or(MALFORMED_FORM)
    }

    /// The value of a parameter: `None` when it is absent or empty (RFC 6749 §3.1), refused when it
    /// is repeated, with the same value too (RFC 6749 §3.2).
    pub fn one(&self, name: &str) -> Result<Option<&str>, Failure> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(REPEATED),
            (value, None) => Ok(value.filter(|v| !v.is_empty())),
        }
    }

    /// Whether any of these names occurs, with whatever value.
    pub fn has_any(&self, names: &[&str]) -> bool {
        self.0.iter().any(|(name, _)| names.contains(&name.as_ref()))
    }

    /// All values of a parameter that may repeat.
    pub fn all<'s>(&'s self, name: &str) -> impl Iterator<Item = &'s str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_ref())
    }
}

/// `+` is a space and `%XX` a byte; the bytes must be UTF-8.
pub fn decode(text: &[u8]) -> Option<Cow<'_, str>> {
    if !text.iter().any(|b| matches!(b, b'+' | b'%')) {
        return std::str::from_utf8(text).ok().map(Cow::Borrowed);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn raw_spaces_and_colons_are_accepted() {
        let form = Parameters::of_form(b"scope=a:b c:d&x=1+2&y=%C3%A9").unwrap();
        assert_eq!(form.one("scope").unwrap(), Some("a:b c:d"));
        assert_eq!(form.one("x").unwrap(), Some("1 2"));
        assert_eq!(form.one("y").unwrap(), Some("é"));
    }

    #[test]
    fn what_is_no_percent_encoded_utf8_is_refused_anywhere() {
        for bad in ["a=%", "a=%z", "a=%zz", "unknown=%ff", "%ff=1", "a=b&c=%C3"] {
            assert!(Parameters::of_form(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Parameters::of_form(b"a=\xff").is_err());
    }

    #[test]
    fn a_known_parameter_must_not_repeat_and_an_empty_one_is_omitted() {
        let form = Parameters::of_form(b"a=1&a=1&b=&b=2&c=&foo&resource=x&resource=y").unwrap();
        assert!(form.one("a").is_err());
        assert!(form.one("b").is_err());
        assert_eq!(form.one("c").unwrap(), None);
        assert_eq!(form.one("foo").unwrap(), None);
        assert_eq!(form.all("resource").collect::<Vec<_>>(), ["x", "y"]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(form) = Parameters::of_form(&bytes) {
                let _ = form.one("a");
            }
        }

        #[test]
        fn what_was_form_encoded_decodes_back(value in ".{0,60}") {
            let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            let body = format!("k={encoded}");
            let form = Parameters::of_form(body.as_bytes()).unwrap();
            prop_assert_eq!(form.one("k").unwrap().unwrap_or(""), value);
        }
    }
}
