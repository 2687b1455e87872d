//! Organizations as JSON.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::domain::org::OrgStatus;
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;
use crate::service::manage::orgs::OrgView;

/// An organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Org)]
pub(crate) struct OrgJson {
    /// The organization's id.
    pub org_id: String,
    /// Its name.
    pub name: String,
    /// `active` or `suspended`.
    #[schema(schema_with = org_status)]
    pub status: &'static str,
    /// What its agents may be given; `null` means every scope.
    #[schema(required)]
    pub scopes: Option<Vec<String>>,
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

fn org_status() -> Object {
    let states = [OrgStatus::Active, OrgStatus::Suspended];
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(states.map(OrgStatus::as_str)))
        .description(Some("The organization's state."))
        .build()
}

impl From<OrgView> for OrgJson {
    fn from(OrgView { org, .. }: OrgView) -> Self {
        let scopes = org.scopes.as_deref();
        let scopes = scopes.map(|all| all.iter().map(Scope::to_string).collect());
        Self {
            org_id: org.org_id.to_string(),
            name: org.name.as_str().to_owned(),
            status: org.status.as_str(),
            scopes,
            version: org.version,
            created_at: Timestamp::to_rfc3339(org.created_at),
            updated_at: Timestamp::to_rfc3339(org.updated_at),
            revocation_version: None,
        }
    }
}
