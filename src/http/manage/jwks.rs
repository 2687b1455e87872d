//! A JSON Web Key Set of public keys as it is read from a body. Must not know which keys are
//! accepted.

use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, Schema, Type};

use crate::domain::rejection::FieldError;
use crate::service::manage::client_keys::NewKeys;

use super::body::{FieldPlace, FromJson};
use super::json_value::JsonValue;

impl FromJson for NewKeys {
    fn schema() -> RefOr<Schema> {
        let open = || Some(AdditionalProperties::FreeForm(true));
        let object = || ObjectBuilder::new().schema_type(Type::Object);
        let key = object().additional_properties(open()).description(Some(
            "A JSON Web Key (RFC 7517): RSA of 2048 to 4096 bits, EC on P-256 or P-384, or OKP with Ed25519. Its `alg` is \
             the only algorithm that it is used with; RS256 for an RSA key without one.",
        ));
        let keys = ArrayBuilder::new()
            .items(key)
            .min_items(Some(1))
            .max_items(Some(8));
        object()
            .property("keys", keys)
            .required("keys")
            .additional_properties(open())
            .into()
    }

    fn from_json(
        value: &JsonValue<'_>,
        at: FieldPlace<'_>,
        errors: &mut Vec<FieldError>,
    ) -> Option<Self> {
        let before = errors.len();
        let plain = plain(value, at, errors);
        if errors.len() > before {
            return None;
        }
        let read = Self::read(&plain, &at.pointer());
        read.map_err(|found| errors.extend(found)).ok()
    }
}

/// The value without the order of its members. A repeated member is an error.
pub(super) fn plain(
    value: &JsonValue<'_>,
    at: FieldPlace<'_>,
    errors: &mut Vec<FieldError>,
) -> Value {
    match value {
        JsonValue::Null => Value::Null,
        JsonValue::Bool(value) => Value::Bool(*value),
        JsonValue::Number(number) => Value::Number(number.clone()),
        JsonValue::Text(text) => Value::String(text.clone().into_owned()),
        JsonValue::List(items) => {
            let item = |(index, item)| plain(item, FieldPlace::Item(&at, index), errors);
            Value::Array(items.iter().enumerate().map(item).collect())
        }
        JsonValue::Object(members) => {
            let mut object = serde_json::Map::new();
            for (name, value) in members {
                let value = plain(value, FieldPlace::Member(&at, name), errors);
                // The name is not told: it may be anything.
                if object.insert(name.clone().into_owned(), value).is_some() {
                    errors.push(at.error("has a member that is given more than once"));
                }
            }
            Value::Object(object)
        }
    }
}
