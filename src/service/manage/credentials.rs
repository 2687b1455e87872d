//! Credentials of agents: listing, making, rotating and ending them. Must not know who may ask, or
//! how a secret is made.

use crate::clock::Clock as _;
use crate::domain::act::Act;
use crate::domain::agent::LiveTokens;
use crate::domain::credential::{Credential, CredentialLabel};
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::rejection::{FieldError, Rejection, RejectionCode};
use crate::domain::time::Timestamp;
use crate::store::{
    AgentRecord, Change, CredentialChange, CredentialQuery, ENDED_CREDENTIAL_TTL, Outcome,
};

use crate::service::clients::secret::Secret;

use super::agents::Agents;
use super::checks::{accepted, demand_none};
use super::error::ManageError;
use super::view::{CredentialView, NewSecret};

/// The longest that an old secret may live beside the new one, in seconds: 30 days.
pub(crate) const MAX_OVERLAP: i64 = 2_592_000;

/// How many live credentials are shown with an agent. The configuration allows fewer.
const MAX_SHOWN: i64 = 100;

/// What an operator decides about a new secret.
#[derive(Debug, Clone, Default)]
pub struct SecretTerms {
    /// What the operator calls it.
    pub label: Option<CredentialLabel>,
    /// From when on it is refused; `None` means that it has no end.
    pub expires_at: Option<Timestamp>,
}

/// What an operator decides about a rotation.
#[derive(Debug, Clone, Default)]
pub struct Rotation {
    /// The new secret. If it is `None`, a secret is drawn.
    pub chosen: Option<Secret>,
    /// How many seconds the older secrets stay valid at most.
    pub overlap: i64,
    /// The rest about the new secret.
    pub terms: SecretTerms,
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
        self.find(agent_id).await?;
        let now = self.parts.clock.now();
        let query = CredentialQuery {
            now,
            ended_after: match listed {
                ListedCredentials::Live => None,
                ListedCredentials::All => Some(now.saturating_add(-ENDED_CREDENTIAL_TTL)),
            },
            before,
            limit,
        };
        let records = self.parts.records.credentials(agent_id, query).await?;
        let is_full = i64::try_from(records.len()).is_ok_and(|found| found >= limit);
        let last = records.last().map(|record| record.position);
        Ok(CredentialPage {
            next: last.filter(|_| is_full),
            credentials: records.into_iter().map(CredentialView::from).collect(),
        })
    }

    /// The live credentials of an agent, the newest first.
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

    /// Gives an agent one more secret, if fewer than the configured number are live.
    pub async fn create_credential(
        &self,
        agent_id: &AgentId,
        terms: SecretTerms,
        act: &Act,
    ) -> Result<NewSecret, ManageError> {
        demand_none(self.terms_errors(&terms))?;
        // Checked before the secret is hashed, and again by the commit.
        let record = self.find_living(agent_id).await?;
        if self.is_full(&record) {
            return Err(self.too_many(&record, IN_ALL).into());
        }
        let (secret, mut credential) = self.make_credential(agent_id, None).await?;
        credential.expires_at = terms.expires_at;
        let view = CredentialView::of_new(&credential, terms.label.clone(), act);
        let change = Change::Credential(CredentialChange::Create {
            credential: Box::new(credential),
            label: terms.label,
            max_live: self.parts.credentials_per_agent,
        });
        match self.commit(change, act).await? {
            Outcome::TooMany => {
                let record = self.find(agent_id).await?;
                return Err(self.too_many(&record, IN_ALL).into());
            }
            outcome => accepted(outcome)?,
        }
        Ok(NewSecret {
            agent_id: agent_id.clone(),
            credential: view,
            secret,
            old_expires_at: None,
            warnings: vec![],
        })
    }

    /// Gives an agent a new secret, chosen or drawn. Each live secret ends at its own end or after
    /// the overlap, whichever is first.
    pub async fn rotate_secret(
        &self,
        agent_id: &AgentId,
        rotation: Rotation,
        act: &Act,
    ) -> Result<NewSecret, ManageError> {
        let Rotation {
            chosen,
            overlap,
            terms,
        } = rotation;
        let mut errors = self.terms_errors(&terms);
        if !(0..=MAX_OVERLAP).contains(&overlap) {
            let rule = "an overlap is 0 to 2592000 seconds";
            errors.push(FieldError::new("/overlapSeconds", rule));
        }
        demand_none(errors)?;
        // Checked before the secret is hashed, and again by the commit.
        let record = self.find_living(agent_id).await?;
        if overlap > 0 && self.is_full(&record) {
            return Err(self.too_many(&record, WITH_OVERLAP).into());
        }
        let (secret, mut credential) = self.make_credential(agent_id, chosen).await?;
        credential.expires_at = terms.expires_at;
        let view = CredentialView::of_new(&credential, terms.label.clone(), act);
        let change = Change::Credential(CredentialChange::Rotate {
            credential: Box::new(credential),
            label: terms.label,
            overlap,
            max_live: self.parts.credentials_per_agent,
        });
        match self.commit(change, act).await? {
            Outcome::TooMany => {
                let record = self.find(agent_id).await?;
                return Err(self.too_many(&record, WITH_OVERLAP).into());
            }
            outcome => accepted(outcome)?,
        }
        // The store has decided when the old secrets end. If the row cannot be read now, the new
        // secret is returned all the same, because it has been made.
        let (record, now) = (self.find(agent_id).await, self.parts.clock.now());
        let old = record.iter().flat_map(|record| &record.credentials);
        let ends = old
            .filter(|old| old.credential_id != view.credential_id)
            .filter_map(|old| old.expires_at);
        let old_expires_at = ends.max().unwrap_or(if record.is_ok() {
            now
        } else {
            now.saturating_add(overlap)
        });
        Ok(NewSecret {
            agent_id: agent_id.clone(),
            credential: view,
            secret,
            old_expires_at: Some(old_expires_at),
            warnings: vec![],
        })
    }

    /// Ends a credential at once, and kills the agent's live tokens if that is asked. A credential
    /// that has ended before stays as it is.
    pub async fn end_credential(
        &self,
        agent_id: &AgentId,
        credential_id: CredentialId,
        tokens: LiveTokens,
        act: &Act,
    ) -> Result<(), ManageError> {
        self.find(agent_id).await?;
        let change = Change::Credential(CredentialChange::End {
            agent_id: agent_id.clone(),
            credential_id,
            tokens,
        });
        match self.commit(change, act).await? {
            Outcome::NotFound => Err(RejectionCode::CredentialNotFound.into()),
            outcome => Ok(accepted(outcome)?),
        }
    }

    fn terms_errors(&self, terms: &SecretTerms) -> Vec<FieldError> {
        let is_over = |end: Timestamp| end <= self.parts.clock.now();
        let rule = "a secret ends later than now";
        let error = FieldError::new("/expiresAt", rule);
        Vec::from_iter(terms.expires_at.is_some_and(is_over).then_some(error))
    }

    /// Whether an agent has as many live secrets as it may have.
    fn is_full(&self, record: &AgentRecord) -> bool {
        let now = self.parts.clock.now();
        let live = record.credentials.iter().filter(|c| c.is_live(now)).count();
        i64::try_from(live).is_ok_and(|live| live >= self.parts.credentials_per_agent)
    }

    /// The rejection that names the secrets that would have to end before there may be one more.
    fn too_many(&self, record: &AgentRecord, (when, remedy): (&str, &str)) -> Rejection {
        let (now, limit) = (self.parts.clock.now(), self.parts.credentials_per_agent);
        // Sorted by their end, and from the oldest on if the end is the same. A secret without an
        // end is last.
        let mut live: Vec<&Credential> = record
            .credentials
            .iter()
            .rev()
            .filter(|c| c.is_live(now))
            .collect();
        live.sort_by_key(|credential| credential.expires_at.map_or(i64::MAX, |end| end.0));
        let allowed = usize::try_from(limit.saturating_sub(1)).unwrap_or_default();
        live.truncate(live.len().saturating_sub(allowed).max(1));
        let shown = |credential: &&Credential| {
            let ends = credential.expires_at.map_or_else(
                || "has no end".to_owned(),
                |end| format!("ends {}", end.to_rfc3339()),
            );
            format!(
                "{} (created {}, {ends})",
                credential.credential_id,
                credential.created_at.to_rfc3339()
            )
        };
        let first_to_end = live.iter().map(shown).collect::<Vec<_>>().join(", ");
        let message = format!(
            "an agent has {limit} live secrets at most (limits.credentials_per_agent), and {when} there would be \
             more: {first_to_end} would have to end first{remedy}"
        );
        let ids = live.iter().map(|credential| credential.credential_id);
        let ids: serde_json::Value = ids.map(|id| id.to_string()).collect();
        Rejection::with(RejectionCode::TooManyCredentials, message).and(vec![("credentials", ids)])
    }
}

/// When there would be too many secrets, and what else is possible.
const IN_ALL: (&str, &str) = ("with one more", "");
const WITH_OVERLAP: (&str, &str) = ("with an overlap", "; without an overlap all end at once");
