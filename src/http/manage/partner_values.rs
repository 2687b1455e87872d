//! Which values of a partner are read from JSON. Must not know in which body they stand.

use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ObjectBuilder, Schema, SchemaFormat, Type,
};

use crate::domain::Invalid;
use crate::domain::agent::Audience;
use crate::domain::partner::federation::{
    FederatedTtl, MAX_PINNED_CLAIMS, MAX_SUBJECT_BYTES, PinnedClaims, SubjectPattern,
};
use crate::domain::partner::pointer::ClaimPointer;
use crate::domain::partner::preset::PartnerPreset;
use crate::domain::partner::source::{JwksUri, PartnerIssuer};
use crate::domain::partner::terms::{
    AlgorithmName, MAX_PARTNER_AUDIENCES, MAX_REQUIRED_CLAIMS, MaxAge, PARTNER_ALGORITHMS,
    PartnerAlgorithms, PartnerAudiences, PartnerId, PartnerName, RequiredClaims,
};
use crate::domain::rejection::FieldError;
use crate::http::openapi::schema::{one_of, pattern, text, uri, within};

use super::body::{FieldPlace, FromJson};
use super::json_value::JsonValue;
use super::jwks::plain;
use super::values::{line, parsed_texts};

parsed_texts!(
    AlgorithmName => one_of(PARTNER_ALGORITHMS),
    ClaimPointer => pattern(r"^/([^~\x00-\x1f\x7f-\x9f]|~[01])*$").max_length(Some(128)),
    JwksUri => uri().pattern(Some("^https://[^/#]")).max_length(Some(1_024)),
    PartnerId => text().format(Some(SchemaFormat::Custom("uuid".to_owned()))),
    PartnerIssuer => uri().pattern(Some("^https://[^/?#]")).max_length(Some(512)),
    PartnerName => line(200),
    SubjectPattern => pattern(r"^[^\x00-\x1f\x7f-\x9f*]+(([:/])\*)?$").max_length(Some(MAX_SUBJECT_BYTES)),
    PartnerPreset => one_of(PartnerPreset::ALL.map(PartnerPreset::as_str)),
);

/// Lists whose length their type checks.
macro_rules! bounded_lists {
    ($($type:ty => $item:ty, $most:expr);* $(;)?) => {$(
        impl FromJson for $type {
            fn schema() -> RefOr<Schema> {
                ArrayBuilder::new()
                    .items(<$item>::schema())
                    .unique_items(true)
                    .min_items(Some(1))
                    .max_items(Some($most))
                    .into()
            }

            fn from_json(
                value: &JsonValue<'_>,
                at: FieldPlace<'_>,
                errors: &mut Vec<FieldError>,
            ) -> Option<Self> {
                let items = Vec::<$item>::from_json(value, at, errors)?;
                noted(Self::new(items), at, errors)
            }
        }
    )*};
}

bounded_lists!(
    PartnerAlgorithms => AlgorithmName, PARTNER_ALGORITHMS.len();
    PartnerAudiences => Audience, MAX_PARTNER_AUDIENCES;
    RequiredClaims => ClaimPointer, MAX_REQUIRED_CLAIMS;
);

impl FromJson for MaxAge {
    fn schema() -> RefOr<Schema> {
        within(Self::LEAST, Self::MOST).into()
    }

    fn from_json(
        value: &JsonValue<'_>,
        at: FieldPlace<'_>,
        errors: &mut Vec<FieldError>,
    ) -> Option<Self> {
        let seconds = i64::from_json(value, at, errors)?;
        noted(Self::new(seconds), at, errors)
    }
}

impl FromJson for FederatedTtl {
    fn schema() -> RefOr<Schema> {
        within(Self::LEAST, Self::MOST).into()
    }

    fn from_json(
        value: &JsonValue<'_>,
        at: FieldPlace<'_>,
        errors: &mut Vec<FieldError>,
    ) -> Option<Self> {
        let seconds = i64::from_json(value, at, errors)?;
        noted(Self::new(seconds), at, errors)
    }
}

impl FromJson for PinnedClaims {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .max_properties(Some(MAX_PINNED_CLAIMS))
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
        let Value::Object(members) = plain else {
            errors.push(at.error("must be a JSON object"));
            return None;
        };
        let mut claims = vec![];
        for (pointer, value) in members {
            match ClaimPointer::parse(&pointer) {
                Ok(pointer) => claims.push((pointer, value)),
                // The name is not told: it may be anything.
                Err(rule) => errors.push(at.error(rule.0)),
            }
        }
        if errors.len() > before {
            return None;
        }
        noted(Self::new(claims), at, errors)
    }
}

fn noted<T>(
    read: Result<T, Invalid>,
    at: FieldPlace<'_>,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    read.map_err(|rule| errors.push(at.error(rule.0))).ok()
}
