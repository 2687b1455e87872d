//! Credentials of agents: which there are, and what is decided about a new one. Must not know who
//! may ask, or how a credential is changed.

use crate::clock::Clock as _;
use crate::domain::agent::AgentStatus;
use crate::domain::credential::{CredentialKind, CredentialLabel};
use crate::domain::id::AgentId;
use crate::domain::partner::federation::Federation;
use crate::domain::time::Timestamp;
use crate::store::{CredentialQuery, ENDED_CREDENTIAL_TTL};

use crate::service::clients::secret::Secret;

use super::agents::Agents;
use super::client_keys::NewKeys;
use super::error::ManageError;
use super::view::CredentialView;

/// The longest that an old secret may live beside the new one, in seconds: 30 days.
pub(crate) const MAX_OVERLAP: i64 = 2_592_000;

/// How many live credentials are shown with an agent. The configuration allows fewer.
const MAX_SHOWN: i64 = 100;

/// What an operator decides about a new credential.
#[derive(Debug, Clone, Default)]
pub struct CredentialTerms {
    /// The public keys that it holds, if it holds keys.
    pub keys: Option<NewKeys>,
    /// What is trusted of a partner, if a partner's tokens prove it.
    pub federation: Option<Federation>,
    /// What the operator calls it.
    pub label: Option<CredentialLabel>,
    /// From when on it is refused; `None` means that it has no end.
    pub expires_at: Option<Timestamp>,
}

impl CredentialTerms {
    /// What the credential is checked with.
    pub fn kind(&self) -> CredentialKind {
        match (&self.keys, &self.federation) {
            (Some(_), _) => CredentialKind::PublicKey,
            (None, Some(_)) => CredentialKind::Federated,
            (None, None) => CredentialKind::Secret,
        }
    }
}

/// What an operator decides about a rotation.
#[derive(Debug, Clone, Default)]
pub struct Rotation {
    /// The new secret. If it is `None`, a secret is drawn, unless the terms have public keys.
    pub chosen: Option<Secret>,
    /// How many seconds the older credentials of this kind stay valid at most.
    pub overlap: i64,
    /// The rest about the new credential.
    pub terms: CredentialTerms,
}

/// Which credentials of an agent are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListedCredentials {
    /// Those that are live.
    Live,
    /// Also those that ended in the last 90 days.
    All,
}

/// A part of the list of an agent's credentials.
#[derive(Debug)]
pub struct CredentialPage {
    /// The credentials, the newest first.
    pub credentials: Vec<CredentialView>,
    /// Where the next part begins; `None` if this one is the last.
    pub next: Option<i64>,
}

impl Agents {
    /// Up to `limit` credentials of an agent, the newest first. `before` is the end of an earlier
    /// part.
    pub async fn credentials(
        &self,
        agent_id: &AgentId,
        listed: ListedCredentials,
        before: Option<i64>,
        limit: i64,
    ) -> Result<CredentialPage, ManageError> {
        let agent = &self.find(agent_id).await?.agent;
        // The secrets of a decommissioned agent ended with it, though their rows say nothing of it.
        let over_since = (agent.status == AgentStatus::Decommissioned).then_some(agent.updated_at);
        if over_since.is_some() && listed == ListedCredentials::Live {
            return Ok(CredentialPage {
                next: None,
                credentials: vec![],
            });
        }
        let now = self.parts.clock.now();
        let query = CredentialQuery {
            now,
            ended_after: match listed {
                ListedCredentials::Live => None,
                ListedCredentials::All => Some(now.saturating_add(-ENDED_CREDENTIAL_TTL)),
            },
            before,
            // One more than asked for tells whether there are more.
            limit: limit.saturating_add(1),
        };
        let mut records = self.parts.records.credentials(agent_id, query).await?;
        let most = usize::try_from(limit).unwrap_or_default();
        let is_last = records.len() <= most;
        records.truncate(most);
        let last = records.last().map(|record| record.position);
        Ok(CredentialPage {
            next: last.filter(|_| !is_last),
            credentials: records
                .into_iter()
                .map(|record| CredentialView {
                    ended_at: record.ended_at.or(over_since),
                    ..CredentialView::from(record)
                })
                .collect(),
        })
    }

    /// The live credentials of an agent that is not decommissioned, the newest first.
    pub(super) async fn live_credentials(
        &self,
        agent_id: &AgentId,
    ) -> Result<Vec<CredentialView>, ManageError> {
        let query = CredentialQuery {
            now: self.parts.clock.now(),
            ended_after: None,
            before: None,
            limit: MAX_SHOWN,
        };
        let records = self.parts.records.credentials(agent_id, query).await?;
        Ok(records.into_iter().map(CredentialView::from).collect())
    }
}
