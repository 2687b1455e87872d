//! A JSON text as a tree that keeps repeated members, which a map would hide.
//!
//! Owns the limit of levels, which bounds the use of the stack. Must not know which members a body
//! may have.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// The most levels of arrays and objects. The outermost one is the first.
const MAX_LEVELS: u8 = 32;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonValue<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number that fits a double or 64 bits.
    Number(Number),
    /// A string.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Self>),
    /// An object: all its members, in order.
    Object(Vec<(Cow<'a, str>, Self)>),
}

/// A JSON text.
#[derive(Debug)]
pub struct JsonText<'a> {
    /// Its value. What has too many levels is `null` in it.
    pub value: JsonValue<'a>,
    /// Whether a part of it has too many levels.
    pub is_too_deep: bool,
}

impl<'a> JsonText<'a> {
    /// Reads a whole text. The error is the reason.
    pub fn read(text: &'a [u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(text).map_err(|_| "is not UTF-8")?;
        let is_too_deep = Cell::new(false);
        let levels = Levels {
            left: MAX_LEVELS,
            is_exceeded: &is_too_deep,
        };
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = levels.deserialize(&mut deserializer);
        let value = value.and_then(|value| deserializer.end().map(|()| value));
        Ok(Self {
            value: value.map_err(|_| "is not JSON")?,
            is_too_deep: is_too_deep.get(),
        })
    }
}

/// Reads a value that may have `left` levels.
#[derive(Clone, Copy)]
struct Levels<'c> {
    left: u8,
    /// Set if the value has more.
    is_exceeded: &'c Cell<bool>,
}

impl Levels<'_> {
    /// What the parts of an array or object may have. `None` if this level is one too many.
    fn below(self) -> Option<Self> {
        let left = self.left.checked_sub(1);
        if left.is_none() {
            self.is_exceeded.set(true);
        }
        Some(Self {
            left: left?,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Levels<'_> {
    type Value = JsonValue<'de>;

    fn deserialize<D: serde::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<JsonValue<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// A member's name, borrowed from the text unless it holds an escape.
#[derive(serde::Deserialize)]
struct MemberName<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Levels<'_> {
    type Value = JsonValue<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<JsonValue<'de>, E> {
        Ok(JsonValue::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<JsonValue<'de>, E> {
        Ok(JsonValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<JsonValue<'de>, E> {
        Ok(JsonValue::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<JsonValue<'de>, E> {
        Ok(JsonValue::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<JsonValue<'de>, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not finite"))?;
        Ok(JsonValue::Number(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<JsonValue<'de>, E> {
        Ok(JsonValue::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<JsonValue<'de>, E> {
        Ok(JsonValue::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<JsonValue<'de>, A::Error> {
        let Some(below) = self.below() else {
            // Skipping takes no stack, however deep the rest is.
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(JsonValue::Null);
        };
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(below)? {
            items.push(item);
        }
        Ok(JsonValue::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonValue<'de>, A::Error> {
        let Some(below) = self.below() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(JsonValue::Null);
        };
        let mut members = Vec::new();
        while let Some(MemberName(name)) = map.next_key()? {
            members.push((name, map.next_value_seed(below)?));
        }
        Ok(JsonValue::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_refused_with_the_reason() {
        for (text, reason) in [
            (&b"\xff"[..], "is not UTF-8"),
            (b"{\"a\":\"\xc3\x28\"}", "is not UTF-8"),
            (b"", "is not JSON"),
            (b"\xef\xbb\xbf{}", "is not JSON"),
            (b"{} {}", "is not JSON"),
            (b"{}x", "is not JSON"),
            (b"{\"a\":1,}", "is not JSON"),
            (b"{'a':1}", "is not JSON"),
            (b"{\"a\":NaN}", "is not JSON"),
            (b"{\"a\":1e999}", "is not JSON"),
            (b"{\"a\":\"\\ud800\"}", "is not JSON"),
            (b"[", "is not JSON"),
        ] {
            assert_eq!(JsonText::read(text).err(), Some(reason), "{text:?}");
        }
    }

    #[test]
    fn repeated_members_are_kept_in_order() {
        let text = JsonText::read(b" {\"a\":1,\"\\u0061\":true,\"b\":[null]} ").unwrap();
        let number = JsonValue::Number(1.into());
        let members = vec![
            ("a".into(), number),
            ("a".into(), JsonValue::Bool(true)),
            ("b".into(), JsonValue::List(vec![JsonValue::Null])),
        ];
        assert_eq!(text.value, JsonValue::Object(members));
    }

    #[test]
    fn levels_are_counted_from_the_outermost_value_and_any_number_of_them_can_be_read() {
        let nested = |open: &str, levels: usize, close: &str| {
            format!("{}0{}", open.repeat(levels), close.repeat(levels))
        };
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            for (levels, is_too_deep) in [(1, false), (32, false), (33, true), (9_000, true)] {
                let text = nested(open, levels, close);
                let read = JsonText::read(text.as_bytes()).unwrap();
                assert_eq!(read.is_too_deep, is_too_deep, "{levels} {open}");
            }
        }
        assert!(JsonText::read("[".repeat(65_536).as_bytes()).is_err());
        let wide = format!("[{}[]]", "[[[0]]],".repeat(8_000));
        assert!(!JsonText::read(wide.as_bytes()).unwrap().is_too_deep);
    }
}
