//! What can be changed about an agent, and the event of each change. Must not know SQL.

use crate::domain::agent::{Agent, Profile};
use crate::domain::credential::Credential;
use crate::domain::event::Event;
use crate::domain::id::AgentId;

/// What can be changed about an agent. Each variant says which outcomes it can have besides `Applied`.
#[derive(Debug, Clone)]
pub enum AgentChange {
    /// A new agent, active or (imported) suspended, with its first credential. `Conflict` when the id is
    /// taken, `Clash`; no row is written then.
    Create {
        /// The agent; `epoch` and `version` the store's unix milliseconds, which no agent of this id had before.
        agent: Box<Agent>,
        /// Its first credential.
        credential: Box<Credential>,
    },
    /// A changed profile; raises the version, and the epoch where the tokens are killed. `NotFound`,
    /// `Clash`; `Conflict` when the version is no longer `expected_version`.
    Update {
        /// Whose.
        agent_id: AgentId,
        /// The version that the new profile was made from.
        expected_version: i64,
        /// All of the new profile.
        profile: Box<Profile>,
        /// What becomes of the tokens that the old profile gave.
        tokens: LiveTokens,
    },
    /// Active → suspended; raises epoch and version. `NotFound`, `Unchanged`; `Conflict` when
    /// decommissioned.
    Suspend(AgentId),
    /// Suspended → active; raises the version, never the epoch. `NotFound`, `Unchanged`;
    /// `Conflict` when decommissioned.
    Reactivate(AgentId),
    /// Any state → decommissioned; raises epoch and version. `NotFound`, `Unchanged`.
    Decommission(AgentId),
    /// Kills all live tokens, leaves the status; raises epoch and version. `NotFound`.
    RevokeTokens(AgentId),
}

/// What becomes of an agent's live tokens when its profile is changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LiveTokens {
    /// They live on, with what they were given.
    #[default]
    Keep,
    /// They are killed in the same commit.
    Kill,
}

impl AgentChange {
    /// Whether this change gives an agent its id or users to act for.
    pub(in crate::store) fn names(&self) -> bool {
        match self {
            Self::Create { .. } => true,
            Self::Update { profile, .. } => !profile.terms.user_ids.is_empty(),
            _ => false,
        }
    }

    /// Whether this change may kill an agent's tokens.
    pub(super) fn kills(&self) -> bool {
        matches!(
            self,
            Self::Suspend(_)
                | Self::Decommission(_)
                | Self::RevokeTokens(_)
                | Self::Update {
                    tokens: LiveTokens::Kill,
                    ..
                }
        )
    }

    /// What is recorded of it.
    pub(super) fn event(&self) -> Event {
        match self {
            Self::Create { agent, .. } => Event::AgentCreated(agent.agent_id.clone()),
            Self::Update {
                agent_id, tokens, ..
            } => Event::AgentUpdated {
                agent_id: agent_id.clone(),
                tokens_revoked: *tokens == LiveTokens::Kill,
            },
            Self::Suspend(id) => Event::AgentSuspended(id.clone()),
            Self::Reactivate(id) => Event::AgentReactivated(id.clone()),
            Self::Decommission(id) => Event::AgentDecommissioned(id.clone()),
            Self::RevokeTokens(id) => Event::AgentTokensRevoked(id.clone()),
        }
    }
}
