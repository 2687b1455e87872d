//! Which values of a partner are read from JSON. Must not know in which body they stand.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, Schema};

use crate::domain::Invalid;
use crate::domain::agent::Audience;
use crate::domain::partner::pointer::ClaimPointer;
use crate::domain::partner::preset::PartnerPreset;
use crate::domain::partner::source::{JwksUri, PartnerIssuer};
use crate::domain::partner::terms::{
    AlgorithmName, MAX_PARTNER_AUDIENCES, MAX_REQUIRED_CLAIMS, MaxAge, PARTNER_ALGORITHMS,
    PartnerAlgorithms, PartnerAudiences, PartnerName, RequiredClaims,
};
use crate::domain::rejection::FieldError;
use crate::http::openapi::schema::{one_of, pattern, uri, within};

use super::body::{FieldPlace, FromJson};
use super::json_value::JsonValue;
use super::values::{line, parsed_texts};

parsed_texts!(
    AlgorithmName => one_of(PARTNER_ALGORITHMS),
    ClaimPointer => pattern(r"^/([^~\x00-\x1f\x7f-\x9f]|~[01])*$").max_length(Some(128)),
    JwksUri => uri().pattern(Some("^https://[^/#]")).max_length(Some(1_024)),
    PartnerIssuer => uri().pattern(Some("^https://[^/?#]")).max_length(Some(512)),
    PartnerName => line(200),
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

fn noted<T>(
    read: Result<T, Invalid>,
    at: FieldPlace<'_>,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    read.map_err(|rule| errors.push(at.error(rule.0))).ok()
}
