//! An operator's operations on single tokens: inspect a token, and revoke it by its id.
//!
//! Says more than introspection may: a client learns only that a token is dead, an operator also
//! why.

use std::sync::Arc;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::act::Act;
use crate::domain::id::{AgentId, Jti};
use crate::domain::time::Timestamp;
use crate::domain::token::TokenVerdict;
use crate::domain::ttl;
use crate::keys::claims::Claims;
use crate::store::{Change, Records, Store, TokenChange, Write};

use crate::service::error::Error;
use crate::service::revoke::is_long_over;
use crate::service::tokens::Tokens;

/// A token's claims and the verdict on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Whether the token is alive.
    pub active: bool,
    /// Why the token is alive, or why not.
    pub verdict: TokenVerdict,
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
                verdict: TokenVerdict::NotOurs,
                claims: None,
            });
        };
        let standing = self
            .store
            .standing(std::slice::from_ref(&genuine.reference))
            .await?
            .into_iter()
            .next();
        // A store that knows nothing of the token has no such agent either.
        let verdict = standing.map_or(TokenVerdict::NotOurs, |standing| {
            genuine.verdict(&standing, self.clock.now())
        });
        let claims = Some(Claims::clone(&genuine.claims));
        Ok(Inspection {
            active: verdict == TokenVerdict::Active,
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
                .commit(vec![Write::new(
                    act.committed_at(self.clock.moment()),
                    change,
                )])
                .await?;
        }
        Ok(RevokedById {
            jti,
            agent_id,
            expires_at,
        })
    }
}
