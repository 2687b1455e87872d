//! What became of a write. Must not know what was asked for.

use crate::domain::agent::AgentStatus;

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done, with its audit event in the same commit.
    Applied,
    /// It was so already; nothing was written.
    Unchanged,
    /// What it names does not exist; nothing was written.
    NotFound,
    /// The state does not allow it; nothing was written.
    Conflict,
    /// An agent and a user would have the same id; nothing was written.
    Clash,
    /// There would be more of something than is allowed; nothing was written.
    TooMany,
}

impl Outcome {
    /// [`Outcome::Applied`] when any row was changed.
    pub(in crate::store) fn applied_or(rows: u64, otherwise: Self) -> Self {
        if rows > 0 { Self::Applied } else { otherwise }
    }
}

/// What comes of asking that an agent which stands at `from` stand at `to`: one rule for every
/// backend. Decommissioned is for ever.
pub(in crate::store) fn transition(from: Option<AgentStatus>, to: AgentStatus) -> Outcome {
    match from {
        None => Outcome::NotFound,
        Some(from) if from == to => Outcome::Unchanged,
        Some(AgentStatus::Decommissioned) => Outcome::Conflict,
        Some(_) => Outcome::Applied,
    }
}
