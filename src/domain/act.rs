//! Acts: who makes a change, from where and when. Must not know what is changed.

use std::fmt;

use super::Invalid;
use super::context::RequestContext;
use super::event::request::RequestRef;
use super::event::source::EventSource;
use super::id::{AgentId, CredentialId};
use super::time::Moment;

/// The most characters of a user's name in an [`Operator`].
const MAX_USER_CHARS: usize = 64;

/// The most characters of a host's name in an [`Operator`]: the most that a name in DNS has.
const MAX_HOST_CHARS: usize = 253;

/// Who runs a command: the user of the operating system, and the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator(Box<str>);

impl Operator {
    /// The system may tell any text. What is neither a letter nor a digit nor usual in such names
    /// becomes a `_`, so that the name stands on one line wherever it is shown.
    pub fn new(user: &str, host: &str) -> Self {
        // Directory services have names such as `DOMAIN\user` and `user@domain`.
        let user = plain(user, "._-+$\\@", MAX_USER_CHARS);
        let host = plain(host, "._-:", MAX_HOST_CHARS);
        Self(format!("{user}@{host}").into())
    }
}

fn plain(text: &str, usual: &str, max_chars: usize) -> String {
    let kept = |c: char| c.is_alphanumeric() || usual.contains(c);
    let chars = text.chars().take(max_chars);
    let name: String = chars.map(|c| if kept(c) { c } else { '_' }).collect();
    if name.is_empty() {
        "unknown".to_owned()
    } else {
        name
    }
}

/// Why an operator makes a change, in the operator's own words: 1 to 200 characters, none of them a
/// control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeReason(Box<str>);

impl ChangeReason {
    /// Accepts 1 to 200 characters without control characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.trim().is_empty()
            || text.chars().count() > 200
            || text.chars().any(char::is_control)
        {
            return Err(Invalid(
                "a reason is 1 to 200 characters without control characters",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who causes a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// An operator at the command line.
    Operator(Operator),
    /// An agent, with its own credentials or token.
    Agent(AgentId),
    /// The server itself.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(operator) => write!(f, "operator:{}", operator.0),
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
    /// The reason that the actor gave.
    pub reason: Option<ChangeReason>,
    /// The time of the act.
    pub at: Moment,
}

impl Act {
    /// An act of an operator at the command line.
    pub fn operator(operator: Operator, at: Moment) -> Self {
        Self {
            who: Actor::Operator(operator),
            ..Self::system(at)
        }
    }

    /// An act of the server itself.
    pub fn system(at: Moment) -> Self {
        Self {
            who: Actor::System,
            source: None,
            request_id: None,
            credential: None,
            reason: None,
            at,
        }
    }

    /// An act of an agent, of which only the agent is known.
    pub fn agent(agent_id: AgentId, at: Moment) -> Self {
        Self {
            who: Actor::Agent(agent_id),
            ..Self::system(at)
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

    /// The agent that acts, if an agent does.
    pub fn agent_id(&self) -> Option<&AgentId> {
        match &self.who {
            Actor::Agent(agent_id) => Some(agent_id),
            Actor::Operator(_) | Actor::System => None,
        }
    }

    /// The same act, with the reason that the actor gave.
    #[must_use]
    pub fn because(self, reason: Option<ChangeReason>) -> Self {
        Self { reason, ..self }
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
        let operator = Act::operator(Operator::new("alice", "db-1.example"), Moment(0));
        assert_eq!(operator.who.to_string(), "operator:alice@db-1.example");
    }

    #[test]
    fn an_operator_is_named_in_one_short_line() {
        for (user, host, expected) in [
            ("ACME\\j.doe", "web-1", "ACME\\j.doe@web-1"),
            ("j@acme.example", "fe80::1", "j@acme.example@fe80::1"),
            ("J\u{fc}rgen", "h", "J\u{fc}rgen@h"),
            ("a b\n\u{202e}\"", "x@y\0", "a_b___@x_y_"),
            ("", "", "unknown@unknown"),
        ] {
            assert_eq!(&*Operator::new(user, host).0, expected);
        }
        let long = Operator::new(&"u".repeat(999), &"\u{e9}".repeat(999));
        assert_eq!(long.0.chars().count(), MAX_USER_CHARS + 1 + MAX_HOST_CHARS);
    }

    #[test]
    fn a_reason_is_a_short_line() {
        for good in ["x", "leaked: INC-7 \u{1f600}", &"\u{1f600}".repeat(200)] {
            assert_eq!(ChangeReason::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", " ", "a\nb", "a\0", &"x".repeat(201)] {
            assert!(ChangeReason::parse(bad).is_err(), "{bad:?}");
        }
    }
}
