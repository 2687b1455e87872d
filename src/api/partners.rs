//! Partners as JSON.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{AdditionalProperties, Object, ObjectBuilder, SchemaType, Type};

use crate::domain::agent::Audience;
use crate::domain::partner::pointer::ClaimPointer;
use crate::domain::partner::preset::PartnerPreset;
use crate::domain::partner::record::Partner;
use crate::domain::partner::source::JwksUri;
use crate::domain::partner::terms::{PartnerAlgorithms, PartnerAudiences, PartnerStatus};
use crate::domain::time::Timestamp;

/// A partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Partner)]
pub(crate) struct PartnerJson {
    /// The partner's id.
    pub partner_id: String,
    /// Its organization. A partner of `default` serves all.
    pub org_id: String,
    /// Its name.
    pub name: String,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// Where its keys are; `null` if they were handed in.
    #[schema(required)]
    pub jwks_uri: Option<String>,
    /// Its keys as a JWK Set; `null` if they are fetched.
    #[schema(required, schema_with = key_set)]
    pub jwks: Option<Value>,
    /// The audiences of which a token has one; `null` means this server's issuer.
    #[schema(required)]
    pub audiences: Option<Vec<String>>,
    /// The claims that each credential pins, as JSON Pointers.
    pub required_claims: Vec<String>,
    /// The algorithms of its tokens; `null` means every one that its keys have.
    #[schema(required)]
    pub algorithms: Option<Vec<&'static str>>,
    /// How many seconds old a token may be.
    pub max_age_seconds: i64,
    /// What it was made from.
    #[schema(required, schema_with = preset)]
    pub preset: Option<&'static str>,
    /// `active` or `suspended`.
    #[schema(schema_with = partner_status)]
    pub status: &'static str,
    /// Rises with each change; also the `ETag`.
    pub version: i64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was last changed.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

fn key_set() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .description(Some("Its keys as a JWK Set; `null` if they are fetched."))
        .build()
}

fn preset() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(
            PartnerPreset::ALL
                .map(|preset| Some(preset.as_str()))
                .into_iter()
                .chain([None]),
        ))
        .description(Some("What it was made from."))
        .build()
}

fn partner_status() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(PartnerStatus::ALL.map(PartnerStatus::as_str)))
        .description(Some("The partner's state."))
        .build()
}

impl From<Partner> for PartnerJson {
    fn from(partner: Partner) -> Self {
        let terms = &partner.terms;
        let audiences = terms.audiences.as_ref().map(PartnerAudiences::as_slice);
        let algorithms = terms.algorithms.as_ref().map(PartnerAlgorithms::as_slice);
        let claims = terms.required_claims.as_slice().iter();
        let set = terms.keys.set();
        Self {
            partner_id: partner.partner_id.to_string(),
            org_id: partner.org_id.to_string(),
            name: terms.name.as_str().to_owned(),
            issuer: partner.issuer.as_str().to_owned(),
            jwks_uri: terms.keys.uri().map(JwksUri::as_str).map(str::to_owned),
            // The stored text was made from a JSON value.
            jwks: set.and_then(|set| serde_json::from_str(&set.keys.0).ok()),
            audiences: audiences.map(|all| {
                all.iter()
                    .map(Audience::as_str)
                    .map(str::to_owned)
                    .collect()
            }),
            required_claims: claims
                .map(ClaimPointer::as_str)
                .map(str::to_owned)
                .collect(),
            algorithms: algorithms.map(|all| all.iter().map(|one| one.as_str()).collect()),
            max_age_seconds: terms.max_age.secs(),
            preset: partner.preset.map(PartnerPreset::as_str),
            status: partner.status.as_str(),
            version: partner.version,
            created_at: Timestamp::to_rfc3339(partner.created_at),
            updated_at: Timestamp::to_rfc3339(partner.updated_at),
        }
    }
}
