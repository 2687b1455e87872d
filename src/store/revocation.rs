//! The values of the revocation list: revoked tokens, killed agents, and the tokens of a killed
//! agent for which there is room.
//!
//! Owns those values and the choice among too many tokens. Must not know SQL, or the format of the
//! list.

use std::cmp::Reverse;

use crate::domain::agent::Epoch;
use crate::domain::id::{AgentId, Jti, Kid};
use crate::domain::org::{OrgEpoch, OrgId};
use crate::domain::time::Timestamp;
use crate::domain::ttl;

/// A revoked token is remembered for this many seconds past its `exp` (contract D7).
pub const REVOCATION_GRACE: i64 = 120;

/// For how many seconds a revoked key is remembered: until the longest token that it can have signed has
/// expired, as an agent that was killed, and the same time past that as a token.
pub(in crate::store) const REVOKED_KEY_TTL: i64 = ttl::MAX_TTL + 2 * REVOCATION_GRACE;

/// A token that was revoked individually.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedToken {
    /// The token.
    pub jti: Jti,
    /// Its `exp`.
    pub expires_at: Timestamp,
    /// The list's version that this revocation created.
    pub version: i64,
}

/// An agent whose tokens below its epoch were killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KilledAgent {
    /// The agent.
    pub agent_id: AgentId,
    /// Its epoch: tokens with a lower epoch are revoked.
    pub epoch: Epoch,
    /// When the last kill was.
    pub killed_at: Timestamp,
    /// The longest custom lifetime that this agent ever had, in seconds; 0 if it never had one.
    pub longest_ttl: i64,
    /// The list's version that the kill created.
    pub version: i64,
}

/// An organization whose agents' tokens below its epoch were killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KilledOrg {
    /// The organization.
    pub org_id: OrgId,
    /// Its epoch: tokens with a lower `org_epoch` are revoked.
    pub epoch: OrgEpoch,
    /// When the last kill was.
    pub killed_at: Timestamp,
    /// The list's version that the kill created.
    pub version: i64,
}

/// A signing key that leaked and was revoked, with all tokens that it signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedKey {
    /// The key.
    pub kid: Kid,
    /// When it was revoked.
    pub revoked_at: Timestamp,
    /// The list's version that this revocation created.
    pub version: i64,
}

/// What changed in the revocation list after some version, in version order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revocations {
    /// The list's version now.
    pub version: i64,
    /// Tokens that were revoked individually.
    pub tokens: Vec<RevokedToken>,
    /// Agents whose tokens were killed.
    pub agents: Vec<KilledAgent>,
    /// Organizations whose agents' tokens were killed.
    pub orgs: Vec<KilledOrg>,
    /// Signing keys that were revoked. All keys of one revocation have one version.
    pub keys: Vec<RevokedKey>,
}

impl Revocations {
    /// Leaves out what is known up to this version.
    pub(crate) fn forget_until(&mut self, known: i64) {
        self.tokens.retain(|token| token.version > known);
        self.agents.retain(|agent| agent.version > known);
        self.orgs.retain(|org| org.version > known);
        self.keys.retain(|key| key.version > known);
    }
}

/// A token as recorded in its `token.issued` event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// The token.
    pub jti: Jti,
    /// The agent that it was issued to.
    pub agent_id: AgentId,
    /// Its `exp`.
    pub expires_at: Timestamp,
}

/// The token that an authorization code was exchanged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExchangedToken {
    /// The token.
    pub jti: Jti,
    /// When it expires at the latest.
    pub expires_at: Timestamp,
    /// Whether it was revoked individually.
    pub is_revoked: bool,
}

/// A killed agent whose tokens are searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KilledAgentQuery {
    /// The agent.
    pub agent_id: AgentId,
    /// Tokens with a lower epoch are searched for.
    pub below: Epoch,
    /// Tokens with a lower epoch of the agent's organization are searched for too.
    pub org_below: OrgEpoch,
    /// Every token that was issued before this time has expired.
    pub issued_from: Timestamp,
}

/// A token of a killed agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KilledToken {
    /// The token.
    pub jti: Jti,
    /// Its `exp`.
    pub expires_at: Timestamp,
}

/// The tokens of a killed agent for which there is room. The token that expires last comes first.
/// Of tokens that expire together, the one with the greater id comes first. So every process
/// chooses the same tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KilledTokens {
    /// The tokens, in that order after [`KilledTokens::settle`].
    pub tokens: Vec<KilledToken>,
    /// How many more live tokens there are than room.
    pub omitted: u64,
}

impl KilledTokens {
    /// Adds a token. Holds at most twice `most` tokens, or 1,000 if that is more.
    pub fn add(&mut self, token: KilledToken, most: usize) {
        self.tokens.push(token);
        if self.tokens.len() >= most.saturating_mul(2).max(1_000) {
            self.settle(most);
        }
    }

    /// The tokens of several agents together.
    pub(crate) fn merged(all: Vec<Self>) -> Self {
        let mut merged = Self::default();
        for one in all {
            merged.omitted = merged.omitted.saturating_add(one.omitted);
            merged.tokens.extend(one.tokens);
        }
        merged.settle(usize::MAX);
        merged
    }

    /// Sorts the tokens, removes duplicates, and drops those for which there is no room.
    pub fn settle(&mut self, most: usize) {
        self.tokens
            .sort_unstable_by_key(|token| Reverse((token.expires_at, token.jti)));
        self.tokens.dedup();
        let over = self.tokens.len().saturating_sub(most);
        self.tokens.truncate(most);
        self.omitted = self
            .omitted
            .saturating_add(u64::try_from(over).unwrap_or(u64::MAX));
    }

    /// Drops expired tokens, and returns whether there were any. The omitted tokens expire before
    /// the others, so then all of them have expired.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        let before = self.tokens.len();
        self.tokens.retain(|token| now < token.expires_at);
        let shrunk = self.tokens.len() != before;
        if shrunk {
            self.omitted = 0;
        }
        shrunk
    }
}

/// Collects the tokens of several agents, each agent by its place in `sought`.
pub(in crate::store) struct Gathered {
    found: Vec<KilledTokens>,
    most: usize,
}

impl Gathered {
    pub(super) fn new(sought: &[KilledAgentQuery], most: usize) -> Self {
        Self {
            found: vec![KilledTokens::default(); sought.len()],
            most,
        }
    }

    /// Adds rows: the agent's place, a token's id and the token's `exp`.
    pub(super) fn extend(&mut self, rows: Vec<(i64, uuid::Uuid, i64)>) {
        for (place, jti, expires_at) in rows {
            let place = usize::try_from(place)
                .ok()
                .and_then(|place| self.found.get_mut(place));
            if let Some(found) = place {
                found.add(
                    KilledToken {
                        jti: Jti(jti),
                        expires_at: Timestamp(expires_at),
                    },
                    self.most,
                );
            }
        }
    }

    pub(super) fn settle(mut self) -> Vec<KilledTokens> {
        for found in &mut self.found {
            found.settle(self.most);
        }
        self.found
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn token(n: u128, expires_at: i64) -> KilledToken {
        KilledToken {
            jti: Jti(Uuid::from_u128(n)),
            expires_at: Timestamp(expires_at),
        }
    }

    #[test]
    fn those_that_expire_last_are_kept_whatever_the_order_they_come_in() {
        let mut found = KilledTokens::default();
        found.add(token(1, 86_400), 10);
        for n in 2..5_000 {
            found.add(token(n, 300), 10);
            assert!(found.tokens.len() < 1_000);
        }
        found.add(token(5_000, 86_400), 10);
        found.settle(10);
        assert_eq!(found.tokens[..2], [token(5_000, 86_400), token(1, 86_400)]);
        assert_eq!((found.tokens.len(), found.omitted), (10, 4_990));
        assert!(found.expire(Timestamp(300)));
        assert_eq!((found.tokens.len(), found.omitted), (2, 0));
    }

    #[test]
    fn a_token_that_is_found_twice_is_kept_once() {
        let mut found = KilledTokens::default();
        for n in [7, 8, 7] {
            found.add(token(n, 300), 10);
        }
        found.settle(10);
        assert_eq!(found.tokens, [token(8, 300), token(7, 300)]);
    }
}
