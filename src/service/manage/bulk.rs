//! Many agents at once, for an incident: every agent that meets a filter is suspended, or its live
//! tokens are killed. It goes in pieces, so that no request and no commit has an unbounded size.
//!
//! Owns the size of pieces and commits. Must not know who is shown the result.

use std::time::{Duration, Instant};

use crate::domain::agent::{Agent, AgentStatus, SuspendedBy};
use crate::domain::agent_filter::{AgentFilter, MAX_IDS};
use crate::domain::id::AgentId;
use crate::domain::permission::AgentOperation;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::service::tokens::Caller;
use crate::store::{AgentChange, Change, Outcome, Write};

use super::agents::Agents;
use super::attempt::MAX_CONFLICTS;
use super::authority::{Authority, holdings};
use super::error::ManageError;
use super::request::ChangeRequest;

/// The most agents of a piece.
const MAX_PIECE_AGENTS: i64 = 1_000;

/// The most agents that one commit changes. Others that stop agents wait for it.
const MAX_COMMIT_AGENTS: usize = 100;

/// A piece that takes longer ends behind the commit that it has just done, before the request ends.
const PIECE_TIMEOUT: Duration = Duration::from_millis(1_200);

/// What is done to each agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BulkAction {
    /// It is stopped, and its live tokens are killed.
    Suspend,
    /// Its live tokens are killed.
    RevokeTokens,
}

impl BulkAction {
    /// Every action.
    pub(crate) const ALL: [Self; 2] = [Self::Suspend, Self::RevokeTokens];

    /// The word in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::RevokeTokens => "revoke-tokens",
        }
    }

    fn change(self, agent_id: AgentId, by: SuspendedBy) -> AgentChange {
        match self {
            Self::Suspend => AgentChange::Suspend(agent_id, by),
            Self::RevokeTokens => AgentChange::RevokeTokens(agent_id),
        }
    }
}

/// What became of the agents of one piece, in the order of their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BulkPiece {
    /// How many agents meet the filter. Decommissioned ones do not count: nothing can happen to
    /// them.
    pub matched: usize,
    /// Those that were changed; in a dry run, those that would be.
    pub changed: Vec<AgentId>,
    /// Those that the caller may not stop: they are allowed an admin scope and the caller has none.
    /// The caller's own agent is among them too, since it could not go on otherwise.
    pub refused: Vec<AgentId>,
    /// The next piece begins behind this id. `None` if there is none.
    pub next: Option<AgentId>,
}

impl BulkPiece {
    /// Adds the piece behind this one.
    pub(crate) fn append(&mut self, next: Self) {
        self.matched = self.matched.saturating_add(next.matched);
        self.changed.extend(next.changed);
        self.refused.extend(next.refused);
        self.next = next.next;
    }
}

/// What a commit was decided to do.
enum Decision {
    Refused(AgentId),
    Write(Agent, Box<Write>),
}

impl Agents {
    /// Does this to the next agents that meet the filter and that the caller reaches, beginning
    /// behind the id `after`. Each commit holds whole agents; a piece that breaks off can be asked
    /// for again.
    pub async fn change_many(
        &self,
        action: BulkAction,
        filter: &AgentFilter,
        after: Option<&AgentId>,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<BulkPiece, ManageError> {
        let request = request.into();
        // There is no version that a precondition could name.
        request.demand(None)?;
        if *filter == AgentFilter::default() {
            let reason = "is empty: it would find every agent";
            return Err(Rejection::of_field("/filter", reason).into());
        }
        if filter.ids.len() > MAX_IDS {
            return Err(Rejection::of_field("/filter/ids", "has more than 100 items").into());
        }
        let began = Instant::now();
        let own = request.caller.and_then(Caller::limited_to);
        let found = self
            .parts
            .records
            .agents_where(filter, own, after, MAX_PIECE_AGENTS);
        let found = found.await?;
        let is_full = usize::try_from(MAX_PIECE_AGENTS).is_ok_and(|max| found.agents.len() >= max);
        let behind = match found.agents.last() {
            Some(last) if is_full => Some(last.agent_id.clone()),
            _ => found.through,
        };
        let mut piece = BulkPiece::default();
        for part in found.agents.chunks(MAX_COMMIT_AGENTS) {
            piece.append(self.change_part(action, filter, part, request).await?);
            let last = part.last().map(|agent| &agent.agent_id);
            let is_last = last == found.agents.last().map(|agent| &agent.agent_id);
            if !is_last && began.elapsed() > PIECE_TIMEOUT {
                piece.next = last.cloned();
                return Ok(piece);
            }
        }
        piece.next = behind;
        Ok(piece)
    }

    /// Changes these agents in one commit. Agents that somebody else changed meanwhile are decided
    /// again, if they still meet the filter.
    async fn change_part(
        &self,
        action: BulkAction,
        filter: &AgentFilter,
        part: &[Agent],
        request: ChangeRequest<'_>,
    ) -> Result<BulkPiece, ManageError> {
        let own = request.caller.and_then(Caller::limited_to);
        let (mut piece, mut open) = (BulkPiece::default(), part.to_vec());
        for _ in 0..MAX_CONFLICTS {
            open.retain(|agent| agent.status != AgentStatus::Decommissioned);
            let authority = self.authority(&request).await?;
            let (mut agents, mut writes) = (Vec::new(), Vec::new());
            for agent in open {
                match self.decide(action, &authority, agent, request)? {
                    Decision::Refused(agent_id) => piece.refused.push(agent_id),
                    Decision::Write(agent, write) => {
                        agents.push(agent);
                        writes.push(*write);
                    }
                }
            }
            let outcomes = if request.is_dry_run() {
                let tried = agents.iter().zip(&writes);
                tried
                    .map(|(agent, write)| outcome_for(agent, write))
                    .collect()
            } else {
                self.parts.store.commit(writes).await?
            };
            let mut again = Vec::new();
            for (agent, outcome) in agents.into_iter().zip(outcomes) {
                match outcome {
                    Outcome::TargetChanged | Outcome::CallerChanged => again.push(agent.agent_id),
                    Outcome::Applied => {
                        piece.matched = piece.matched.saturating_add(1);
                        piece.changed.push(agent.agent_id);
                    }
                    _ => piece.matched = piece.matched.saturating_add(1),
                }
            }
            if again.is_empty() {
                piece.matched = piece.matched.saturating_add(piece.refused.len());
                piece.changed.sort_unstable();
                piece.refused.sort_unstable();
                return Ok(piece);
            }
            let filter = AgentFilter {
                ids: again,
                ..filter.clone()
            };
            let records = &self.parts.records;
            let found = records.agents_where(&filter, own, None, MAX_PIECE_AGENTS);
            open = found.await?.agents;
        }
        Err(RejectionCode::AgentKeptChanging.into())
    }

    fn decide(
        &self,
        action: BulkAction,
        authority: &Authority,
        agent: Agent,
        request: ChangeRequest<'_>,
    ) -> Result<Decision, ManageError> {
        let by = match request.caller {
            Some(caller) if *caller.agent_id() == agent.agent_id => {
                return Ok(Decision::Refused(agent.agent_id));
            }
            Some(caller) if !caller.is_admin() => SuspendedBy::Agent,
            _ => SuspendedBy::Operator,
        };
        let operation = AgentOperation::Kill(holdings(&agent));
        match self.judge(authority, &operation, Some(&agent)) {
            Ok(conditions) => {
                let change = action.change(agent.agent_id.clone(), by);
                let write = self.write(Change::Agent(change), request.act);
                Ok(Decision::Write(agent, Box::new(write.only_if(conditions))))
            }
            Err(ManageError::Rejected(why)) if why.code == RejectionCode::Forbidden => {
                Ok(Decision::Refused(agent.agent_id))
            }
            Err(error) => Err(error),
        }
    }
}

/// The outcome of the write if nothing changes before it.
fn outcome_for(agent: &Agent, write: &Write) -> Outcome {
    match &write.change {
        Change::Agent(change) => change.kill_outcome(agent),
        _ => Outcome::Unchanged,
    }
}
