//! Writes as values. Owns what can be changed and the audit event of each change; must not know SQL.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::domain::agent::{Agent, AgentStatus, Profile};
use crate::domain::catalogue::CatalogueEntry;
use crate::domain::credential::{Credential, SecretHash};
use crate::domain::event::{Actor, Event, EventKind};
use crate::domain::id::{AgentId, CredentialId, Jti, Kid};
use crate::domain::scope::Scope;
use crate::domain::time::{Moment, Timestamp};

use super::key::{KeyRecord, StoreKey};

/// One unit of work: a change, when it was asked for and by whom.
#[derive(Debug, Clone)]
pub struct Write {
    /// The store's time when the change was asked for, as the process knows it. A store with a clock of
    /// its own has the change happen by that instead.
    pub at: Moment,
    /// Who asked.
    pub by: Actor,
    /// What is to change.
    pub change: Change,
}

/// What can be changed. Each variant says which outcomes it can have besides [`Outcome::Applied`].
#[derive(Debug, Clone)]
pub enum Change {
    /// A new agent, active or (imported) suspended, with its first credential. `Conflict` when the id is
    /// taken, `Clash`; no row is written then.
    CreateAgent {
        /// The agent; `epoch` and `version` the store's unix milliseconds, which no agent of this id had before.
        agent: Box<Agent>,
        /// Its first credential.
        credential: Box<Credential>,
    },
    /// A changed profile; raises the version, and the epoch where the tokens are killed. `NotFound`,
    /// `Clash`; `Conflict` when the version is no longer `expected_version`.
    UpdateAgent {
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
    SuspendAgent(AgentId),
    /// Suspended → active; raises the version, never the epoch. `NotFound`, `Unchanged`;
    /// `Conflict` when decommissioned.
    ReactivateAgent(AgentId),
    /// Any state → decommissioned; raises epoch and version. `NotFound`, `Unchanged`.
    DecommissionAgent(AgentId),
    /// Kills all live tokens, leaves the status; raises epoch and version. `NotFound`.
    RevokeAgentTokens(AgentId),
    /// A new credential; each old one ends after `overlap` or at its own earlier end. Raises the version.
    /// `NotFound`; `Conflict` when decommissioned; `TooMany` when more than `max_live` would be live.
    RotateSecret {
        /// The new one.
        credential: Box<Credential>,
        /// How many seconds the credentials before it live on at most, by the store's clock; 0 ends them at
        /// once.
        overlap: i64,
        /// How many may be live at once where the old ones live on.
        max_live: i64,
    },
    /// Replaces an imported hash. The version stays. `NotFound` when the hash is no longer `from`.
    RehashCredential {
        /// Whose.
        agent_id: AgentId,
        /// Which credential.
        credential_id: CredentialId,
        /// The hash that was verified.
        from: SecretHash,
        /// The same secret's argon2id hash.
        to: SecretHash,
    },
    /// Revokes one token until [`super::revocation::REVOCATION_GRACE`] past its `exp`. `Unchanged` when it is
    /// revoked already.
    RevokeToken {
        /// The token.
        jti: Jti,
        /// Whose it is, when known.
        agent_id: Option<AgentId>,
        /// Its `exp`.
        expires_at: Timestamp,
    },
    /// A new scope at the end of the catalogue; raises the catalogue's version. `Conflict` when it exists.
    AddScope(CatalogueEntry),
    /// Another description or mark for a scope, `None` leaves it; raises the catalogue's version.
    /// `NotFound`, `Unchanged`.
    UpdateScope {
        /// Which.
        scope: Scope,
        /// What it is for.
        description: Option<String>,
        /// The operator's mark.
        high_risk: Option<bool>,
    },
    /// A new signing key. `Conflict` when the kid is known, or when the key is to sign at once
    /// and another one signs already.
    InsertKey(Box<KeyRecord>),
    /// Announced → signing, and the key that signed → retiring, both or neither (compare-and-set).
    /// `Conflict` when either is no longer in that state.
    ActivateKey {
        /// The announced key.
        kid: Kid,
        /// Its seal as one that signs.
        seal: Vec<u8>,
        /// The key that signs now; `None` when none does.
        retires: Option<Retires>,
        /// Until when the retiring key stays published.
        published_until: Timestamp,
    },
    /// Retiring → gone. `NotFound` when it is no longer retiring.
    RemoveKey(Kid),
    /// A key of the store itself. `Conflict` when one of this purpose exists.
    InsertStoreKey(StoreKey),
}

/// The key that stops signing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retires {
    /// Which.
    pub kid: Kid,
    /// Its seal as one that retires.
    pub seal: Vec<u8>,
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

impl Change {
    /// Whether doing it twice leaves what doing it once does, so that it can be sent again when its
    /// answer is lost.
    pub(in crate::store) fn may_repeat(&self) -> bool {
        matches!(self, Self::RevokeToken { .. })
    }

    /// Whether this change gives an agent its id or users to act for.
    pub(in crate::store) fn names(&self) -> bool {
        match self {
            Self::CreateAgent { .. } => true,
            Self::UpdateAgent { profile, .. } => !profile.terms.user_ids.is_empty(),
            _ => false,
        }
    }

    /// Whether this change may raise the version of the revocation list.
    pub(in crate::store) fn kills(&self) -> bool {
        matches!(
            self,
            Self::SuspendAgent(_)
                | Self::DecommissionAgent(_)
                | Self::RevokeAgentTokens(_)
                | Self::RevokeToken { .. }
                | Self::UpdateAgent { tokens: LiveTokens::Kill, .. }
        )
    }
}

/// The tokens that are to be revoked, when nothing else is asked for.
pub(in crate::store) fn revoked_jtis(writes: &[Write]) -> Option<Vec<Jti>> {
    let jti = |write: &Write| match &write.change {
        Change::RevokeToken { jti, .. } => Some(*jti),
        _ => None,
    };
    writes.iter().map(jti).collect()
}

fn is_known(write: &Write, known: &HashSet<Jti>) -> bool {
    matches!(&write.change, Change::RevokeToken { jti, .. } if known.contains(jti))
}

/// The writes that do not ask for what is so already.
pub(in crate::store) fn without_known<'a>(writes: &'a [Write], known: &HashSet<Jti>) -> Cow<'a, [Write]> {
    if known.is_empty() {
        return Cow::Borrowed(writes);
    }
    Cow::Owned(writes.iter().filter(|write| !is_known(write, known)).cloned().collect())
}

/// One outcome a write, from those of the writes that did not ask for what was so already.
pub(in crate::store) fn with_known(
    writes: &[Write],
    known: &HashSet<Jti>,
    outcomes: Vec<Outcome>,
) -> Vec<Outcome> {
    let mut outcomes = outcomes.into_iter();
    let outcome = |write: &Write| if is_known(write, known) { None } else { outcomes.next() };
    writes.iter().map(outcome).map(|outcome| outcome.unwrap_or(Outcome::Unchanged)).collect()
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

impl Write {
    /// The audit event that is committed with the change when it is applied.
    pub fn event(&self) -> Event {
        let mut event = Event {
            at: self.at.second(),
            kind: EventKind::AgentUpdated,
            actor: self.by.clone(),
            agent_id: None,
            jti: None,
            expires_at: None,
            detail: String::new(),
        };
        let mut about = |kind, agent_id: Option<&AgentId>| {
            event.kind = kind;
            event.agent_id = agent_id.cloned();
        };
        match &self.change {
            Change::CreateAgent { agent, .. } => about(EventKind::AgentCreated, Some(&agent.agent_id)),
            Change::UpdateAgent { agent_id, tokens, .. } => {
                about(EventKind::AgentUpdated, Some(agent_id));
                if *tokens == LiveTokens::Kill {
                    "tokens revoked".clone_into(&mut event.detail);
                }
            }
            Change::SuspendAgent(id) => about(EventKind::AgentSuspended, Some(id)),
            Change::ReactivateAgent(id) => about(EventKind::AgentReactivated, Some(id)),
            Change::DecommissionAgent(id) => about(EventKind::AgentDecommissioned, Some(id)),
            Change::RevokeAgentTokens(id) => about(EventKind::AgentTokensRevoked, Some(id)),
            Change::RotateSecret { credential, .. } => {
                about(EventKind::CredentialRotated, Some(&credential.agent_id));
                event.detail = credential.credential_id.to_string();
            }
            Change::RehashCredential { agent_id, credential_id, .. } => {
                about(EventKind::CredentialRehashed, Some(agent_id));
                event.detail = credential_id.to_string();
            }
            Change::RevokeToken { jti, agent_id, expires_at } => {
                about(EventKind::TokenRevoked, agent_id.as_ref());
                event.jti = Some(*jti);
                event.expires_at = Some(*expires_at);
            }
            Change::AddScope(entry) => {
                about(EventKind::ScopeAdded, None);
                entry.scope.as_str().clone_into(&mut event.detail);
            }
            Change::UpdateScope { scope, .. } => {
                about(EventKind::ScopeUpdated, None);
                scope.as_str().clone_into(&mut event.detail);
            }
            Change::InsertKey(key) => {
                about(EventKind::KeyAnnounced, None);
                event.detail.clone_from(&key.kid.0);
            }
            Change::ActivateKey { kid, .. } => {
                about(EventKind::KeyActivated, None);
                event.detail.clone_from(&kid.0);
            }
            Change::RemoveKey(kid) => {
                about(EventKind::KeyRemoved, None);
                event.detail.clone_from(&kid.0);
            }
            Change::InsertStoreKey(key) => {
                about(EventKind::StoreKeyCreated, None);
                event.detail.clone_from(&key.purpose);
            }
        }
        event
    }
}
