//! How an agent proved itself, as far as its token depends on it (contract D1). Must not know how a
//! proof is verified.

use super::refusal::Refusal;
use super::scope::Scope;
use super::scope_pattern::ScopePattern;
use super::time::Timestamp;

/// How an agent proved itself.
#[derive(Debug, Clone, Copy)]
pub enum ProvenBy<'a> {
    /// By a secret, or by an assertion that a key of its own signed.
    Own(OwnProof),
    /// By a token of a partner.
    Partner(&'a PartnerProof),
}

/// A proof without terms of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnProof {
    /// A secret, which others may know too.
    Secret,
    /// A key that never left the agent.
    Key,
}

/// What a token of a partner allows at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerProof {
    /// The scopes of the credential; `None` means all that the agent has.
    pub scopes: Option<Vec<Scope>>,
    /// The longest lifetime in seconds that the credential allows.
    pub ttl: Option<i64>,
    /// The second from which on the partner's token is expired.
    pub ends_at: Timestamp,
}

impl ProvenBy<'_> {
    /// From when on the proof proves nothing, if it ends.
    pub(super) fn ends_at(self) -> Option<Timestamp> {
        match self {
            Self::Own(_) => None,
            Self::Partner(proof) => Some(proof.ends_at),
        }
    }

    /// Refuses a proof that has ended since it was verified.
    pub(super) fn admit(self, now: Timestamp) -> Result<(), Refusal> {
        match self.ends_at() {
            Some(end) if end <= now => Err(Refusal::InvalidClient),
            _ => Ok(()),
        }
    }

    /// Whether the proof opens a scope that its agent has. A secret does not open `secretless` ones.
    pub(super) fn opens(self, scope: &Scope, secretless: &[ScopePattern]) -> bool {
        match self {
            Self::Own(OwnProof::Secret) => !secretless.iter().any(|one| one.covers(scope)),
            Self::Own(OwnProof::Key) => true,
            Self::Partner(proof) => {
                let scopes = proof.scopes.as_ref();
                scopes.is_none_or(|scopes| scopes.contains(scope))
            }
        }
    }

    /// The longest lifetime of a token in seconds, if the proof bounds it besides its end.
    pub(super) fn ttl(self) -> Option<i64> {
        match self {
            Self::Own(_) => None,
            Self::Partner(proof) => proof.ttl,
        }
    }
}
