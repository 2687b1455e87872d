//! Signing keys as JSON.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::time::Timestamp;
use crate::service::manage::view::KeyView;

/// A signing key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SigningKey)]
pub(crate) struct KeyJson {
    /// The key's id in the JWKS.
    pub kid: String,
    /// The key's state: `announced`, `signing` or `retiring`.
    pub state: &'static str,
    /// When the key was made and published.
    #[schema(format = DateTime)]
    pub announced_at: String,
    /// From when the key signs.
    #[schema(format = DateTime)]
    pub signs_from: String,
    /// Until when the key signed; `null` while no end is set.
    #[schema(format = DateTime, required)]
    pub signs_until: Option<String>,
    /// Until when the key stays published; `null` while no end is set.
    #[schema(format = DateTime, required)]
    pub published_until: Option<String>,
    /// Why servers refuse the key, which then neither signs nor verifies. Absent for a genuine key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unusable: Option<String>,
}

impl From<KeyView> for KeyJson {
    fn from(key: KeyView) -> Self {
        Self {
            kid: key.kid.to_string(),
            state: key.state,
            announced_at: key.announced_at.to_rfc3339(),
            signs_from: key.signs_from.to_rfc3339(),
            signs_until: key.signs_until.map(Timestamp::to_rfc3339),
            published_until: key.published_until.map(Timestamp::to_rfc3339),
            unusable: key.refused,
        }
    }
}
