//! Which JSON values and types of the domain are read from. Must not know in which body they stand.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, Schema};

use crate::domain::Invalid;
use crate::domain::act::ChangeReason;
use crate::domain::rejection::FieldError;

use crate::http::openapi::schema::{integer, text, truth};

use super::body::{FieldPlace, FromJson};
use super::json_value::JsonValue;

/// A text that its type parses.
fn parse_text<T>(
    value: &JsonValue<'_>,
    at: FieldPlace<'_>,
    errors: &mut Vec<FieldError>,
    parse: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Option<T> {
    let parsed = match value {
        JsonValue::Text(text) => parse(text).map_err(|rule| rule.0),
        _ => Err("must be a text"),
    };
    parsed.map_err(|reason| errors.push(at.error(reason))).ok()
}

/// Types that parse a text.
macro_rules! parsed_texts {
    ($($type:ty => $schema:expr),* $(,)?) => {$(
        impl FromJson for $type {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }

            fn from_json(
                value: &JsonValue<'_>,
                at: FieldPlace<'_>,
                errors: &mut Vec<FieldError>,
            ) -> Option<Self> {
                parse_text(value, at, errors, Self::parse)
            }
        }
    )*};
}

parsed_texts!(ChangeReason => text().min_length(Some(1)).max_length(Some(200)));

impl FromJson for String {
    fn schema() -> RefOr<Schema> {
        text().into()
    }

    fn from_json(
        value: &JsonValue<'_>,
        at: FieldPlace<'_>,
        errors: &mut Vec<FieldError>,
    ) -> Option<Self> {
        parse_text(value, at, errors, |text| Ok(text.to_owned()))
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

impl<T: FromJson> FromJson for Vec<T> {
    fn schema() -> RefOr<Schema> {
        ArrayBuilder::new().items(T::schema()).into()
    }

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
        read.into_iter().collect()
    }
}
