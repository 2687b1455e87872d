//! What can be changed about one token, and the event of the change. Must not know SQL.

use crate::domain::event::Event;
use crate::domain::id::{AgentId, Jti};
use crate::domain::time::Timestamp;

/// What can be changed about one token. Each variant lists the outcomes that it can have besides
/// `Applied`.
#[derive(Debug, Clone)]
pub enum TokenChange {
    /// Revokes one token until [`crate::store::REVOCATION_GRACE`] past its `exp`. `Unchanged` if it
    /// is revoked already.
    Revoke {
        /// The token.
        jti: Jti,
        /// The agent that it was issued to, if known.
        agent_id: Option<AgentId>,
        /// Its `exp`.
        expires_at: Timestamp,
    },
}

impl TokenChange {
    /// The audit event of the change.
    pub(super) fn event(&self) -> Event {
        let Self::Revoke {
            jti,
            agent_id,
            expires_at,
        } = self;
        Event::TokenRevoked {
            jti: *jti,
            agent_id: agent_id.clone(),
            expires_at: *expires_at,
        }
    }
}
