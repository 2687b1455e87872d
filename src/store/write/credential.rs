//! What can be changed about an agent's credentials, and the event of each change. Must not know SQL.

use crate::domain::agent::LiveTokens;
use crate::domain::credential::{Credential, CredentialKind, CredentialLabel, SecretHash};
use crate::domain::event::Event;
use crate::domain::event::facts::{CredentialFacts, TrustFacts};
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::partner::terms::PartnerId;
use crate::domain::time::Timestamp;

use super::previous::Previous;

/// What can be changed about an agent's secrets. Each variant lists the outcomes that it can have
/// besides `Applied`.
#[derive(Debug, Clone)]
pub enum CredentialChange {
    /// One more credential. Raises the version. `NotFound`; `Conflict` if decommissioned; `TooMany`
    /// if more than `max_live` of its kind would be live; `PartnerGone`.
    Create {
        /// The new credential.
        credential: Box<Credential>,
        /// What the operator calls it.
        label: Option<CredentialLabel>,
        /// How many credentials may be live at once.
        max_live: i64,
    },
    /// A new credential. Each old credential of its kind ends after `overlap`, or at its own earlier
    /// end. Raises the version. `NotFound`; `Conflict` if decommissioned; `TooMany` if more than
    /// `max_live` of its kind would be live; `PartnerGone`.
    Rotate {
        /// The new credential.
        credential: Box<Credential>,
        /// What the operator calls it.
        label: Option<CredentialLabel>,
        /// How many seconds the older credentials stay valid at most, by the store's clock; 0 ends
        /// them at once.
        overlap: i64,
        /// How many credentials may be live at once, if the old ones stay valid.
        max_live: i64,
    },
    /// Ends a credential at once. Raises the version, and also the epoch if the tokens are killed.
    /// `NotFound` if the agent has no such credential; `Unchanged` if it had ended before and no
    /// tokens are killed.
    End {
        /// The agent.
        agent_id: AgentId,
        /// The credential.
        credential_id: CredentialId,
        /// What happens to the agent's live tokens.
        tokens: LiveTokens,
    },
    /// Replaces an imported hash. The version stays the same. `NotFound` if the hash is no longer
    /// `from`.
    Rehash {
        /// The agent.
        agent_id: AgentId,
        /// The credential.
        credential_id: CredentialId,
        /// The hash that was verified.
        from: SecretHash,
        /// The argon2id hash of the same secret.
        to: SecretHash,
    },
}

impl CredentialChange {
    /// The agent.
    pub(super) fn agent_id(&self) -> &AgentId {
        match self {
            Self::Create { credential, .. } | Self::Rotate { credential, .. } => {
                &credential.agent_id
            }
            Self::End { agent_id, .. } | Self::Rehash { agent_id, .. } => agent_id,
        }
    }

    /// The partner that the agent of a new credential is to trust.
    pub(super) fn partner_id(&self) -> Option<PartnerId> {
        match self {
            Self::Create { credential, .. } | Self::Rotate { credential, .. } => {
                let federation = credential.federation.as_ref()?;
                Some(federation.partner_id)
            }
            Self::End { .. } | Self::Rehash { .. } => None,
        }
    }

    /// Whether this change may kill the agent's tokens.
    pub(super) fn kills(&self) -> bool {
        matches!(
            self,
            Self::End {
                tokens: LiveTokens::Kill,
                ..
            }
        )
    }

    /// The audit events of the change.
    pub(super) fn events(&self, previous: Previous) -> Vec<Event> {
        match self {
            Self::Create { credential, .. } => {
                vec![Event::CredentialCreated(new_facts(credential, vec![]))]
            }
            Self::Rotate { credential, .. } => {
                let ends = match previous {
                    Previous::Ends(ends) => ends,
                    _ => vec![],
                };
                vec![Event::CredentialRotated(new_facts(credential, ends))]
            }
            Self::End {
                agent_id,
                credential_id,
                tokens,
            } => {
                let ended = match previous {
                    Previous::Credential(kind, expires_at, trusts) => {
                        let facts = old_facts(agent_id, *credential_id, kind, expires_at);
                        Some(Event::CredentialEnded(CredentialFacts { trusts, ..facts }))
                    }
                    // It had ended before.
                    _ => None,
                };
                let killed = (*tokens == LiveTokens::Kill)
                    .then(|| Event::AgentTokensRevoked(agent_id.clone(), None));
                ended.into_iter().chain(killed).collect()
            }
            Self::Rehash {
                agent_id,
                credential_id,
                ..
            } => {
                let expires_at = match previous {
                    Previous::Credential(_, expires_at, _) => expires_at,
                    _ => None,
                };
                let secret = CredentialKind::Secret;
                let facts = old_facts(agent_id, *credential_id, secret, expires_at);
                vec![Event::CredentialRehashed(facts)]
            }
        }
    }
}

fn new_facts(credential: &Credential, ends: Vec<(CredentialId, Timestamp)>) -> CredentialFacts {
    CredentialFacts {
        expires_at: credential.expires_at,
        ends,
        kind: credential.kind(),
        trusts: credential.federation.as_deref().map(TrustFacts::from),
        ..CredentialFacts::of_secret(credential.agent_id.clone(), credential.credential_id)
    }
}

fn old_facts(
    agent_id: &AgentId,
    credential_id: CredentialId,
    kind: CredentialKind,
    expires_at: Option<Timestamp>,
) -> CredentialFacts {
    CredentialFacts {
        kind,
        expires_at,
        ..CredentialFacts::of_secret(agent_id.clone(), credential_id)
    }
}
