//! A JSON object of an import's file, with all its members, including repeated ones.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// The members of a JSON object, in order. A map would keep only the last of several members with
/// one name.
pub(super) struct RowMembers(pub Vec<(String, RowValue)>);

/// The value of a member.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum RowValue {
    /// An object.
    Members(RowMembers),
    /// Any other value.
    Plain(Value),
}

impl<'de> Deserialize<'de> for RowMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = RowMembers;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RowMembers, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(RowMembers(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
