//! Single tokens as JSON, as an operator sees them.

use serde::Serialize;

use crate::keys::claims::Claims;
use crate::service::manage::tokens::{Inspection, RevokedById};

/// A token's claims and the verdict on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct InspectionJson {
    /// Whether the token is alive.
    pub active: bool,
    /// Why the token is alive, or why not.
    pub verdict: &'static str,
    /// The token's claims; `null` unless this store's keys signed the token.
    pub claims: Option<Claims>,
}

/// What is known of a revoked token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RevokedTokenJson {
    /// The token's id.
    pub jti: String,
    /// The agent that owns the token; `null` if no event of the token is kept.
    pub agent_id: Option<String>,
    /// The token's `exp`; the latest possible one if no event of the token is kept.
    pub expires_at: String,
}

impl From<Inspection> for InspectionJson {
    fn from(found: Inspection) -> Self {
        Self {
            active: found.active,
            verdict: found.verdict.as_str(),
            claims: found.claims,
        }
    }
}

impl From<RevokedById> for RevokedTokenJson {
    fn from(token: RevokedById) -> Self {
        let agent_id = token.agent_id.map(|id| id.to_string());
        Self {
            jti: token.jti.to_string(),
            agent_id,
            expires_at: token.expires_at.to_rfc3339(),
        }
    }
}
