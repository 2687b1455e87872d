//! Authorization codes that come again: whatever the second exchange is refused for, the token of the first
//! one is dead (RFC 6749 §4.1.2).
//!
//! Owns what is asked of a refused exchange. Must not know why it was refused. Where the code alone is to blame,
//! the store has killed the token in the commit that found it spent.

use std::sync::Arc;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::act::Act;
use crate::domain::id::AgentId;
use crate::store::{Change, Store, TokenChange, Write};

use super::codes::{Codes, PresentedCode};
use super::error::Error;
use super::revocations::RevocationList;

/// Kills what was given for a code that comes again.
pub struct Replays {
    store: Arc<dyn Store>,
    codes: Arc<Codes>,
    list: Arc<RevocationList>,
    clock: Arc<StoreClock>,
}

impl Replays {
    /// Over this store; `list` is the list that this process answers with.
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

    /// To be asked before an exchange is refused, of an agent that has just proven itself on a fresh row and is
    /// active. A code that is not genuine, or was made for anything else, costs no look; one that nobody
    /// exchanged lives on. Durable, and in this process's list, before the answer.
    pub async fn kill_first(
        &self,
        agent_id: &AgentId,
        presented: &PresentedCode,
    ) -> Result<(), Error> {
        let Some(code) = self.codes.recognize(agent_id, presented) else {
            return Ok(());
        };
        let Some(first) = self.store.exchanged(code.id).await? else {
            return Ok(());
        };
        if !first.is_revoked {
            let (agent_id, expires_at) = (Some(agent_id.clone()), first.expires_at);
            let change = Change::Token(TokenChange::Revoke {
                jti: first.jti,
                agent_id,
                expires_at,
            });
            let write = Write {
                act: Act::system(self.clock.moment()),
                change,
            };
            self.store.commit(vec![write]).await?;
        }
        self.list.catch_up().await
    }
}
