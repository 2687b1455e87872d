//! Texts, numbers, truth values and lists as they are read from JSON. Must not know what they mean.

use std::collections::HashSet;
use std::hash::Hash;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, Schema};

use crate::domain::rejection::FieldError;
use crate::http::openapi::schema::{integer, text, truth};

use super::body::{FieldPlace, FromJson};
use super::json_value::JsonValue;

impl FromJson for String {
    fn schema() -> RefOr<Schema> {
        text().into()
    }

    fn from_json(
        value: &JsonValue<'_>,
        at: FieldPlace<'_>,
        errors: &mut Vec<FieldError>,
    ) -> Option<Self> {
        if let JsonValue::Text(text) = value {
            return Some(text.clone().into_owned());
        }
        errors.push(at.error("must be a text"));
        None
    }
}

impl FromJson for bool {
    fn schema() -> RefOr<Schema> {
        truth().into()
    }

    fn from_json(
        value: &JsonValue<'_>,
        at: FieldPlace<'_>,
        errors: &mut Vec<FieldError>,
    ) -> Option<Self> {
        if let JsonValue::Bool(value) = value {
            return Some(*value);
        }
        errors.push(at.error("must be true or false"));
        None
    }
}

impl FromJson for i64 {
    fn schema() -> RefOr<Schema> {
        integer().into()
    }

    /// A whole number, also one that is written with a fraction of zero, as in JSON Schema.
    fn from_json(
        value: &JsonValue<'_>,
        at: FieldPlace<'_>,
        errors: &mut Vec<FieldError>,
    ) -> Option<Self> {
        let whole = match value {
            JsonValue::Number(number) => number.as_i64().or_else(|| {
                let value = number.as_f64().filter(|value| value.fract() == 0.0)?;
                format!("{value:.0}").parse().ok()
            }),
            _ => None,
        };
        if whole.is_none() {
            errors.push(at.error("must be a whole number"));
        }
        whole
    }
}

impl<T: FromJson + Eq + Hash> FromJson for Vec<T> {
    fn schema() -> RefOr<Schema> {
        ArrayBuilder::new()
            .items(T::schema())
            .unique_items(true)
            .into()
    }

    /// A list of different values.
    fn from_json(
        value: &JsonValue<'_>,
        at: FieldPlace<'_>,
        errors: &mut Vec<FieldError>,
    ) -> Option<Self> {
        let JsonValue::List(items) = value else {
            errors.push(at.error("must be a list"));
            return None;
        };
        let items = items.iter().enumerate();
        // Collected before it is judged, so that every item is read.
        let read: Vec<Option<T>> = items
            .map(|(index, item)| T::from_json(item, FieldPlace::Item(&at, index), errors))
            .collect();
        let mut known = HashSet::new();
        for (index, item) in read.iter().enumerate() {
            if item.as_ref().is_some_and(|item| !known.insert(item)) {
                let place = FieldPlace::Item(&at, index);
                errors.push(place.error("stands in the list already"));
            }
        }
        let is_set = known.len() == read.len();
        read.into_iter()
            .collect::<Option<Vec<T>>>()
            .filter(|_| is_set)
    }
}
