//! Which JSON values and types of the domain are read from. Must not know in which body they stand.

use std::collections::HashSet;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, SchemaType, Type};

use crate::domain::Invalid;
use crate::domain::about::{Description, LabelText, Labels, Owner, parse_expiry};
use crate::domain::act::ChangeReason;
use crate::domain::agent::{AgentName, Audience, RedirectUri, UserId};
use crate::domain::credential::{CredentialKind, CredentialLabel};
use crate::domain::id::AgentId;
use crate::domain::org::{OrgId, OrgName};
use crate::domain::quota::PlanName;
use crate::domain::rejection::FieldError;
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;
use crate::domain::ttl::Ttl;
use crate::service::manage::credentials::MAX_OVERLAP;
use crate::service::manage::patch::LabelsPatch;
use crate::service::manage::scopes::ScopeDescription;

use crate::http::openapi::schema::{one_of, pattern, text, time, uri, within};

use super::body::{FieldPlace, FromJson};
use super::json_value::JsonValue;

/// A text that its type parses.
pub(super) fn parse_text<T>(
    value: &JsonValue<'_>,
    at: FieldPlace<'_>,
    errors: &mut Vec<FieldError>,
    parse: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Option<T> {
    let text = String::from_json(value, at, errors)?;
    let parsed = parse(&text);
    parsed.map_err(|rule| errors.push(at.error(rule.0))).ok()
}

/// A text of at most this many characters, and at least one.
fn up_to(most: usize) -> ObjectBuilder {
    text().min_length(Some(1)).max_length(Some(most))
}

/// A text of one line: no control characters, and something to read.
pub(super) fn line(most: usize) -> ObjectBuilder {
    up_to(most).pattern(Some(
        r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$",
    ))
}

/// A text of several lines.
fn lines(most: usize) -> ObjectBuilder {
    up_to(most).pattern(Some(
        r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x09\x0b-\x1f\x7f-\x9f]*$",
    ))
}

/// An id of an agent or of an organization.
fn id() -> ObjectBuilder {
    pattern("^[A-Za-z0-9._~:-]{1,128}$")
}

/// The key or the value of a label.
fn label_text() -> ObjectBuilder {
    pattern("^[A-Za-z0-9._/-]{1,63}$")
}

/// An object of any keys with these values.
fn labels_schema(value: RefOr<Schema>) -> RefOr<Schema> {
    let object = ObjectBuilder::new().schema_type(Type::Object);
    let values = AdditionalProperties::RefOr(value);
    object.additional_properties(Some(values)).into()
}

/// Types that parse a text.
macro_rules! parsed_texts {
    ($($type:ty => $schema:expr),* $(,)?) => {$(
        impl $crate::http::manage::body::FromJson for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                $schema.into()
            }

            fn from_json(
                value: &$crate::http::manage::json_value::JsonValue<'_>,
                at: $crate::http::manage::body::FieldPlace<'_>,
                errors: &mut Vec<$crate::domain::rejection::FieldError>,
            ) -> Option<Self> {
                $crate::http::manage::values::parse_text(value, at, errors, Self::parse)
            }
        }
    )*};
}
pub(super) use parsed_texts;

parsed_texts!(
    AgentId => id(),
    AgentName => line(200),
    Audience => up_to(512),
    ChangeReason => line(200),
    CredentialKind => one_of(CredentialKind::ALL.map(CredentialKind::as_str)),
    CredentialLabel => line(200),
    Description => lines(1_000),
    OrgId => id(),
    OrgName => line(200),
    Owner => line(200),
    PlanName => pattern("^[a-z0-9_-]{1,64}$"),
    RedirectUri => uri(),
    Scope => pattern(r"^[!#-\[\]-~]{1,128}$"),
    ScopeDescription => line(200),
    UserId => up_to(256).pattern(Some(r#"^[^"\\\x00-\x1f\x7f-\x9f]+$"#)),
);

impl FromJson for Ttl {
    fn schema() -> RefOr<Schema> {
        within(300, 86_400).into()
    }

    fn from_json(
        value: &JsonValue<'_>,
        at: FieldPlace<'_>,
        errors: &mut Vec<FieldError>,
    ) -> Option<Self> {
        let ttl = Self::new(i64::from_json(value, at, errors)?);
        ttl.map_err(|rule| errors.push(at.error(rule.0))).ok()
    }
}

/// How many seconds older credentials stay valid beside a new one.
pub(super) struct Overlap(pub(super) i64);

impl FromJson for Overlap {
    fn schema() -> RefOr<Schema> {
        within(0, MAX_OVERLAP).into()
    }

    fn from_json(
        value: &JsonValue<'_>,
        at: FieldPlace<'_>,
        errors: &mut Vec<FieldError>,
    ) -> Option<Self> {
        let seconds = i64::from_json(value, at, errors)?;
        if (0..=MAX_OVERLAP).contains(&seconds) {
            return Some(Self(seconds));
        }
        errors.push(at.error("an overlap is 0 to 2592000 seconds"));
        None
    }
}

/// The time from which on an agent is expired, or a credential is refused.
pub(super) struct ExpiryTime(pub(super) Timestamp);

impl FromJson for ExpiryTime {
    fn schema() -> RefOr<Schema> {
        time().into()
    }

    fn from_json(
        value: &JsonValue<'_>,
        at: FieldPlace<'_>,
        errors: &mut Vec<FieldError>,
    ) -> Option<Self> {
        parse_text(value, at, errors, parse_expiry).map(Self)
    }
}

impl FromJson for Labels {
    fn schema() -> RefOr<Schema> {
        labels_schema(label_text().into())
    }

    fn from_json(
        value: &JsonValue<'_>,
        at: FieldPlace<'_>,
        errors: &mut Vec<FieldError>,
    ) -> Option<Self> {
        let pairs = pairs(value, at, errors, |value, at, errors| {
            parse_text(value, at, errors, LabelText::parse)
        })?;
        let labels = Self::new(pairs);
        labels.map_err(|rule| errors.push(at.error(rule.0))).ok()
    }
}

impl FromJson for LabelsPatch {
    fn schema() -> RefOr<Schema> {
        let value = label_text().schema_type(SchemaType::from_iter([Type::String, Type::Null]));
        labels_schema(value.into())
    }

    /// RFC 7396: the patch of an object is merged into it, and `null` removes a member.
    fn from_json(
        value: &JsonValue<'_>,
        at: FieldPlace<'_>,
        errors: &mut Vec<FieldError>,
    ) -> Option<Self> {
        let pairs = pairs(value, at, errors, |value, at, errors| match value {
            JsonValue::Null => Some(None),
            value => parse_text(value, at, errors, LabelText::parse).map(Some),
        });
        pairs.map(Self::Merge)
    }
}

/// The members of an object whose names are keys of labels.
fn pairs<T>(
    value: &JsonValue<'_>,
    at: FieldPlace<'_>,
    errors: &mut Vec<FieldError>,
    read: impl Fn(&JsonValue<'_>, FieldPlace<'_>, &mut Vec<FieldError>) -> Option<T>,
) -> Option<Vec<(LabelText, T)>> {
    let JsonValue::Object(members) = value else {
        errors.push(at.error("must be a JSON object"));
        return None;
    };
    let before = errors.len();
    let mut pairs: Vec<(LabelText, T)> = Vec::new();
    let (mut keys, mut repeated, mut broken_rule) = (HashSet::new(), HashSet::new(), None);
    for (name, value) in members {
        let place = FieldPlace::Member(&at, name);
        match LabelText::parse(name) {
            Ok(key) if keys.insert(&**name) => {
                pairs.extend(read(value, place, errors).map(|value| (key, value)));
            }
            Ok(_) if repeated.insert(&**name) => {
                errors.push(place.error("is given more than once"));
            }
            Ok(_) => {}
            // The key is not told: it may be anything.
            Err(rule) => broken_rule = Some(rule),
        }
    }
    errors.extend(broken_rule.map(|rule| at.error(rule.0)));
    (errors.len() == before).then_some(pairs)
}

#[cfg(test)]
mod tests {
    use super::super::json_value::JsonText;
    use super::*;

    fn read<T: FromJson>(text: &str) -> Result<T, Vec<(String, String)>> {
        let (text, mut errors) = (JsonText::read(text.as_bytes()).unwrap(), vec![]);
        let place = FieldPlace::Member(&FieldPlace::Root, "labels");
        let value = T::from_json(&text.value, place, &mut errors);
        let pair = |e: FieldError| (e.field.into_owned(), e.reason.into_owned());
        value.ok_or_else(|| errors.into_iter().map(pair).collect())
    }

    #[test]
    fn labels_tell_every_fault_at_its_key() {
        let labels: Labels = read(r#"{"team":"a","k8s.io/zone":"b"}"#).unwrap();
        assert_eq!(labels.to_string(), "k8s.io/zone=b team=a");
        let rule = "the key and the value of a label are 1 to 63 characters of A-Z a-z 0-9 . _ / -";
        let found = read::<Labels>(
            r#"{"a/b":1,"c":"d e","f":"g","f":"h","f":"i","\n":"j","":"k","l":null}"#,
        );
        let expected = [
            ("/labels/a~1b", "must be a text"),
            ("/labels/c", rule),
            ("/labels/f", "is given more than once"),
            ("/labels/l", "must be a text"),
            ("/labels", rule),
        ];
        let expected = expected.map(|(field, reason)| (field.to_owned(), reason.to_owned()));
        assert_eq!(found.unwrap_err(), expected);
        let many: Vec<String> = (0..17).map(|n| format!("\"{n}\":\"x\"")).collect();
        let found = read::<Labels>(&format!("{{{}}}", many.join(",")));
        assert_eq!(found.unwrap_err()[0].1, "an agent has at most 16 labels");
    }
}
