//! An operator's operations on single tokens: inspect a token, and revoke it by its id.
//!
//! Says more than introspection may: a client learns only that a token is dead, an operator also
//! why.

use std::sync::Arc;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::act::Act;
use crate::domain::agent::{AgentStatus, Epoch};
use crate::domain::grant::epoch_lives;
use crate::domain::id::{AgentId, Jti};
use crate::domain::time::Timestamp;
use crate::domain::ttl;
use crate::keys::claims::Claims;
use crate::store::{Change, Records, Standing, Store, TokenChange, Write};

use crate::service::error::Error;
use crate::service::revoke::is_long_over;
use crate::service::tokens::{Genuine, Tokens};

/// Whether a token is valid, and why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// The token is valid.
    Active,
    /// The token has expired.
    Expired,
    /// The token itself was revoked.
    Revoked,
    /// The token's agent is suspended.
    AgentSuspended,
    /// The token's agent is decommissioned.
    AgentDecommissioned,
    /// The token was killed with all tokens that its agent had at that time.
    Killed,
    /// No key of this store signed the token for this issuer, or no agent has its id.
    NotOurs,
}

impl Worth {
    /// The word in JSON and for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::AgentSuspended => "agent_suspended",
            Self::AgentDecommissioned => "agent_decommissioned",
            Self::Killed => "killed",
            Self::NotOurs => "not_ours",
        }
    }
}

/// A token's claims and the verdict on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Whether the token is alive.
    pub active: bool,
    /// Why the token is alive, or why not.
    pub verdict: Worth,
    /// The token's claims; `None` unless this store's keys signed the token.
    pub claims: Option<Claims>,
}

/// A token that was revoked by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedById {
    /// The token's id.
    pub jti: Jti,
    /// The agent that owns the token; `None` if no event of the token is kept.
    pub agent_id: Option<AgentId>,
    /// The token's `exp`; the latest possible one if no event of the token is kept.
    pub expires_at: Timestamp,
}

/// The operations on single tokens.
pub struct IssuedTokens {
    store: Arc<dyn Store>,
    records: Arc<dyn Records>,
    tokens: Arc<Tokens>,
    clock: Arc<StoreClock>,
}

impl IssuedTokens {
    /// `tokens` verifies the tokens of this store.
    pub fn new(
        store: Arc<dyn Store>,
        records: Arc<dyn Records>,
        tokens: Arc<Tokens>,
        clock: Arc<StoreClock>,
    ) -> Self {
        Self {
            store,
            records,
            tokens,
            clock,
        }
    }

    /// Verifies `token` and looks up its state.
    pub async fn inspect(&self, token: &str) -> Result<Inspection, Error> {
        let Some(genuine) = self.tokens.read(token).await? else {
            return Ok(Inspection {
                active: false,
                verdict: Worth::NotOurs,
                claims: None,
            });
        };
        let standing = self
            .store
            .standing(std::slice::from_ref(&genuine.reference))
            .await?
            .into_iter()
            .next();
        let verdict = judge(&genuine, standing, self.clock.now());
        let claims = Some(Claims::clone(&genuine.claims));
        Ok(Inspection {
            active: verdict == Worth::Active,
            verdict,
            claims,
        })
    }

    /// Revokes a token by its id alone. The agent and the expiry come from the token's event.
    /// Without an event, the token stays revoked for as long as any token can live.
    pub async fn revoke(&self, jti: Jti, act: &Act) -> Result<RevokedById, Error> {
        let now = self.clock.now();
        let (agent_id, expires_at) = match self.records.issued_token(jti).await? {
            Some(issued) => (Some(issued.agent_id), issued.expires_at),
            None => (None, now.saturating_add(ttl::MAX_TTL)),
        };
        if !is_long_over(expires_at, &self.clock) {
            let change = Change::Token(TokenChange::Revoke {
                jti,
                agent_id: agent_id.clone(),
                expires_at,
            });
            self.store
                .commit(vec![Write {
                    act: act.committed_at(self.clock.moment()),
                    change,
                }])
                .await?;
        }
        Ok(RevokedById {
            jti,
            agent_id,
            expires_at,
        })
    }
}

fn judge(token: &Genuine, standing: Option<Standing>, now: Timestamp) -> Worth {
    let Some(Standing {
        revoked,
        agent: Some((status, epoch)),
    }) = standing
    else {
        return Worth::NotOurs;
    };
    if token.is_expired(now) {
        return Worth::Expired;
    }
    if revoked {
        return Worth::Revoked;
    }
    match status {
        AgentStatus::Suspended => Worth::AgentSuspended,
        AgentStatus::Decommissioned => Worth::AgentDecommissioned,
        AgentStatus::Active if epoch_lives(status, epoch, Epoch(token.claims.epoch)) => {
            Worth::Active
        }
        AgentStatus::Active => Worth::Killed,
    }
}
