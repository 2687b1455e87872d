//! Writes as values. Owns what can be changed, one file for each noun, and the audit event of each
//! change; must not know SQL.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::domain::act::Act;
use crate::domain::event::Event;
use crate::domain::id::Jti;

mod agent;
mod credential;
mod key;
mod log;
mod outcome;
mod refusal;
mod scope;
mod token;

pub use agent::AgentChange;
pub use credential::CredentialChange;
pub use key::{KeyChange, Retires};
pub use log::LogChange;
pub use outcome::Outcome;
pub(in crate::store) use outcome::transition;
pub(crate) use refusal::RefusedRequests;
pub use scope::ScopeChange;
pub use token::TokenChange;

/// One unit of work: a change, and the act that causes it.
#[derive(Debug, Clone)]
pub struct Write {
    /// Who asked, from where and when. The time is the store's, as the process knows it. A store
    /// with a clock of its own uses that clock instead.
    pub act: Act,
    /// The change.
    pub change: Change,
}

/// What can be changed, by noun.
#[derive(Debug, Clone)]
pub enum Change {
    /// An agent.
    Agent(AgentChange),
    /// An agent's secrets.
    Credential(CredentialChange),
    /// One token.
    Token(TokenChange),
    /// The scope catalogue.
    Scope(ScopeChange),
    /// The keys that the store holds.
    Key(KeyChange),
    /// The tamper-evident log.
    Log(LogChange),
    /// Nothing: the write only records what was refused.
    Refusals(RefusedRequests),
}

impl Change {
    /// Whether doing the change twice has the same effect as once. Then the change can be sent
    /// again if its answer is lost.
    pub(in crate::store) fn may_repeat(&self) -> bool {
        matches!(self, Self::Token(TokenChange::Revoke { .. }))
    }

    /// Whether this change sets an agent's id, or users on whose behalf an agent may act.
    pub(in crate::store) fn names(&self) -> bool {
        matches!(self, Self::Agent(change) if change.names())
    }

    /// Whether this change may raise the version of the revocation list.
    pub(in crate::store) fn kills(&self) -> bool {
        match self {
            Self::Agent(change) => change.kills(),
            Self::Token(TokenChange::Revoke { .. }) => true,
            Self::Credential(_)
            | Self::Scope(_)
            | Self::Key(_)
            | Self::Log(_)
            | Self::Refusals(_) => false,
        }
    }

    /// The audit event of the change. It is recorded in the same commit, if the change is applied.
    /// `None` for the log, which is made of events.
    pub fn event(&self) -> Option<Event> {
        match self {
            Self::Agent(change) => Some(change.event()),
            Self::Credential(change) => Some(change.event()),
            Self::Token(change) => Some(change.event()),
            Self::Scope(change) => Some(change.event()),
            Self::Key(change) => Some(change.event()),
            Self::Log(_) => None,
            Self::Refusals(refused) => Some(refused.event()),
        }
    }
}

/// The tokens to revoke, if all writes are revocations; otherwise `None`.
pub(in crate::store) fn revoked_jtis(writes: &[Write]) -> Option<Vec<Jti>> {
    let jti = |write: &Write| match &write.change {
        Change::Token(TokenChange::Revoke { jti, .. }) => Some(*jti),
        _ => None,
    };
    writes.iter().map(jti).collect()
}

fn is_known(write: &Write, known: &HashSet<Jti>) -> bool {
    matches!(&write.change, Change::Token(TokenChange::Revoke { jti, .. }) if known.contains(jti))
}

/// The writes, except revocations of tokens in `known`, which are already revoked.
pub(in crate::store) fn without_known<'a>(
    writes: &'a [Write],
    known: &HashSet<Jti>,
) -> Cow<'a, [Write]> {
    if known.is_empty() {
        return Cow::Borrowed(writes);
    }
    Cow::Owned(
        writes
            .iter()
            .filter(|write| !is_known(write, known))
            .cloned()
            .collect(),
    )
}

/// One outcome for each write, from the outcomes of the writes that [`without_known`] kept.
pub(in crate::store) fn with_known(
    writes: &[Write],
    known: &HashSet<Jti>,
    outcomes: Vec<Outcome>,
) -> Vec<Outcome> {
    let mut outcomes = outcomes.into_iter();
    let outcome = |write: &Write| {
        if is_known(write, known) {
            None
        } else {
            outcomes.next()
        }
    };
    writes
        .iter()
        .map(outcome)
        .map(|outcome| outcome.unwrap_or(Outcome::Unchanged))
        .collect()
}
