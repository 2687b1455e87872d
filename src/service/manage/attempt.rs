//! One try of a change to an agent: whether the agent exists for whoever asks, whether the change is
//! allowed, and the commit that compares what both rest on.
//!
//! Must not know which change it is, or the rules.

use std::sync::Arc;

use crate::domain::id::AgentId;
use crate::domain::permission::AgentOperation;
use crate::domain::rejection::RejectionCode;
use crate::store::{AgentRecord, CommitCondition, Freshness, Outcome, Write};

use super::agents::Agents;
use super::authority::{Authority, version_of};
use super::error::ManageError;
use super::request::ChangeRequest;

/// How often a change is decided again because somebody else changed the agent or the caller
/// meanwhile.
pub(super) const MAX_CONFLICTS: usize = 5;

/// What became of a write.
pub(super) struct Attempt {
    /// The outcome, or the outcome that the write would have.
    pub outcome: Outcome,
    /// The agent as it would be afterwards, if the write was only tried.
    pub tried: Option<Arc<AgentRecord>>,
}

impl Agents {
    /// The authority of a request, and the agent that it names. An agent out of reach does not
    /// exist, so it has no version either.
    pub(super) async fn reached(
        &self,
        agent_id: &AgentId,
        request: &ChangeRequest<'_>,
    ) -> Result<(Authority, Arc<AgentRecord>), ManageError> {
        let authority = self.authority(request).await?;
        let found = self.parts.store.agent(agent_id, Freshness::Fresh).await?;
        if let Some(record) = found.filter(|found| authority.reaches(&found.agent)) {
            return Ok((authority, record));
        }
        request.demand(None)?;
        Err(RejectionCode::AgentNotFound.into())
    }

    /// Rejects the operation unless the authority suffices for it and the request allows this
    /// version. Returns what must still be so in the commit.
    pub(super) fn allowed(
        &self,
        authority: &Authority,
        operation: &AgentOperation<'_>,
        target: &AgentRecord,
        request: &ChangeRequest<'_>,
    ) -> Result<Vec<CommitCondition>, ManageError> {
        let mut conditions = self.judge(authority, operation, Some(&target.agent))?;
        request.demand(Some(target.agent.version))?;
        if request.names_versions() {
            conditions.push(version_of(&target.agent));
        }
        Ok(conditions)
    }

    /// Commits the write, or only tries it. `None` if what it was decided upon changed meanwhile, so
    /// that it must be decided again.
    pub(super) async fn attempt(
        &self,
        write: Write,
        agent_id: &AgentId,
        request: &ChangeRequest<'_>,
    ) -> Result<Option<Attempt>, ManageError> {
        let (outcome, tried) = if request.is_dry_run() {
            let tried = self.parts.records.rehearse(&write, agent_id).await?;
            (tried.outcome, tried.agent)
        } else {
            (self.commit_write(write).await?, None)
        };
        match outcome {
            Outcome::TargetChanged if request.names_versions() => {
                Err(RejectionCode::VersionMismatch.into())
            }
            Outcome::TargetChanged | Outcome::CallerChanged => Ok(None),
            outcome => Ok(Some(Attempt { outcome, tried })),
        }
    }
}
