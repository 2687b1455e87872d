//! Revocation (RFC 7009). It is durable and in this process's list before the response (contract
//! D7).
//!
//! Owns who may revoke which token. Must not know how the caller's proof arrived, or how the list
//! is published.

use std::sync::Arc;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::act::Act;
use crate::domain::context::RequestContext;
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::org::Reach;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::store::{Change, Freshness, Store, TokenChange, Write};

use crate::telemetry::metrics;

use super::error::Error;
use super::revocations::RevocationList;
use super::tokens::{Caller, Tokens};

/// A token is still revoked up to this many seconds after its `exp`.
const LONG_OVER: i64 = 86_400;

/// Who asks for a revocation.
#[derive(Debug)]
pub enum Revoker {
    /// An agent that authenticated with its secret, and the credential that the secret belongs to.
    Client(AgentId, Option<CredentialId>),
    /// The holder of a live Bearer token.
    Bearer(Caller),
}

impl Revoker {
    /// The agent that asks for the revocation.
    pub fn agent_id(&self) -> &AgentId {
        match self {
            Self::Client(id, _) => id,
            Self::Bearer(caller) => caller.agent_id(),
        }
    }

    fn credential(&self) -> Option<CredentialId> {
        match self {
            Self::Client(_, credential) => *credential,
            Self::Bearer(_) => None,
        }
    }
}

/// Revokes tokens.
pub struct Revocation {
    store: Arc<dyn Store>,
    tokens: Arc<Tokens>,
    list: Arc<RevocationList>,
    clock: Arc<StoreClock>,
}

impl Revocation {
    /// `list` is the list that this process serves.
    pub fn new(
        store: Arc<dyn Store>,
        tokens: Arc<Tokens>,
        list: Arc<RevocationList>,
        clock: Arc<StoreClock>,
    ) -> Self {
        Self {
            store,
            tokens,
            list,
            clock,
        }
    }

    /// Revokes `token`. A token that this store did not issue, or that expired long ago, needs no
    /// revocation (RFC 7009 §2.2).
    pub async fn revoke(
        &self,
        revoker: &Revoker,
        token: &str,
        context: &RequestContext,
    ) -> Result<(), Error> {
        let Some(token) = self.tokens.read(token).await? else {
            return Ok(());
        };
        let now = self.clock.now();
        let owner = &token.reference.agent_id;
        if !self.may_revoke(revoker, owner).await? {
            // An expired token needs no protection, and the response does not reveal that another
            // agent owns it.
            return if token.is_expired(now) {
                Ok(())
            } else {
                Err(Refusal::InsufficientScope("admin:orgs").into())
            };
        }
        let expires_at = Timestamp(token.claims.exp);
        if is_long_over(expires_at, &self.clock) {
            return Ok(());
        }
        let change = Change::Token(TokenChange::Revoke {
            jti: token.reference.jti,
            agent_id: Some(owner.clone()),
            expires_at,
        });
        let (by, credential) = (revoker.agent_id().clone(), revoker.credential());
        let act = Act::of_request(context, by, credential, self.clock.moment());
        self.store.commit(vec![Write::new(act, change)]).await?;
        metrics::token_revoked();
        self.list.read_changes().await
    }

    /// An agent may revoke its own tokens. Another agent's token may be revoked only with a Bearer
    /// token that has an admin scope, by a caller that reaches the other agent's organisation.
    async fn may_revoke(&self, revoker: &Revoker, owner: &AgentId) -> Result<bool, Error> {
        let caller = match revoker {
            _ if revoker.agent_id() == owner => return Ok(true),
            Revoker::Bearer(caller) if caller.is_admin() => caller,
            _ => return Ok(false),
        };
        if caller.reach() == Reach::All {
            return Ok(true);
        }
        let record = self.store.agent(owner, Freshness::Fresh).await?;
        Ok(record.is_some_and(|record| caller.reaches(&record.agent.org_id)))
    }
}

/// Whether a token expired so long ago that no clock can take it for a live one. An unnecessary
/// revocation costs a row until the next clean-up. A missing revocation costs more.
pub(super) fn is_long_over(expires_at: Timestamp, clock: &StoreClock) -> bool {
    clock
        .settled()
        .is_some_and(|now| expires_at.saturating_add(LONG_OVER) <= now)
}
