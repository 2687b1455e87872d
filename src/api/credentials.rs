//! Credentials as JSON.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::schema::{AdditionalProperties, Object, ObjectBuilder, Type};

use crate::domain::partner::federation::FederatedTtl;
use crate::domain::time::Timestamp;
use crate::service::manage::view::{CredentialView, NewSecret};

/// The part of a credential that may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Credential)]
pub struct CredentialJson {
    /// The credential's id.
    pub credential_id: String,
    /// `secret`, `publicKey` or `federated`.
    pub kind: &'static str,
    /// The partner whose tokens prove the agent; only of federated credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partner_id: Option<String>,
    /// The `sub` of such tokens, or how it begins; only of federated credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The claims of such tokens: each a JSON Pointer with its value; only of federated credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = claims)]
    pub claims: Option<Map<String, Value>>,
    /// The scopes that such a token opens; absent if it opens all that the agent has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// How many seconds the issued tokens live at most, if the credential bounds that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<i64>,
    /// What the operator calls it.
    #[schema(required)]
    pub label: Option<String>,
    /// The first characters of a secret that this store generated, the RFC 7638 thumbprints of public keys, the subject of
    /// federated ones, or empty.
    pub hint: String,
    /// When the credential was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// Who made it; `null` for credentials of earlier releases.
    #[schema(required)]
    pub created_by: Option<String>,
    /// From when on it is refused; `null` means that it has no end.
    #[schema(format = DateTime, required)]
    pub expires_at: Option<String>,
    /// When it ended; `null` while it is live.
    #[schema(format = DateTime, required)]
    pub ended_at: Option<String>,
    /// Who ended it; `null` while it is live, and if it expired by itself.
    #[schema(required)]
    pub ended_by: Option<String>,
    /// When it last opened a token, to the minute; `null` if never.
    #[schema(format = DateTime, required)]
    pub last_used_at: Option<String>,
}

/// A new credential. Its secret is shown nowhere else, so this type has no `Debug`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CredentialWithSecret)]
pub(crate) struct NewCredentialJson {
    /// The agent.
    pub agent_id: String,
    /// The secret; absent of public keys, and if it was only tried to make it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// The credential.
    #[serde(flatten)]
    pub credential: CredentialJson,
    /// When the last of the older credentials of this kind ends; absent unless they were rotated.
    #[schema(format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_secret_expires_at: Option<String>,
}

fn claims() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .description(Some(
            "The claims of such tokens: each a JSON Pointer with its value; only of federated credentials.",
        ))
        .build()
}

impl From<CredentialView> for CredentialJson {
    fn from(view: CredentialView) -> Self {
        let federation = view.federation.as_deref();
        let scopes = federation.and_then(|one| one.scopes.as_ref());
        Self {
            credential_id: view.credential_id.to_string(),
            kind: view.kind.as_str(),
            partner_id: federation.map(|one| one.partner_id.to_string()),
            subject: federation.map(|one| one.subject.as_str().to_owned()),
            claims: federation.map(|one| one.claims.to_json()),
            scopes: scopes.map(|all| all.iter().map(ToString::to_string).collect()),
            ttl: federation.and_then(|one| one.ttl).map(FederatedTtl::secs),
            label: view.label.map(|label| label.as_str().to_owned()),
            hint: view.hint.into(),
            created_at: view.created_at.to_rfc3339(),
            created_by: view.created_by.map(Into::into),
            expires_at: view.expires_at.map(Timestamp::to_rfc3339),
            ended_at: view.ended_at.map(Timestamp::to_rfc3339),
            ended_by: view.ended_by.map(Into::into),
            last_used_at: view.last_used_at.map(Timestamp::to_rfc3339),
        }
    }
}

impl From<&NewSecret> for NewCredentialJson {
    fn from(made: &NewSecret) -> Self {
        Self {
            agent_id: made.agent_id.to_string(),
            client_secret: made
                .secret
                .as_ref()
                .map(|secret| secret.expose().to_owned()),
            credential: made.credential.clone().into(),
            old_secret_expires_at: made.old_expires_at.map(Timestamp::to_rfc3339),
        }
    }
}
