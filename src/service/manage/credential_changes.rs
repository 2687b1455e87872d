//! Making, rotating and ending credentials of agents. Owns the order of steps. Must not know who may
//! ask, how a secret is made, or how many secrets are too many.

use std::sync::Arc;

use crate::clock::Clock as _;
use crate::domain::act::Act;
use crate::domain::agent::{Agent, LiveTokens};
use crate::domain::credential::CredentialKind;
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::permission::AgentOperation;
use crate::domain::rejection::{FieldError, RejectionCode};
use crate::domain::time::Timestamp;
use crate::service;
use crate::store::{AgentRecord, Change, CredentialChange, Freshness, Outcome, Write};

use super::agents::Agents;
use super::attempt::MAX_CONFLICTS;
use super::authority::holdings;
use super::checks::{accepted, demand_none};
use super::credential_limit::{IN_ALL, WITH_OVERLAP};
use super::credentials::{CredentialTerms, MAX_OVERLAP, Rotation};
use super::error::ManageError;
use super::keeping::Keep;
use super::request::ChangeRequest;
use super::view::{CredentialView, NewSecret};

impl Agents {
    /// Whether an agent may be given a credential of this kind by whoever asks. To be asked before a kept reply is
    /// sent again.
    pub async fn may_give_credential(
        &self,
        agent_id: &AgentId,
        kind: CredentialKind,
        request: &ChangeRequest<'_>,
    ) -> Result<(), ManageError> {
        let authority = self.authority(request).await?;
        let found = self.parts.store.agent(agent_id, Freshness::Fresh).await?;
        let reached = found.filter(|found| authority.reaches(&found.agent));
        let record = reached.ok_or(RejectionCode::AgentNotFound)?;
        self.judge(&authority, &gift(&record.agent, kind), Some(&record.agent))
            .map(drop)
    }

    /// Gives an agent one more credential, if fewer of its kind than the configured number are live.
    pub async fn create_credential(
        &self,
        agent_id: &AgentId,
        terms: CredentialTerms,
        request: impl Into<ChangeRequest<'_>>,
        keep: Keep<'_, NewSecret>,
    ) -> Result<NewSecret, ManageError> {
        let request = request.into();
        demand_none(self.terms_errors(&terms))?;
        // Checked before the secret is hashed, and again by the commit.
        let kind = terms.kind();
        let record = self.recipient(agent_id, kind, &request).await?;
        demand_none(self.federation_errors(&record.agent, &terms).await?)?;
        if self.is_full(&record, kind) {
            return Err(self.too_many(&record, kind, IN_ALL).into());
        }
        let (secret, mut credential) = self
            .make_or_sketch_credential(agent_id, None, &terms, &request)
            .await?;
        credential.expires_at = terms.expires_at;
        let made = NewSecret {
            agent_id: agent_id.clone(),
            credential: CredentialView::of_new(&credential, terms.label.clone(), request.act),
            secret,
            old_expires_at: None,
            warnings: vec![],
        };
        let change = Change::Credential(CredentialChange::Create {
            credential: Box::new(credential),
            label: terms.label,
            max_live: self.parts.credentials_per_agent,
        });
        let outcome = self
            .give_credential(agent_id, kind, request, |_, act| {
                keep.keeping(self.write(change.clone(), act), &made)
            })
            .await?;
        if outcome == Outcome::TooMany {
            let record = self.find(agent_id).await?;
            return Err(self.too_many(&record, kind, IN_ALL).into());
        }
        accepted(outcome)?;
        Ok(made)
    }

    /// Gives an agent a new credential. Each live credential of its kind ends at its own end or after
    /// the overlap, whichever is first.
    pub async fn rotate_credential(
        &self,
        agent_id: &AgentId,
        rotation: Rotation,
        request: impl Into<ChangeRequest<'_>>,
        keep: Keep<'_, NewSecret>,
    ) -> Result<NewSecret, ManageError> {
        let request = request.into();
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
        let kind = terms.kind();
        let record = self.recipient(agent_id, kind, &request).await?;
        if overlap > 0 && self.is_full(&record, kind) {
            return Err(self.too_many(&record, kind, WITH_OVERLAP).into());
        }
        let (secret, mut credential) = self
            .make_or_sketch_credential(agent_id, chosen, &terms, &request)
            .await?;
        credential.expires_at = terms.expires_at;
        let mut made = NewSecret {
            agent_id: agent_id.clone(),
            credential: CredentialView::of_new(&credential, terms.label.clone(), request.act),
            secret,
            old_expires_at: None,
            warnings: vec![],
        };
        let change = Change::Credential(CredentialChange::Rotate {
            credential: Box::new(credential),
            label: terms.label,
            overlap,
            max_live: self.parts.credentials_per_agent,
        });
        let outcome = self
            .give_credential(agent_id, kind, request, |record, act| {
                made.old_expires_at = Some(self.last_end(record, kind, overlap));
                keep.keeping(self.write(change.clone(), act), &made)
            })
            .await?;
        if outcome == Outcome::TooMany {
            let record = self.find(agent_id).await?;
            return Err(self.too_many(&record, kind, WITH_OVERLAP).into());
        }
        accepted(outcome)?;
        Ok(made)
    }

    /// Ends a credential at once, and kills the agent's live tokens if that is asked. A credential
    /// that has ended before stays as it is. Returns whether tokens were killed.
    pub async fn end_credential(
        &self,
        agent_id: &AgentId,
        credential_id: CredentialId,
        tokens: LiveTokens,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<bool, ManageError> {
        let request = request.into();
        for _ in 0..MAX_CONFLICTS {
            let (authority, record) = self.reached(agent_id, &request).await?;
            let operation = AgentOperation::EndCredential {
                target: holdings(&record.agent),
                tokens,
            };
            let conditions = self.allowed(&authority, &operation, &record, &request)?;
            let change = CredentialChange::End {
                agent_id: agent_id.clone(),
                credential_id,
                tokens,
            };
            let write = self.write(Change::Credential(change), request.act);
            let write = write.only_if(conditions);
            let Some(attempt) = self.attempt(write, agent_id, &request).await? else {
                continue;
            };
            if attempt.outcome == Outcome::NotFound {
                return Err(RejectionCode::CredentialNotFound.into());
            }
            accepted(attempt.outcome)?;
            let is_kill = tokens == LiveTokens::Kill && attempt.outcome == Outcome::Applied;
            return Ok(is_kill && !request.is_dry_run());
        }
        Err(RejectionCode::AgentKeptChanging.into())
    }

    /// The agent that a request wants to give a credential, if it may and if the agent may have one.
    async fn recipient(
        &self,
        agent_id: &AgentId,
        kind: CredentialKind,
        request: &ChangeRequest<'_>,
    ) -> Result<Arc<AgentRecord>, ManageError> {
        let (authority, record) = self.reached(agent_id, request).await?;
        self.allowed(&authority, &gift(&record.agent, kind), &record, request)?;
        if record.agent.status.is_final() {
            return Err(RejectionCode::AgentDecommissioned.into());
        }
        Ok(record)
    }

    /// Commits a change that gives an agent a credential. `write` makes it from the agent that it is
    /// decided upon.
    async fn give_credential(
        &self,
        agent_id: &AgentId,
        kind: CredentialKind,
        request: ChangeRequest<'_>,
        mut write: impl FnMut(&AgentRecord, &Act) -> Result<Write, service::Error>,
    ) -> Result<Outcome, ManageError> {
        for _ in 0..MAX_CONFLICTS {
            let (authority, record) = self.reached(agent_id, &request).await?;
            let operation = gift(&record.agent, kind);
            let conditions = self.allowed(&authority, &operation, &record, &request)?;
            let write = write(&record, request.act)?.only_if(conditions);
            if let Some(attempt) = self.attempt(write, agent_id, &request).await? {
                return Ok(attempt.outcome);
            }
        }
        Err(RejectionCode::AgentKeptChanging.into())
    }

    /// When the last of an agent's live credentials of a kind ends if they are rotated now.
    fn last_end(&self, record: &AgentRecord, kind: CredentialKind, overlap: i64) -> Timestamp {
        let now = self.parts.clock.now();
        let latest = now.saturating_add(overlap);
        let live = record.credentials.iter();
        let live = live.filter(|c| c.kind() == kind && c.is_live(now));
        let ends = live.map(|c| c.expires_at.map_or(latest, |end| end.min(latest)));
        ends.max().unwrap_or(now)
    }

    fn terms_errors(&self, terms: &CredentialTerms) -> Vec<FieldError> {
        let is_over = |end: Timestamp| end <= self.parts.clock.now();
        let rule = "a credential ends later than now";
        let error = FieldError::new("/expiresAt", rule);
        Vec::from_iter(terms.expires_at.is_some_and(is_over).then_some(error))
    }
}

fn gift(agent: &Agent, kind: CredentialKind) -> AgentOperation<'_> {
    match kind {
        CredentialKind::Secret => AgentOperation::GiveCredential(holdings(agent)),
        CredentialKind::PublicKey | CredentialKind::Federated => {
            AgentOperation::GiveKeys(holdings(agent))
        }
    }
}
