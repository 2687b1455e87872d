//! Writes as values. Owns what can be changed, one file for each noun, and the audit event of each
//! change; must not know SQL.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::domain::act::Act;
use crate::domain::event::Event;
use crate::domain::id::{AgentId, Jti};
use crate::domain::partner::terms::PartnerId;
use crate::store::reply::ReplyRecord;

mod agent;
mod condition;
mod credential;
mod generation;
mod key;
mod log;
mod org;
mod outcome;
mod partner;
mod previous;
mod refusal;
mod scope;
mod token;
mod usage;
mod verifier;

pub use agent::AgentChange;
pub use condition::CommitCondition;
pub(in crate::store) use condition::{
    OrgSeen, RowLock, failed, failed_orgs, org_conditions, row_locks, suspended_partners,
};
pub use credential::CredentialChange;
pub use generation::GenerationChange;
pub(crate) use key::KeyStates;
pub use key::{KeyChange, KeyReplacement, KeyResealing, Retires};
pub use log::LogChange;
pub use org::OrgChange;
pub use outcome::Outcome;
pub(in crate::store) use outcome::{Kill, transition};
pub(crate) use partner::PartnerChange;
pub(in crate::store) use partner::PartnerLock;
pub(in crate::store) use previous::{Effect, EndedColumns, Previous, effect};
pub(crate) use refusal::RefusedRequests;
pub use scope::ScopeChange;
pub use token::TokenChange;
pub(crate) use usage::UsageChange;
pub(crate) use verifier::VerifierChange;

/// One unit of work: a change, the act that causes it, and what it was decided upon.
#[derive(Debug, Clone)]
pub struct Write {
    /// Who asked, from where and when. The time is the store's, as the process knows it. A store
    /// with a clock of its own uses that clock instead.
    pub act: Act,
    /// The change.
    pub change: Change,
    /// What must still be so in the commit, or else nothing is changed. Empty for an operator at the
    /// command line and for the server itself.
    pub conditions: Vec<CommitCondition>,
    /// The reply to keep with the change, if the request may be sent again. If such a reply is kept
    /// already, the outcome is `Answered`.
    pub reply: Option<ReplyRecord>,
}

impl Write {
    /// The change, whatever else has changed since it was decided.
    pub fn new(act: Act, change: Change) -> Self {
        Self {
            act,
            change,
            conditions: vec![],
            reply: None,
        }
    }

    /// The same write, which changes nothing unless all of `conditions` are met in the commit.
    #[must_use]
    pub fn only_if(self, conditions: Vec<CommitCondition>) -> Self {
        Self { conditions, ..self }
    }

    /// The same write, which keeps this reply if the change is applied, and changes nothing if a
    /// reply is kept at its place already.
    #[must_use]
    pub fn keeping(self, reply: ReplyRecord) -> Self {
        Self {
            reply: Some(reply),
            ..self
        }
    }
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
    /// An organization.
    Org(OrgChange),
    /// A partner.
    Partner(PartnerChange),
    /// The keys that the store holds.
    Key(KeyChange),
    /// The tamper-evident log.
    Log(LogChange),
    /// Nothing: the write only records what was refused.
    Refusals(RefusedRequests),
    /// What events tell about usage.
    Usage(UsageChange),
    /// The generation of the store.
    Generation(GenerationChange),
    /// The verifiers that report.
    Verifier(VerifierChange),
    /// Nothing: the write only records that an export of events with this filter begins.
    Exported(Map<String, Value>),
    /// Nothing: the write only records that a kept reply was sent again, to a request for this path.
    Replayed(String),
}

impl Change {
    /// Whether doing the change twice has the same effect as once. Then the change can be sent
    /// again if its answer is lost.
    pub(in crate::store) fn may_repeat(&self) -> bool {
        matches!(self, Self::Token(TokenChange::Revoke { .. }))
    }

    /// The agent whose row the change replaces.
    pub(in crate::store) fn agent_id(&self) -> Option<&AgentId> {
        match self {
            Self::Agent(change) => Some(change.agent_id()),
            Self::Credential(change) => Some(change.agent_id()),
            _ => None,
        }
    }

    /// The partner whose row the change replaces or relies on.
    pub(in crate::store) fn partner_lock(&self) -> Option<(PartnerId, PartnerLock)> {
        match self {
            Self::Partner(change) => change.lock(),
            Self::Credential(change) => Some((change.partner_id()?, PartnerLock::Keep)),
            _ => None,
        }
    }

    /// Whether this change sets an agent's id, or users on whose behalf an agent may act.
    pub(in crate::store) fn names(&self) -> bool {
        matches!(self, Self::Agent(change) if change.names())
    }

    /// Whether this change may raise the version of the revocation list.
    pub(in crate::store) fn kills(&self) -> bool {
        match self {
            Self::Agent(change) => change.kills(),
            Self::Credential(change) => change.kills(),
            Self::Generation(change) => change.kills(),
            Self::Token(TokenChange::Revoke { .. }) => true,
            Self::Key(change) => change.kills(),
            Self::Org(change) => change.kills(),
            Self::Scope(_)
            | Self::Partner(_)
            | Self::Log(_)
            | Self::Refusals(_)
            | Self::Usage(_)
            | Self::Verifier(_)
            | Self::Exported(_)
            | Self::Replayed(_) => false,
        }
    }

    /// The audit events of the change, which tell what the change replaced as well. They are
    /// recorded in the same commit. There are none for the log, which is made of events.
    pub(in crate::store) fn events(&self, previous: Previous) -> Vec<Event> {
        let one = match self {
            Self::Agent(change) => change.event(),
            Self::Credential(change) => return change.events(previous),
            Self::Token(change) => change.event(),
            Self::Scope(change) => change.event(previous),
            Self::Org(change) => change.event(),
            Self::Partner(change) => change.event(),
            Self::Key(change) => return change.events(),
            Self::Log(change) => return Vec::from_iter(change.event()),
            Self::Refusals(refused) => refused.event(),
            Self::Usage(change) => return Vec::from_iter(change.event()),
            Self::Generation(change) => return Vec::from_iter(change.event()),
            Self::Verifier(change) => change.event(),
            Self::Exported(filter) => Event::AuditExported {
                filter: filter.clone(),
            },
            Self::Replayed(path) => Event::IdempotencyReplayed { path: path.clone() },
        };
        vec![one]
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::about::About;
    use crate::domain::agent::{Agent, AgentName, AgentStatus, Epoch, Profile, Terms};
    use crate::domain::credential::{Credential, SecretHash, Tag};
    use crate::domain::id::{AgentId, CredentialId, Kid};
    use crate::domain::org::OrgId;
    use crate::domain::quota::PlanName;
    use crate::domain::time::Timestamp;
    use crate::store::key::{KeyRecord, KeyState, Sealed, StoreKey};

    fn agent() -> Agent {
        Agent {
            agent_id: AgentId::parse("a").unwrap(),
            org_id: OrgId::default(),
            profile: Profile {
                name: AgentName::parse("n").unwrap(),
                about: About::default(),
                terms: Arc::new(Terms {
                    scopes: vec![],
                    ttl: None,
                    plan: PlanName::free(),
                    audiences: vec![],
                    redirect_uris: vec![],
                    user_ids: vec![],
                }),
                expires_at: None,
            },
            status: AgentStatus::Active,
            suspended_by: None,
            epoch: Epoch(1),
            version: 1,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        }
    }

    /// Every change that holds something of a secret or a private key.
    fn changes(secret: &str) -> Vec<Change> {
        let hash = SecretHash(format!("$argon2id${secret}").into());
        let sealed = Sealed(secret.as_bytes().to_vec());
        let credential = Credential {
            credential_id: CredentialId(Uuid::from_u128(1)),
            agent_id: agent().agent_id,
            hash: hash.clone(),
            tag: Some(Tag(secret.into())),
            prefix: secret.into(),
            created_at: Timestamp(0),
            expires_at: None,
            raw_basic: false,
            keys: None,
            federation: None,
        };
        let key = KeyRecord {
            kid: Kid("k".to_owned()),
            public_jwk: String::new(),
            private_key: sealed.clone(),
            state: KeyState::Announced,
            announced_at: Timestamp(0),
            signs_from: Timestamp(0),
            signs_until: None,
            published_until: None,
            seal: Some(secret.as_bytes().to_vec()),
        };
        vec![
            Change::Agent(AgentChange::Create {
                agent: Box::new(agent()),
                credential: Box::new(credential.clone()),
            }),
            Change::Credential(CredentialChange::Rehash {
                agent_id: agent().agent_id,
                credential_id: credential.credential_id,
                from: hash.clone(),
                to: hash,
            }),
            Change::Credential(CredentialChange::Create {
                credential: Box::new(credential.clone()),
                label: None,
                max_live: 2,
            }),
            Change::Credential(CredentialChange::Rotate {
                credential: Box::new(credential),
                label: None,
                overlap: 0,
                max_live: 2,
            }),
            Change::Key(KeyChange::Insert(Box::new(key.clone()))),
            Change::Key(KeyChange::Announce {
                key: Box::new(key.clone()),
                keys_version: 0,
            }),
            Change::Key(KeyChange::Replace(Box::new(KeyReplacement {
                keys_version: 0,
                key,
                was_announced: false,
                retires: None,
                published_until: Timestamp(0),
                revokes: vec![Kid("old".to_owned())],
            }))),
            Change::Key(KeyChange::Activate {
                kid: Kid("k".to_owned()),
                seal: secret.as_bytes().to_vec(),
                retires: None,
                published_until: Timestamp(0),
            }),
            Change::Key(KeyChange::InsertStoreKey(StoreKey {
                purpose: "tag".to_owned(),
                key_id: "0".to_owned(),
                sealed,
            })),
        ]
    }

    proptest! {
        #[test]
        fn no_event_holds_anything_of_a_secret(secret in "[A-Za-z0-9+/]{16,43}") {
            for change in changes(&secret) {
                for event in change.events(Previous::Nothing) {
                    let row = format!("{event:?} {} {:?}", event.row_text(), event.data());
                    prop_assert!(!row.contains(&secret), "{row}");
                    let bytes = format!("{:?}", secret.as_bytes());
                    prop_assert!(!row.contains(bytes.trim_matches(['[', ']'])), "{row}");
                }
            }
        }
    }
}
