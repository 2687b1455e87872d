//! Authorization codes that are presented again. Whatever the reason why the second exchange is
//! refused, the token of the first one is revoked (RFC 6749 §4.1.2).
//!
//! Owns what is done before an exchange is refused. Must not know why it was refused. If the code
//! is refused because it is spent, the store has already revoked the token in the commit that found
//! the code spent.

use std::sync::Arc;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::act::Act;
use crate::domain::context::RequestContext;
use crate::domain::id::{AgentId, CredentialId};
use crate::store::{Change, Store, TokenChange, Write};

use super::codes::{Codes, PresentedCode};
use super::error::Error;
use super::revocations::RevocationList;

/// Revokes the token that was issued for a code that is presented again.
pub struct Replays {
    store: Arc<dyn Store>,
    codes: Arc<Codes>,
    list: Arc<RevocationList>,
    clock: Arc<StoreClock>,
}

impl Replays {
    /// `list` is the list that this process serves.
    pub fn new(
        store: Arc<dyn Store>,
        codes: Arc<Codes>,
        list: Arc<RevocationList>,
        clock: Arc<StoreClock>,
    ) -> Self {
        Self {
            store,
            codes,
            list,
            clock,
        }
    }

    /// Call this before an exchange is refused, for an active agent that has just authenticated on
    /// a fresh row with this `credential`. A code that is not genuine, or that was made for another
    /// binding, costs no read of the store. A code that was not exchanged stays valid. When this
    /// returns, the revocation is durable and in this process's list.
    pub async fn kill_first(
        &self,
        agent_id: &AgentId,
        credential: Option<CredentialId>,
        presented: &PresentedCode,
        context: &RequestContext,
    ) -> Result<(), Error> {
        let Some(code) = self.codes.recognize(agent_id, presented) else {
            return Ok(());
        };
        let Some(first) = self.store.exchanged(code.id).await? else {
            return Ok(());
        };
        if !first.is_revoked {
            let at = self.clock.moment();
            let act = Act::of_request(context, agent_id.clone(), credential, at);
            let change = Change::Token(TokenChange::Revoke {
                jti: first.jti,
                agent_id: Some(agent_id.clone()),
                expires_at: first.expires_at,
            });
            self.store.commit(vec![Write::new(act, change)]).await?;
        }
        self.list.read_changes().await
    }
}
