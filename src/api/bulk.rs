//! What became of many agents at once, as JSON.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::id::AgentId;
use crate::service::manage::bulk::BulkPiece;

/// What became of the agents of one piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BulkPiece)]
pub(crate) struct BulkJson {
    /// How many agents meet the filter, without decommissioned ones.
    pub matched: usize,
    /// How many of them were changed; in a dry run, how many would be.
    pub changed: usize,
    /// The ids of those that were changed.
    pub agents: Vec<String>,
    /// The ids of those that were not changed because the caller may not stop them: they are allowed
    /// an admin scope and the caller has none, or it is the caller's own agent. All others of
    /// `matched` were already so.
    pub refused: Vec<String>,
    /// The `cursor` of the next piece. Absent if this is the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// A version of the revocation list that has the kills, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_version: Option<i64>,
}

impl From<BulkPiece> for BulkJson {
    fn from(piece: BulkPiece) -> Self {
        let texts = |ids: Vec<AgentId>| ids.iter().map(AgentId::to_string).collect();
        Self {
            matched: piece.matched,
            changed: piece.changed.len(),
            agents: texts(piece.changed),
            refused: texts(piece.refused),
            next: None,
            revocation_version: None,
        }
    }
}
