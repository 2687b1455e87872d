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
use crate::service::clients::examined_token::ExaminedToken;
use crate::service::partner_keys::{KnownKey, PartnerKeys};

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
    /// The version of the revocation list that has the kill, where the change that was just made
    /// killed tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_version: Option<i64>,
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
            revocation_version: None,
        }
    }
}

/// The keys of a partner, as this machine gets them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PartnerKeysJson {
    /// The partner's id.
    pub partner_id: String,
    /// Where they were fetched; `null` if they were handed in.
    pub jwks_uri: Option<String>,
    /// Those that are used.
    pub keys: Vec<KnownKeyJson>,
    /// How many more there are, which cannot be used.
    pub unusable: usize,
    /// How many seconds they are used before they are fetched again.
    pub kept_seconds: Option<u64>,
}

/// One key of a partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KnownKeyJson {
    /// The name that the partner gave it.
    pub kid: Option<String>,
    /// Its algorithm.
    pub alg: &'static str,
    /// Its RFC 7638 thumbprint.
    pub thumbprint: String,
}

impl PartnerKeysJson {
    /// These keys of this partner.
    pub(crate) fn new(partner: &Partner, found: PartnerKeys) -> Self {
        let uri = partner.terms.keys.uri();
        let key = |key: KnownKey| KnownKeyJson {
            kid: key.kid,
            alg: key.algorithm,
            thumbprint: key.thumbprint,
        };
        Self {
            partner_id: partner.partner_id.to_string(),
            jwks_uri: uri.map(JwksUri::as_str).map(str::to_owned),
            keys: found.keys.into_iter().map(key).collect(),
            unusable: found.unusable,
            kept_seconds: found.ttl,
        }
    }
}

/// What was found out about a token of a partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExaminedToken)]
pub(crate) struct ExaminedTokenJson {
    /// Whether it proves the agent.
    pub accepted: bool,
    /// The credential that trusts it; `null` if none does.
    #[schema(required)]
    pub credential_id: Option<String>,
    /// The check that failed: `agent`, `format`, `issuer`, `partner`, `keys`, `signature`, `header`, `algorithm`, `audience`,
    /// `expiry`, `time`, `age`, `subject` or `claim`; `null` if none did.
    #[schema(required)]
    pub failed_check: Option<&'static str>,
    /// What more is known of the failure.
    #[schema(required)]
    pub reason: Option<String>,
}

impl From<ExaminedToken> for ExaminedTokenJson {
    fn from(found: ExaminedToken) -> Self {
        Self {
            accepted: found.credential_id.is_some(),
            credential_id: found.credential_id.map(|id| id.to_string()),
            failed_check: found.failed,
            reason: found.why,
        }
    }
}
