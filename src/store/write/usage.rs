//! What can be changed about usage. Must not know SQL.

use crate::domain::event::Event;
use crate::domain::event::facts::CredentialFacts;
use crate::domain::id::AgentId;
use crate::domain::time::Month;
use crate::domain::usage::UsageSums;
use crate::store::usage::ExpiringAgent;

/// What can be changed about usage. Each variant lists the outcomes that it can have besides
/// `Applied`.
#[derive(Debug, Clone)]
pub enum UsageChange {
    /// Adds these sums to the stored ones. This has no event: the sums are made of events.
    Add(Box<UsageSums>),
    /// Records that an agent has used a part of its month's tokens. `Unchanged` if this is recorded
    /// already.
    NoteQuota {
        /// The agent.
        agent_id: AgentId,
        /// The month.
        month: Month,
        /// The part, in percent: 80 or 100.
        percent: u8,
        /// How many tokens were issued in the month.
        issued: i64,
        /// How many may be.
        limit: i64,
    },
    /// Records that a credential expires soon. `Unchanged` if this is recorded already for its
    /// expiry.
    NoteExpiry {
        /// The credential. It has an expiry.
        credential: CredentialFacts,
        /// Within how many days: 7 or 1.
        days: i64,
    },
    /// Records that an agent expires within so many days, 7 or 1, or with 0 that it is expired.
    /// `Unchanged` if this is recorded already for its expiry.
    NoteAgentExpiry(ExpiringAgent, i64),
}

impl UsageChange {
    /// The audit event of the change.
    pub(super) fn event(&self) -> Option<Event> {
        match self {
            Self::Add(_) => None,
            Self::NoteQuota {
                agent_id,
                month,
                percent,
                issued,
                limit,
            } => Some(Event::QuotaThreshold {
                agent_id: agent_id.clone(),
                month: *month,
                percent: *percent,
                issued: *issued,
                limit: *limit,
            }),
            Self::NoteExpiry { credential, .. } => {
                Some(Event::CredentialExpiring(credential.clone()))
            }
            Self::NoteAgentExpiry(expiring, days) => {
                let (agent_id, expires_at) = (expiring.agent_id.clone(), expiring.expires_at);
                Some(match days {
                    0 => Event::AgentExpired(agent_id, expires_at),
                    _ => Event::AgentExpiring(agent_id, expires_at),
                })
            }
        }
    }
}
