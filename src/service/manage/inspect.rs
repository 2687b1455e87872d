//! A token laid open for an operator: what it says and what it is worth, with the reason.
//!
//! Says more than introspection may: a caller is told only that a token is dead, an operator why.

use serde::Serialize;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::agent::{AgentStatus, Epoch};
use crate::domain::grant::epoch_lives;
use crate::domain::time::Timestamp;
use crate::keys::claims::Claims;
use crate::store::{Standing, Store};

use crate::service::error::Error;
use crate::service::tokens::{Genuine, Tokens};

/// What a token is worth, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// Whether it is alive.
    pub active: bool,
    /// And why, or why not.
    pub verdict: Worth,
    /// What it says; `null` unless this store's keys signed it.
    pub claims: Option<Claims>,
}

/// Reads `token` and looks its standing up.
pub async fn inspect(
    tokens: &Tokens,
    store: &dyn Store,
    clock: &StoreClock,
    token: &str,
) -> Result<Inspection, Error> {
    let Some(genuine) = tokens.read(token).await? else {
        return Ok(Inspection { active: false, verdict: Worth::NotOurs, claims: None });
    };
    let standing = store.standing(std::slice::from_ref(&genuine.reference)).await?.into_iter().next();
    let verdict = judge(&genuine, standing, clock.now());
    Ok(Inspection { active: verdict == Worth::Active, verdict, claims: Some(Claims::clone(&genuine.claims)) })
}

fn judge(token: &Genuine, standing: Option<Standing>, now: Timestamp) -> Worth {
    let Some(Standing { revoked, agent: Some((status, epoch)) }) = standing else { return Worth::NotOurs };
    if token.is_expired(now) {
        return Worth::Expired;
    }
    if revoked {
        return Worth::Revoked;
    }
    match status {
        AgentStatus::Suspended => Worth::AgentSuspended,
        AgentStatus::Decommissioned => Worth::AgentDecommissioned,
        AgentStatus::Active if epoch_lives(status, epoch, Epoch(token.claims.epoch)) => Worth::Active,
        AgentStatus::Active => Worth::Killed,
    }
}
