//! Single tokens under an operator's hand: laid open, and revoked by their ids.
//!
//! Says more than introspection may: a caller is told only that a token is dead, an operator why.

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

/// What a token is worth, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// It opens what it was made for.
    Active,
    /// Its time is over.
    Expired,
    /// It was revoked by itself.
    Revoked,
    /// Its agent is suspended.
    AgentSuspended,
    /// Its agent is decommissioned.
    AgentDecommissioned,
    /// It was killed with all of its agent's tokens of that time.
    Killed,
    /// No key of this store signed it for this issuer, or no agent has its id.
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

/// A token's claims and verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Whether it is alive.
    pub active: bool,
    /// And why, or why not.
    pub verdict: Worth,
    /// What it says; `null` unless this store's keys signed it.
    pub claims: Option<Claims>,
}

/// A token that was revoked by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedById {
    /// Its id.
    pub jti: Jti,
    /// Whose it is; `None` when no event of it is kept.
    pub agent_id: Option<AgentId>,
    /// Its `exp`; the latest possible one when no event of it is kept.
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
    /// Over this store, whose tokens `tokens` reads.
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

    /// Reads `token` and looks its standing up.
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

    /// Revokes a token by its id alone: agent and expiry come from its event; without one it is kept
    /// revoked for as long as any token can live.
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
