//! Acts: who makes a change, from where and when. Must not know what is changed.

use std::fmt;

use super::context::RequestContext;
use super::event::request::RequestRef;
use super::event::source::EventSource;
use super::id::{AgentId, CredentialId};
use super::time::Moment;

/// Who causes a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// An operator at the command line.
    Operator,
    /// An agent, with its own credentials or token.
    Agent(AgentId),
    /// The server itself.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::Agent(id) => write!(f, "agent:{id}"),
            Self::System => f.write_str("system"),
        }
    }
}

/// One act of an actor: made where the request or command arrives, and carried to the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// The actor.
    pub who: Actor,
    /// What events tell of the client's address, if there is a client. The address itself reaches
    /// no store.
    pub source: Option<EventSource>,
    /// The request that asked for the change.
    pub request_id: Option<RequestRef>,
    /// The credential with which the agent authenticated, if it is known.
    pub credential: Option<CredentialId>,
    /// The time of the act.
    pub at: Moment,
}

impl Act {
    /// An act of an operator at the command line.
    pub fn operator(at: Moment) -> Self {
        Self {
            who: Actor::Operator,
            source: None,
            request_id: None,
            credential: None,
            at,
        }
    }

    /// An act of the server itself.
    pub fn system(at: Moment) -> Self {
        Self {
            who: Actor::System,
            ..Self::operator(at)
        }
    }

    /// An act of an agent, of which only the agent is known.
    pub fn agent(agent_id: AgentId, at: Moment) -> Self {
        Self {
            who: Actor::Agent(agent_id),
            ..Self::operator(at)
        }
    }

    /// An act of an agent that sent a request. `credential`: the one with which it authenticated.
    /// `None` if it sent a Bearer token.
    pub fn of_request(
        context: &RequestContext,
        agent_id: AgentId,
        credential: Option<CredentialId>,
        at: Moment,
    ) -> Self {
        Self {
            source: context.source,
            request_id: Some(context.request_id.reference()),
            credential,
            ..Self::agent(agent_id, at)
        }
    }

    /// The same act, at the moment of its commit. Time passes between the arrival of a request and
    /// its commit, for example to hash a secret, and a kill must not look older than the tokens
    /// that it kills.
    #[must_use]
    pub fn committed_at(&self, at: Moment) -> Self {
        Self { at, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::context::RequestId;
    use crate::domain::event::source::SourcePrecision;

    #[test]
    fn an_act_tells_its_request_and_the_moment_of_its_commit() {
        let context = RequestContext::new(
            Some([192, 0, 2, 7].into()),
            SourcePrecision::Prefix,
            RequestId::sent("r-1"),
        );
        let (agent_id, credential) = (AgentId::parse("a").unwrap(), CredentialId(Uuid::nil()));
        let act = Act::of_request(&context, agent_id.clone(), Some(credential), Moment(1))
            .committed_at(Moment(5));
        assert_eq!(
            (act.who.to_string().as_str(), act.at),
            ("agent:a", Moment(5))
        );
        assert_eq!(
            (act.source, act.request_id),
            (
                Some(EventSource::Network4([192, 0, 2])),
                Some(RequestRef::of_client("r-1"))
            )
        );
        assert_eq!(act.credential, Some(credential));
        assert_eq!(Act::agent(agent_id, Moment(0)).who.to_string(), "agent:a");
        assert_eq!(Act::system(Moment(0)).who.to_string(), "system");
        assert_eq!(Act::operator(Moment(0)).who.to_string(), "operator");
    }
}
