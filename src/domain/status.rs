//! The states of an agent. Must not know what else an agent has.

use std::fmt;

use super::Invalid;
use super::refusal::Refusal;

/// The state of an agent (contract D8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentStatus {
    /// May obtain tokens.
    Active,
    /// May not obtain tokens until an operator reactivates it.
    Suspended,
    /// May never obtain tokens again.
    Decommissioned,
}

impl AgentStatus {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Active, Self::Suspended, Self::Decommissioned];

    /// The word in JSON, on the command line and in stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Decommissioned => "decommissioned",
        }
    }

    /// The state with this name.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match text {
            "active" => Ok(Self::Active),
            "suspended" => Ok(Self::Suspended),
            "decommissioned" => Ok(Self::Decommissioned),
            _ => Err(Invalid("an agent is active, suspended or decommissioned")),
        }
    }

    /// Whether the state is for ever: no operation changes it, or gives such an agent anything
    /// (contract D8).
    pub fn is_final(self) -> bool {
        self == Self::Decommissioned
    }

    /// Refuses every state except active.
    pub(super) fn admit(self) -> Result<(), Refusal> {
        match self {
            Self::Active => Ok(()),
            Self::Suspended => Err(Refusal::AgentSuspended),
            Self::Decommissioned => Err(Refusal::AgentDecommissioned),
        }
    }
}

/// With whose authority an agent was suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuspendedBy {
    /// An operator: a command, or a caller with an admin scope. Only such reactivate the agent.
    Operator,
    /// An agent without an admin scope.
    Agent,
}

impl fmt::Display for AgentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
