//! Single tokens as JSON, as an operator sees them.

use serde::Serialize;

use crate::keys::claims::Claims;
use crate::service::manage::tokens::{Inspection, RevokedById};

/// A token's claims and verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct InspectionJson {
    /// Whether it is alive.
    pub active: bool,
    /// And why, or why not.
    pub verdict: &'static str,
    /// What it says; `null` unless this store's keys signed it.
    pub claims: Option<Claims>,
}

/// What is known of a token that was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RevokedTokenJson {
    /// Its id.
    pub jti: String,
    /// `null` when no event of this token is kept.
    pub agent_id: Option<String>,
    /// Its `exp`; the latest possible one when no event of it is kept.
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
