//! The result of a write. Must not know what was asked for.

use crate::domain::agent::{AgentStatus, SuspendedBy};

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
    /// The agent to change has another version than the change was decided upon; nothing was
    /// written.
    TargetChanged,
    /// The agent that asks is not as it was when it was found to be allowed; nothing was written.
    CallerChanged,
    /// A reply is kept at the place of the write's own reply; nothing was written.
    Answered,
    /// There would be more than the allowed number of something; nothing was written.
    TooMany,
    /// The partner of a new credential does not exist; nothing was written.
    PartnerGone,
}

impl Outcome {
    /// [`Outcome::Applied`] if any row was changed.
    pub(in crate::store) fn applied_or(rows: u64, otherwise: Self) -> Self {
        if rows > 0 { Self::Applied } else { otherwise }
    }
}

/// What happens to the status of an agent whose tokens are killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Kill {
    /// It stays as it is.
    Tokens,
    /// It becomes suspended, with this authority.
    Suspend(SuspendedBy),
    /// It becomes decommissioned.
    Decommission,
}

impl Kill {
    /// The new status; `None` if it stays as it is.
    pub(in crate::store) fn status(self) -> Option<AgentStatus> {
        match self {
            Self::Tokens => None,
            Self::Suspend(_) => Some(AgentStatus::Suspended),
            Self::Decommission => Some(AgentStatus::Decommissioned),
        }
    }

    /// Whether an agent without an admin scope suspends.
    pub(in crate::store) fn is_by_agent(self) -> bool {
        self == Self::Suspend(SuspendedBy::Agent)
    }

    /// The outcome for an agent in the status `from` that was suspended with this authority.
    pub(in crate::store) fn outcome(
        self,
        from: Option<AgentStatus>,
        suspended_by: Option<SuspendedBy>,
    ) -> Outcome {
        match (from, self) {
            (None, _) => Outcome::NotFound,
            (Some(_), Self::Tokens) => Outcome::Applied,
            // Now only an operator reactivates it.
            (Some(AgentStatus::Suspended), Self::Suspend(SuspendedBy::Operator))
                if suspended_by == Some(SuspendedBy::Agent) =>
            {
                Outcome::Applied
            }
            (_, Self::Suspend(_)) => transition(from, AgentStatus::Suspended),
            (_, Self::Decommission) => transition(from, AgentStatus::Decommissioned),
        }
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
