//! One entry of the list: a token, a killed agent, a killed organization, or the keys of one revocation.
//!
//! Owns for how long each kind is listed. Must not know the other entries.

use crate::domain::id::{Jti, Kid};
use crate::domain::time::Timestamp;
use crate::domain::ttl;
use crate::store::{KilledAgent, KilledOrg, KilledTokens, REVOCATION_GRACE};

/// How long an agent stays listed: until the longest token that the kill can have hit has expired.
/// That is the token's life, plus the time that a batch may have waited on a lock while the kill
/// was committed.
pub(in crate::service::revocations) const KILL_LISTED: i64 = ttl::MAX_TTL + REVOCATION_GRACE;

/// One line of the list.
pub(super) enum Entry {
    Token { jti: Jti, expires_at: Timestamp },
    Agent(Box<Killed>),
    Org(Box<KilledMembers>),
    Keys(Box<RevokedKeys>),
}

/// Signing keys that were revoked together.
pub(super) struct RevokedKeys {
    pub kids: Vec<Kid>,
    pub revoked_at: Timestamp,
}

/// A killed agent.
pub(super) struct Killed {
    pub agent: KilledAgent,
    pub hits: Hits,
}

/// A killed organization.
pub(super) struct KilledMembers {
    pub org: KilledOrg,
    pub hits: Hits,
}

/// The tokens that a kill hit, as far as they are known.
pub(super) struct Hits {
    pub tokens: KilledTokens,
    /// How many look-ups of the tokens remain.
    pub looks: usize,
    /// All tokens up to this position in the record of events are known. `None` if no such
    /// position is known yet.
    pub known_to: Option<i64>,
    /// Whether the warning that not all tokens fit has been logged.
    pub is_warned_of: bool,
}

impl Entry {
    /// The second from which it is not listed any more.
    pub(super) fn listed_until(&self) -> Timestamp {
        match self {
            Self::Token { expires_at, .. } => *expires_at,
            Self::Agent(killed) => killed.agent.killed_at.saturating_add(KILL_LISTED),
            Self::Org(killed) => killed.org.killed_at.saturating_add(KILL_LISTED),
            Self::Keys(keys) => keys.revoked_at.saturating_add(KILL_LISTED),
        }
    }

    /// The killed agent, if this is one.
    pub(super) fn agent(&self) -> Option<&KilledAgent> {
        match self {
            Self::Agent(killed) => Some(&killed.agent),
            Self::Token { .. } | Self::Org(_) | Self::Keys(_) => None,
        }
    }

    /// The killed organization, if this is one.
    pub(super) fn org(&self) -> Option<&KilledOrg> {
        match self {
            Self::Org(killed) => Some(&killed.org),
            Self::Token { .. } | Self::Agent(_) | Self::Keys(_) => None,
        }
    }

    /// The tokens that the kill hit, if this is a kill.
    pub(super) fn hits_mut(&mut self) -> Option<&mut Hits> {
        match self {
            Self::Agent(killed) => Some(&mut killed.hits),
            Self::Org(killed) => Some(&mut killed.hits),
            Self::Token { .. } | Self::Keys(_) => None,
        }
    }
}
