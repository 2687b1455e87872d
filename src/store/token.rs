//! What the path of a token reads and writes: an agent with its credentials, a batch of grants and
//! the verdict about each, and the standing of a token.
//!
//! Owns the receipt. Without a receipt, a token cannot be signed. Must not know how a store counts.

use std::sync::Arc;

use crate::domain::agent::{Agent, AgentStatus, Epoch};
use crate::domain::credential::Credential;
use crate::domain::grant::Grant;
use crate::domain::id::{AgentId, BatchId, Jti};
use crate::domain::org::{OrgId, OrgStanding, OrgStatus};
use crate::domain::refusal::Refusal;
use crate::domain::time::{Moment, Timestamp};

/// The most grants in one batch, and the most tokens in one look-up.
pub(super) const MAX_BATCH: usize = 256;

/// A spent code or assertion is remembered for this many seconds past its expiry. This is far longer than the
/// clocks of two processes may differ, so no process takes the code for a live one.
pub const SPENT_GRACE: i64 = 3_600;

/// How many different costs of imported hashes are told apart. Real hashes have fewer different
/// costs; only hashes made to differ on purpose exceed this number.
pub(super) const MAX_COSTS: i64 = 32;

/// Whether a read may be answered from the cache. A cached row may only lead to a yes: before any
/// refusal that rests on stored state, the row is read [`Freshness::Fresh`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// A cached row is enough.
    Cached,
    /// From the store of record.
    Fresh,
}

/// An agent with its credentials, read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRecord {
    /// The agent.
    pub agent: Agent,
    /// The standing of its organization.
    pub org: OrgStanding,
    /// Its credentials, newest first; expired ones may be among them.
    pub credentials: Box<[Credential]>,
}

impl AgentRecord {
    /// Refuses an agent that is suspended, decommissioned or expired, or whose organization is
    /// suspended. The clock is read only for an agent that has an end.
    pub fn admit(&self, now: impl FnOnce() -> Timestamp) -> Result<(), Refusal> {
        self.agent.admit(now)?;
        match self.org.status {
            OrgStatus::Active => Ok(()),
            OrgStatus::Suspended => Err(Refusal::AgentSuspended),
        }
    }
}

/// Tokens to count and record in one atomic statement.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The batch's id. A batch that is sent again under the same id counts once.
    pub id: BatchId,
    /// The process's own clock, or an earlier time if an agent of the batch expires: the only time
    /// that is not the store's. A store with a clock of its
    /// own takes the smaller of the two as `iat`, and counts in the month that its own clock shows.
    pub now: Moment,
    /// The version of the signing keys that this process knows. If the store has another one,
    /// nothing is counted: no token may be signed with keys that are not the store's any more.
    pub keys_version: i64,
    /// The decided grants, at most [`MAX_BATCH`].
    pub grants: Vec<Arc<Grant>>,
}

impl Batch {
    /// A batch with one grant.
    pub fn of(id: BatchId, now: Moment, keys_version: i64, grant: Arc<Grant>) -> Self {
        Self {
            id,
            now,
            keys_version,
            grants: vec![grant],
        }
    }
}

/// The result for one grant of a batch, in the batch's order.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// Counted and recorded.
    Counted(Receipt),
    /// The agent, the catalogue or the signing keys changed since the decision: decide again on
    /// fresh rows.
    Stale,
    /// The month's tokens are used up. Nothing was counted.
    QuotaReached,
    /// The authorization code or the client assertion was exchanged before, or by an earlier grant of
    /// the batch. Nothing was counted.
    Spent,
    /// Another open transaction holds the agent's counter. Nothing was counted. The other grants of
    /// the batch did not wait for it.
    Locked,
}

/// Proof that a store counted a token. Only stores make receipts.
#[derive(Debug, Clone, Copy)]
pub struct Receipt {
    jti: Jti,
    epoch: Epoch,
    iat: Timestamp,
    used: Option<i64>,
}

impl Receipt {
    /// The receipt for a token that a committed statement counted under `epoch` at `iat`, which
    /// made the month's counter `used`.
    pub(in crate::store) fn new(jti: Jti, epoch: Epoch, iat: Timestamp, used: Option<i64>) -> Self {
        Self {
            jti,
            epoch,
            iat,
            used,
        }
    }

    /// How many tokens the agent has got this month, with this one. `None` if the statement's answer
    /// was lost, and only its commit is known.
    pub fn used(&self) -> Option<i64> {
        self.used
    }
}

/// A grant that was counted. The keyring signs only this type. Only [`Recorded::new`] makes one.
#[derive(Debug)]
pub struct Recorded {
    grant: Arc<Grant>,
    epoch: Epoch,
    iat: Timestamp,
}

impl Recorded {
    /// Joins a grant with its receipt; `None` if the receipt is another token's.
    pub fn new(grant: Arc<Grant>, receipt: Receipt) -> Option<Self> {
        (grant.jti() == receipt.jti).then_some(Self {
            grant,
            epoch: receipt.epoch,
            iat: receipt.iat,
        })
    }

    /// The grant.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }
    /// The agent's epoch as the counting statement saw it.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
    /// The `iat` claim.
    pub fn issued_at(&self) -> Timestamp {
        self.iat
    }
    /// The `exp` claim: `iat` plus the granted lifetime.
    pub fn expires_at(&self) -> Timestamp {
        self.iat.saturating_add(self.grant.ttl())
    }
}

/// A token to look up: its id and the agent that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRef {
    /// The token.
    pub jti: Jti,
    /// Its `client_id`.
    pub agent_id: AgentId,
}

/// The state of a token and its agent, read together from the store of record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether the token was revoked individually.
    pub revoked: bool,
    /// The agent's status and epoch; `None` if no such agent exists.
    pub agent: Option<(AgentStatus, Epoch)>,
    /// The agent's organisation; `None` if no such agent exists.
    pub org_id: Option<OrgId>,
    /// The standing of that organization.
    pub org: OrgStanding,
    /// When the agent expires, and its tokens with it; `None` means never.
    pub expires_at: Option<Timestamp>,
    /// The version of the store's signing keys. A process that knows another one cannot tell
    /// whether the key that signed the token is still a key of the store.
    pub keys_version: i64,
}
