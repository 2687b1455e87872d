//! A token that this store signed, and the caller that presents one: what it may open, and which
//! organisations' data it sees. Must not know how a token is verified.

use std::sync::Arc;

use crate::domain::agent::Epoch;
use crate::domain::id::{AgentId, Kid};
use crate::domain::org::{OrgEpoch, OrgId, Reach};
use crate::domain::refusal::Refusal;
use crate::domain::scope::{self, BUILT_IN};
use crate::domain::time::Timestamp;
use crate::domain::token::{TokenVerdict, is_expired, judge_token};
use crate::keys::claims::Claims;
use crate::store::{Standing, TokenRef};

/// A token that this store's keys signed, with its ids parsed.
#[derive(Debug)]
pub struct Genuine {
    /// The claims of the token.
    pub claims: Claims,
    /// The ids by which the store knows the token.
    pub reference: TokenRef,
    /// The key that signed the token.
    pub kid: Kid,
}

impl Genuine {
    /// Whether the token has expired.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        is_expired(Timestamp(self.claims.exp), now)
    }

    /// The epoch of the organization in which the token was issued. A token of the first
    /// organization carries none, and its epoch is never raised.
    fn org_epoch(&self) -> OrgEpoch {
        OrgEpoch(self.claims.org_epoch.unwrap_or_default())
    }

    /// The verdict on the token, with what the store knows of it.
    pub(super) fn verdict(&self, standing: &Standing, now: Timestamp) -> TokenVerdict {
        let exp = Timestamp(self.claims.exp);
        let epochs = (Epoch(self.claims.epoch), self.org_epoch());
        // An earlier release does not bound the `exp` of its tokens.
        let exp = standing.expires_at.map_or(exp, |end| end.min(exp));
        judge_token(
            exp,
            epochs,
            standing.revoked,
            standing.agent,
            standing.org,
            now,
        )
    }
}

/// The caller of one of the server's own endpoints, by its Bearer token.
#[derive(Debug, Clone)]
pub struct Caller {
    token: Arc<Genuine>,
    org_id: OrgId,
}

impl Caller {
    /// The caller that presented this token, which is alive.
    pub(super) fn new(token: Arc<Genuine>, org_id: OrgId) -> Self {
        Self { token, org_id }
    }

    /// The agent that calls.
    pub fn agent_id(&self) -> &AgentId {
        &self.token.reference.agent_id
    }

    /// The organisation of the agent that calls.
    pub(crate) fn org_id(&self) -> &OrgId {
        &self.org_id
    }

    /// The token's scopes.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.token
            .claims
            .scope
            .split(' ')
            .filter(|scope| !scope.is_empty())
    }

    /// The epoch in which the token was issued.
    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.token.claims.epoch)
    }

    /// The epoch of the organization in which the token was issued.
    pub(super) fn org_epoch(&self) -> OrgEpoch {
        self.token.org_epoch()
    }

    /// Whether the token has this built-in scope. No other scope opens anything here (contract §3).
    pub fn may(&self, scope: &str) -> bool {
        BUILT_IN.iter().any(|b| b.name == scope) && self.token.claims.has_scope(scope)
    }

    /// Refuses a caller without this built-in scope.
    pub fn require(&self, scope: &'static str) -> Result<(), Refusal> {
        if self.may(scope) {
            Ok(())
        } else {
            Err(Refusal::InsufficientScope(scope))
        }
    }

    /// Whether the token has an admin scope, which gives access to what belongs to other agents.
    pub fn is_admin(&self) -> bool {
        self.token.claims.scope.split(' ').any(scope::is_admin)
    }

    /// Which organisations' data the caller sees.
    pub(crate) fn reach(&self) -> Reach {
        Reach::of(self.org_id.as_str(), self.is_admin())
    }

    /// The organisation that the caller is limited to; `None` if it sees all of them.
    pub(crate) fn limited_to(&self) -> Option<&OrgId> {
        (self.reach() == Reach::Own).then_some(&self.org_id)
    }

    /// Whether the caller sees what belongs to this organisation.
    pub(crate) fn reaches(&self, org_id: &OrgId) -> bool {
        self.reach() == Reach::All || self.org_id == *org_id
    }
}
