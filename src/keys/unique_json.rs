//! JSON from outside in which no object has a member twice: programs differ in which of the two
//! they take (RFC 8259 §4).
//!
//! Must not know what the text means.

use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// What is told of a text that has a member twice.
pub(crate) const REPEATED: &str = "has a member that is given more than once";

/// A JSON value without repeated members, at any depth.
#[derive(Debug)]
pub(crate) struct UniqueJson(pub Value);

impl<'de> Deserialize<'de> for UniqueJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Collector).map(Self)
    }
}

struct Collector;

impl<'de> Visitor<'de> for Collector {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated members")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = vec![];
        while let Some(UniqueJson(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some((name, UniqueJson(value))) = members.next_entry::<String, _>()? {
            if all.insert(name, value).is_some() {
                return Err(A::Error::custom(REPEATED));
            }
        }
        Ok(Value::Object(all))
    }
}

/// Reads a text. `Err` says in one sentence what is wrong with it, and repeats nothing of it.
pub(crate) fn read_unique(json: &[u8]) -> Result<Value, &'static str> {
    match serde_json::from_slice::<UniqueJson>(json) {
        Ok(UniqueJson(value)) => Ok(value),
        Err(error) if error.is_data() => Err(REPEATED),
        Err(_) => Err("is no JSON"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_member_is_refused_at_any_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"[[{"a":1,"\u0061":2}]]"#,
        ] {
            assert_eq!(read_unique(text.as_bytes()), Err(REPEATED), "{text}");
        }
        for text in ["", "{", "{}x", r#"{"a":1e999}"#, &"[".repeat(1_000_000)] {
            assert_eq!(read_unique(text.as_bytes()), Err("is no JSON"));
        }
    }

    #[test]
    fn other_json_is_read_as_it_is() {
        let text = r#"{"a":[1,-1,1.5,18446744073709551615,"x",null,true],"b":{"a":{}}}"#;
        let plain: Value = serde_json::from_str(text).unwrap();
        assert_eq!(read_unique(text.as_bytes()), Ok(plain));
    }
}
