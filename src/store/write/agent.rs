//! What can be changed about an agent, and the event of each change. Must not know SQL.

use serde_json::Value;

use crate::domain::agent::{Agent, LiveTokens, Profile, SuspendedBy};
use crate::domain::credential::Credential;
use crate::domain::event::Event;
use crate::domain::event::changes::Changes;
use crate::domain::id::AgentId;

use super::outcome::{Kill, Outcome};

/// What can be changed about an agent. Each variant lists the outcomes that it can have besides
/// `Applied`.
#[derive(Debug, Clone)]
pub enum AgentChange {
    /// A new agent, active or (imported) suspended, with its first credential. `Conflict` if the id
    /// is taken, `Clash`; in both cases no row is written.
    Create {
        /// The agent. Its `epoch` and `version` are the store's unix milliseconds, which no agent
        /// with this id had before.
        agent: Box<Agent>,
        /// Its first credential.
        credential: Box<Credential>,
    },
    /// A changed profile; raises the version, and also the epoch if the tokens are killed.
    /// `NotFound`, `Clash`; `Conflict` if the version is no longer `expected_version`.
    Update {
        /// The agent.
        agent_id: AgentId,
        /// The version from which the new profile was made.
        expected_version: i64,
        /// The profile at that version, for the event. The change is applied only if the version is
        /// still the same, so this is the profile that the change replaces.
        before: Box<Profile>,
        /// The whole new profile.
        profile: Box<Profile>,
        /// What happens to the tokens that were issued under the old profile.
        tokens: LiveTokens,
    },
    /// Active → suspended, or suspended by an agent → suspended by an operator; raises epoch and
    /// version. `NotFound`, `Unchanged`; `Conflict` if decommissioned.
    Suspend(AgentId, SuspendedBy),
    /// Suspended → active; raises the version, never the epoch. `NotFound`, `Unchanged`; `Conflict`
    /// if decommissioned.
    Reactivate(AgentId),
    /// Any state → decommissioned; raises epoch and version. `NotFound`, `Unchanged`.
    Decommission(AgentId),
    /// Kills all live tokens, but keeps the status; raises epoch and version. `NotFound`.
    RevokeTokens(AgentId),
}

impl AgentChange {
    /// The agent.
    pub(super) fn agent_id(&self) -> &AgentId {
        match self {
            Self::Create { agent, .. } => &agent.agent_id,
            Self::Update { agent_id, .. }
            | Self::Suspend(agent_id, _)
            | Self::Reactivate(agent_id)
            | Self::Decommission(agent_id)
            | Self::RevokeTokens(agent_id) => agent_id,
        }
    }

    /// Whether this change sets an agent's id, or users on whose behalf an agent may act.
    pub(in crate::store) fn names(&self) -> bool {
        match self {
            Self::Create { .. } => true,
            Self::Update { profile, .. } => !profile.terms.user_ids.is_empty(),
            _ => false,
        }
    }

    /// Whether this change may kill an agent's tokens.
    pub(crate) fn kills(&self) -> bool {
        matches!(
            self,
            Self::Suspend(..)
                | Self::Decommission(_)
                | Self::RevokeTokens(_)
                | Self::Update {
                    tokens: LiveTokens::Kill,
                    ..
                }
        )
    }

    /// The outcome of a kill of this agent, if nothing changes before it.
    pub(crate) fn kill_outcome(&self, agent: &Agent) -> Outcome {
        let kill = match self {
            Self::Suspend(_, by) => Kill::Suspend(*by),
            Self::Decommission(_) => Kill::Decommission,
            Self::RevokeTokens(_) => Kill::Tokens,
            Self::Create { .. } | Self::Update { .. } | Self::Reactivate(_) => {
                return Outcome::Unchanged;
            }
        };
        kill.outcome(Some(agent.status), agent.suspended_by)
    }

    /// The audit event of the change.
    pub(super) fn event(&self) -> Event {
        match self {
            Self::Create { agent, credential } => Event::AgentCreated {
                agent_id: agent.agent_id.clone(),
                credential_id: Some(credential.credential_id),
                changed: Changes::of_new_profile(&agent.profile).with(
                    "status",
                    Value::Null,
                    agent.status.as_str(),
                ),
            },
            Self::Update {
                agent_id,
                before,
                profile,
                tokens,
                ..
            } => Event::AgentUpdated {
                agent_id: agent_id.clone(),
                tokens_revoked: *tokens == LiveTokens::Kill,
                changed: Changes::of_profile(before, profile),
            },
            Self::Suspend(id, _) => Event::AgentSuspended(id.clone(), None),
            Self::Reactivate(id) => Event::AgentReactivated(id.clone()),
            Self::Decommission(id) => Event::AgentDecommissioned(id.clone(), None),
            Self::RevokeTokens(id) => Event::AgentTokensRevoked(id.clone(), None),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::domain::about::About;
    use crate::domain::agent::{AgentName, Terms};
    use crate::domain::quota::PlanName;

    fn profile(name: &str) -> Profile {
        let terms = Terms {
            scopes: vec![],
            ttl: None,
            plan: PlanName::free(),
            audiences: vec![],
            redirect_uris: vec![],
            user_ids: vec![],
        };
        Profile {
            name: AgentName::parse(name).unwrap(),
            about: About::default(),
            terms: Arc::new(terms),
            expires_at: None,
        }
    }

    #[test]
    fn the_event_of_an_update_tells_the_old_and_the_new_value() {
        let change = AgentChange::Update {
            agent_id: AgentId::parse("a").unwrap(),
            expected_version: 1,
            before: Box::new(profile("old")),
            profile: Box::new(profile("new")),
            tokens: LiveTokens::Keep,
        };
        let detail = change.event().detail_json().map(Value::Object);
        let expected = json!({ "changed": { "name": { "from": "old", "to": "new" } } });
        assert_eq!(detail, Some(expected));
    }
}
