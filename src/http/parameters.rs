//! Parameters: the pairs of a form or of a JSON object, under the rules of RFC 6749 and contract
//! D14 on what a client may write. Must not know which parameters are used.
//!
//! This module parses them into pairs by hand. An extractor into a struct would not see repeated
//! parameters, and would turn bytes that are not UTF-8 into replacement characters.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::domain::refusal::Refusal;

use super::urlencoded::decode;

const MALFORMED_FORM: Refusal = Refusal::InvalidRequest("The request is not valid form encoding.");
const MALFORMED_JSON: Refusal = Refusal::InvalidRequest("The request is not a valid JSON object.");
const TOO_MANY: Refusal = Refusal::InvalidRequest("The request has more than 1,024 parameters.");

/// The most parameters of a request, unknown ones included: enough for every client, and few enough
/// that a flood of such requests gains nothing.
const MAX_PARAMETERS: usize = 1_024;

/// The parameters of a request, in the order in which they came.
pub struct Parameters<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// `application/x-www-form-urlencoded`.
    #[default]
    Form,
    /// `application/json`.
    Json,
}

/// What a parameter holds. A form holds texts alone.
enum Value<'a> {
    Text(Cow<'a, str>),
    Null,
    /// An array of texts: how JSON writes a parameter that repeats.
    Texts(Vec<Cow<'a, str>>),
    /// A number, a boolean, any other array or an object. No parameter has such a value, so they
    /// are not told apart.
    Other,
}

impl<'a> Parameters<'a> {
    /// Parses a body.
    pub fn read(encoding: Encoding, body: &'a [u8]) -> Result<Self, Refusal> {
        match encoding {
            Encoding::Form => Self::of_form(body),
            Encoding::Json => Self::of_json(body),
        }
    }

    /// Parses `application/x-www-form-urlencoded`. Raw spaces and colons are accepted, because real
    /// clients send them. Anything that is not valid percent-encoding of UTF-8 is refused, in an
    /// unknown parameter too.
    pub fn of_form(text: &'a [u8]) -> Result<Self, Refusal> {
        let pairs = || text.split(|b| *b == b'&').filter(|pair| !pair.is_empty());
        let read = pairs().take(MAX_PARAMETERS + 1).map(|pair| {
            let mut halves = pair.splitn(2, |b| *b == b'=');
            let (name, value) = (
                halves.next().unwrap_or_default(),
                halves.next().unwrap_or_default(),
            );
            Some((decode(name)?, Value::Text(decode(value)?)))
        });
        match read.collect::<Option<Vec<_>>>() {
            Some(read) if read.len() <= MAX_PARAMETERS => Ok(Self(read)),
            // Too many parameters are told first, so that it does not matter where a malformed one
            // stands.
            _ if pairs().nth(MAX_PARAMETERS).is_some() => Err(TOO_MANY),
            _ => Err(MALFORMED_FORM),
        }
    }

    /// Parses a JSON object of at most `MAX_DEPTH` levels; the object itself is the first level. An
    /// unknown member may hold anything, but the whole body must be JSON. A number that does not
    /// fit a double, half a surrogate pair, and anything after the object are refused.
    fn of_json(text: &'a [u8]) -> Result<Self, Refusal> {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let mut too_many = false;
        let members = deserializer.deserialize_map(Members {
            too_many: &mut too_many,
        });
        let read = members.and_then(|members| deserializer.end().map(|()| Self(members)));
        read.map_err(|_| if too_many { TOO_MANY } else { MALFORMED_JSON })
    }

    /// The value of a parameter. `None` if it is absent or empty (RFC 6749 §3.1), or if it is
    /// `null`, because many serializers write an absent value as `null`. A parameter is refused if
    /// it is repeated, even with the same value (RFC 6749 §3.2), or if it is not a text.
    pub fn one(&self, name: &'static str) -> Result<Option<&str>, Refusal> {
        let mut values = self.values(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Refusal::RepeatedParameter(name)),
            (Some(Value::Other | Value::Texts(_)), None) => Err(mistyped(name)),
            (Some(Value::Text(text)), None) if !text.is_empty() => Ok(Some(text)),
            (_, None) => Ok(None),
        }
    }

    /// The value of a required parameter.
    pub fn required(&self, name: &'static str) -> Result<&str, Refusal> {
        self.one(name)?.ok_or(Refusal::MissingParameter(name))
    }

    /// The same as [`Self::one`], but `null` is refused like any other value that is not a text.
    pub fn one_text(&self, name: &'static str) -> Result<Option<&str>, Refusal> {
        match self.one(name)? {
            None if self.values(name).any(|value| matches!(value, Value::Null)) => {
                Err(mistyped(name))
            }
            value => Ok(value),
        }
    }

    /// The first of these names that occurs, with any value, with or without brackets after the
    /// name.
    pub fn find_any(&self, names: &[&'static str]) -> Option<&'static str> {
        self.0.iter().find_map(|(name, _)| {
            let plain = name.split_once('[').map_or(&**name, |(plain, _)| plain);
            names.iter().copied().find(|known| *known == plain)
        })
    }

    /// Refuses each of these names if brackets follow it. PHP and others write a list in this way,
    /// and read `scope[]` as `scope`. If it were ignored like an unknown parameter, the request
    /// would ask for something that its sender did not mean (contract D14).
    pub fn refuse_brackets(&self, known: &[&[&'static str]]) -> Result<(), Refusal> {
        let has_brackets = |(name, _): &(Cow<'_, str>, _)| name.as_bytes().contains(&b'[');
        if !self.0.iter().any(has_brackets) {
            return Ok(());
        }
        for known in known.iter().copied().flatten() {
            let is_bracketed = |(name, _): &(Cow<'_, str>, _)| {
                name.split_once('[')
                    .is_some_and(|(plain, _)| plain == *known)
            };
            if self.0.iter().any(is_bracketed) {
                return Err(Refusal::BracketedParameter(known));
            }
        }
        Ok(())
    }

    /// All values of a parameter that may repeat, also as a JSON array of texts. Values that are
    /// empty or `null` are left out.
    pub fn all(&self, name: &'static str) -> Result<Vec<&str>, Refusal> {
        let mut all: Vec<&str> = Vec::new();
        for value in self.values(name) {
            match value {
                Value::Text(text) => all.push(text),
                Value::Texts(texts) => all.extend(texts.iter().map(|text| &**text)),
                Value::Null => {}
                Value::Other => return Err(mistyped(name)),
            }
        }
        all.retain(|text| !text.is_empty());
        Ok(all)
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &Value<'a>> {
        self.0
            .iter()
            .filter(move |(other, _)| other == name)
            .map(|(_, value)| value)
    }
}

fn mistyped(name: &'static str) -> Refusal {
    Refusal::MistypedParameter(name)
}

/// The most levels of arrays and objects in a JSON body. This bounds the use of the stack.
const MAX_DEPTH: u8 = 32;

/// Reads the members of the outermost object, repeated ones too, which a map would hide.
struct Members<'t> {
    /// Set if there are more than [`MAX_PARAMETERS`]. Reading then stops.
    too_many: &'t mut bool,
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Vec<(Cow<'de, str>, Value<'de>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        /// A name, borrowed from the body unless it holds an escape.
        #[derive(serde::Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        let mut members = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            if members.len() == MAX_PARAMETERS {
                *self.too_many = true;
                return Err(serde::de::Error::custom("too many members"));
            }
            members.push((name, map.next_value_seed(Below(MAX_DEPTH - 1))?));
        }
        Ok(members)
    }
}

/// Reads a value that may have this many levels.
#[derive(Clone, Copy)]
struct Below(u8);

impl Below {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        self.0
            .checked_sub(1)
            .map(Self)
            .ok_or_else(|| E::custom("too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Below {
    type Value = Value<'de>;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Below {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        let below = self.deeper()?;
        let (mut texts, mut has_others) = (Vec::new(), false);
        while let Some(item) = items.next_element_seed(below)? {
            match item {
                Value::Text(text) => texts.push(text),
                _ => has_others = true,
            }
        }
        Ok(if has_others {
            Value::Other
        } else {
            Value::Texts(texts)
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value<'de>, A::Error> {
        let below = self.deeper()?;
        while members.next_key::<IgnoredAny>()?.is_some() {
            members.next_value_seed(below)?;
        }
        Ok(Value::Other)
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
        assert_eq!(form.all("resource").unwrap(), ["x", "y"]);
        assert_eq!(form.all("c").unwrap(), [""; 0]);
    }

    #[test]
    fn a_json_object_is_read_member_by_member() {
        let body = br#" {"a":"b","c":"\u00e9\"","n":null,"e":"","x":1,"x":{},"r":"1","r":"2","d":[1.5,{"a":true}]} "#;
        let json = Parameters::of_json(body).unwrap();
        assert_eq!(json.one("a").unwrap(), Some("b"));
        assert_eq!(json.one("c").unwrap(), Some("\u{e9}\""));
        assert_eq!(json.one("e").unwrap(), None);
        assert_eq!(json.one("n").unwrap(), None);
        assert!(json.one_text("n").is_err());
        assert_eq!(json.one_text("e").unwrap(), None);
        assert_eq!(json.one_text("absent").unwrap(), None);
        assert!(json.one("d").is_err() && json.all("d").is_err());
        let lists = Parameters::of_json(br#"{"r":["1","","2"],"e":[],"n":["1",null],"d":[["1"]]}"#)
            .unwrap();
        assert_eq!(lists.all("r").unwrap(), ["1", "2"]);
        assert_eq!(lists.all("e").unwrap(), [""; 0]);
        assert!(lists.one("r").is_err() && lists.one("e").is_err());
        assert!(lists.all("n").is_err() && lists.all("d").is_err());
        assert!(json.one("x").is_err() && json.one("r").is_err());
        assert_eq!(json.all("r").unwrap(), ["1", "2"]);
    }

    #[test]
    fn what_is_no_json_object_is_refused_wherever_the_fault_is() {
        for bad in [
            "",
            " ",
            "null",
            "[]",
            "\"a\"",
            "1",
            "{",
            "{}{}",
            "{} x",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":1e999}",
            "{\"a\":01}",
            "{\"a\":NaN}",
            "{\"a\":\"\\ud800\"}",
            "{\"\\ud800\":1}",
            "{\"a\":\"\n\"}",
            "{\"a\":[\"\\ud800\"]}",
            "{\"a\":{\"\\x\":1}}",
            "\u{feff}{}",
            "{/**/}",
            "{}\0",
        ] {
            assert!(Parameters::of_json(bad.as_bytes()).is_err(), "{bad}");
        }
        for bad in [
            &b"{\"a\":\"\xff\"}"[..],
            b"{\"\xff\":1}",
            b"{\"a\":[{\"\xff\":1}]}",
            b"{}\xff",
        ] {
            assert!(Parameters::of_json(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn json_has_32_levels_at_most() {
        let arrays =
            |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        let objects =
            |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        assert!(Parameters::of_json(arrays(31).as_bytes()).is_ok());
        assert!(Parameters::of_json(arrays(32).as_bytes()).is_err());
        assert!(Parameters::of_json(objects(32).as_bytes()).is_ok());
        assert!(Parameters::of_json(objects(33).as_bytes()).is_err());
        assert!(Parameters::of_json(&b"{\"a\":".repeat(10_000)).is_err());
    }

    #[test]
    fn a_request_has_1_024_parameters_at_most() {
        let form = |pairs: usize| vec!["a=1"; pairs].join("&&");
        let json = |members: usize| format!("{{{}}}", vec!["\"a\":[1]"; members].join(","));
        assert!(Parameters::of_form(form(1_024).as_bytes()).is_ok());
        assert!(Parameters::of_json(json(1_024).as_bytes()).is_ok());
        let form_of_more = Parameters::of_form(form(1_025).as_bytes()).err().unwrap();
        let json_of_more = Parameters::of_json(json(1_025).as_bytes()).err().unwrap();
        for failure in [form_of_more, json_of_more] {
            assert!(failure.message().contains("1,024"), "{failure:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for encoding in [Encoding::Form, Encoding::Json] {
                if let Ok(read) = Parameters::read(encoding, &bytes) {
                    let _ = (read.one("a"), read.one_text("a"), read.all("a"));
                }
            }
        }

        #[test]
        fn what_was_written_as_json_reads_back(value in ".{0,60}") {
            let body = serde_json::json!({ "k": value }).to_string();
            let json = Parameters::of_json(body.as_bytes()).unwrap();
            prop_assert_eq!(json.one_text("k").unwrap().unwrap_or(""), value);
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
