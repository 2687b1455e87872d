//! The result of a write. Must not know what was asked for.

use crate::domain::agent::AgentStatus;

/// The result of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done, with its audit event in the same commit.
    Applied,
    /// The state was already as asked; nothing was written.
    Unchanged,
    /// What the write names does not exist; nothing was written.
    NotFound,
    /// The state does not allow it; nothing was written.
    Conflict,
    /// An agent and a user would have the same id; nothing was written.
    Clash,
    /// There would be more than the allowed number of something; nothing was written.
    TooMany,
}

impl Outcome {
    /// [`Outcome::Applied`] if any row was changed.
    pub(in crate::store) fn applied_or(rows: u64, otherwise: Self) -> Self {
        if rows > 0 { Self::Applied } else { otherwise }
    }
}

/// The outcome of moving an agent from the status `from` to the status `to`: one rule for every
/// backend.
pub(in crate::store) fn transition(from: Option<AgentStatus>, to: AgentStatus) -> Outcome {
    match from {
        None => Outcome::NotFound,
        Some(from) if from == to => Outcome::Unchanged,
        Some(from) if from.is_final() => Outcome::Conflict,
        Some(_) => Outcome::Applied,
    }
}
