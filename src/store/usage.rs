//! Usage: what a store tells about one agent, and whom a warning may concern. Must not know SQL, or
//! when to warn.

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::event::facts::{CredentialFacts, TrustFacts};
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::quota::PlanName;
use crate::domain::time::{Month, Timestamp};
use crate::domain::usage::Day;

use super::credential::{federation_of_row, kind_of_row};
use super::error::StoreError;
use super::row::Broken;

/// How many days of usage are kept. Earlier ones may be removed.
pub(crate) const USAGE_DAYS: i64 = 400;

/// The same in seconds.
pub(super) const KEPT_USAGE: i64 = USAGE_DAYS * 86_400;

/// What the events told about usage, as far as the reader `ledger` has come.
#[async_trait]
pub trait ReadUsage: Send + Sync {
    /// The usage of one agent. The days are those from `from` to `to`, both included.
    async fn agent_usage(
        &self,
        agent_id: &AgentId,
        from: Day,
        to: Day,
    ) -> Result<AgentUsage, StoreError>;

    /// What these agents have used of the tokens of a month. Agents without tokens are absent.
    async fn quota_uses(
        &self,
        agent_ids: &[AgentId],
        month: Month,
    ) -> Result<Vec<QuotaUse>, StoreError>;

    /// How many agents that are not decommissioned have used at least so many of the month's tokens
    /// as `from` says for their plan. Agents whose use was not noted at all are left out: the ledger
    /// notes it at 80 %.
    async fn agents_near_quota(
        &self,
        month: Month,
        from: &[(PlanName, i64)],
    ) -> Result<i64, StoreError>;

    /// Up to `limit` credentials that expire after the first moment and not after the second one,
    /// and about which no note for this number of days is recorded.
    async fn expiring_credentials(
        &self,
        between: (Timestamp, Timestamp),
        days: i64,
        limit: i64,
    ) -> Result<Vec<ExpiringCredential>, StoreError>;

    /// Up to `limit` agents that expire after the first moment and not after the second one, and
    /// about which no note for this number of days is recorded; 0 days tell the expiry itself.
    async fn expiring_agents(
        &self,
        between: (Timestamp, Timestamp),
        days: i64,
        limit: i64,
    ) -> Result<Vec<ExpiringAgent>, StoreError>;
}

/// What the events told about one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentUsage {
    /// How many tokens it was issued on each day that has any, in order.
    pub issued: Vec<(Day, i64)>,
    /// How many of its requests were refused on each day that has any, by reason, in order.
    pub refused: Vec<(Day, String, i64)>,
    /// When it last got a token with each scope, in the byte order of the scopes.
    pub scopes: Vec<(String, Timestamp)>,
    /// When each of its credentials last opened a token.
    pub credentials: Vec<(CredentialId, Timestamp)>,
}

/// What an agent has used of a month's tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaUse {
    /// The agent.
    pub agent_id: AgentId,
    /// Its plan.
    pub plan: PlanName,
    /// How many tokens it was issued in the month.
    pub used: i64,
}

/// A credential of an agent that is not decommissioned, and its expiry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiringCredential {
    /// The credential.
    pub credential: CredentialFacts,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// An agent that is not decommissioned, and its expiry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiringAgent {
    /// The agent.
    pub agent_id: AgentId,
    /// When it expires.
    pub expires_at: Timestamp,
}

impl AgentUsage {
    /// The usage in these rows, which are in order.
    pub(in crate::store) fn of_rows(
        issued: Vec<(i64, i64)>,
        refused: Vec<(i64, String, i64)>,
        scopes: Vec<(String, i64)>,
        credentials: Vec<(Uuid, i64)>,
    ) -> Self {
        Self {
            issued: issued.into_iter().map(|(day, n)| (Day(day), n)).collect(),
            refused: refused
                .into_iter()
                .map(|(day, reason, n)| (Day(day), reason, n))
                .collect(),
            scopes: scopes
                .into_iter()
                .map(|(scope, at)| (scope, Timestamp(at)))
                .collect(),
            credentials: credentials
                .into_iter()
                .map(|(id, at)| (CredentialId(id), Timestamp(at)))
                .collect(),
        }
    }
}

impl QuotaUse {
    pub(in crate::store) fn of_row(
        (agent_id, plan, used): (String, String, i64),
    ) -> Result<Self, Broken> {
        Ok(Self {
            agent_id: AgentId::parse(&agent_id)?,
            plan: PlanName::parse(&plan)?,
            used,
        })
    }
}

/// The columns of a credential that expires: agent, id, when, its kind, its partner, and what is
/// trusted of it.
pub(in crate::store) type ExpiringColumns = (
    String,
    Uuid,
    i64,
    Option<String>,
    Option<Uuid>,
    Option<String>,
);

impl ExpiringCredential {
    pub(in crate::store) fn of_row(
        (agent_id, credential_id, expires_at, kind, partner_id, federation): ExpiringColumns,
    ) -> Result<Self, Broken> {
        // The event does without terms that cannot be read: all other agents' events wait for this one.
        let federation = federation_of_row(partner_id, federation).ok().flatten();
        let (agent_id, expires_at) = (AgentId::parse(&agent_id)?, Timestamp(expires_at));
        let credential = CredentialFacts {
            expires_at: Some(expires_at),
            kind: kind_of_row(kind.as_deref())?,
            trusts: federation.as_deref().map(TrustFacts::from),
            ..CredentialFacts::of_secret(agent_id, CredentialId(credential_id))
        };
        Ok(Self {
            credential,
            expires_at,
        })
    }
}

impl ExpiringAgent {
    pub(in crate::store) fn of_row((agent_id, expires_at): (String, i64)) -> Result<Self, Broken> {
        Ok(Self {
            agent_id: AgentId::parse(&agent_id)?,
            expires_at: Timestamp(expires_at),
        })
    }
}
