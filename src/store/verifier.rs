//! Verifiers, as their reports are kept. Must not know SQL, or who enforces what.

use async_trait::async_trait;

use crate::domain::id::AgentId;
use crate::domain::time::Moment;
use crate::domain::verifier::{VerifierId, VerifierName, VerifierReport};

use super::error::StoreError;
use super::row::Broken;

/// The reports of verifiers.
#[async_trait]
pub trait Verifiers: Send + Sync {
    /// The reports of all verifiers that were seen after this moment, those of names that nobody has
    /// proven included.
    async fn verifiers(&self, seen_after: Moment) -> Result<Vec<VerifierReport>, StoreError>;

    /// Keeps these reports, in one statement. A report that is older than the kept one of its
    /// verifier changes nothing. Of new verifiers, only so many are kept that there are few more than
    /// may be known.
    async fn put_reports(&self, reports: &[VerifierReport]) -> Result<(), StoreError>;
}

/// The columns of a report, in the order of the table.
pub(in crate::store) type ReportColumns = (String, String, i64, i64, i64, i64, i64);

/// What a name without an agent has in the column of the agent.
const NOBODY: &str = "";

/// A report from its columns.
pub(in crate::store) fn report(columns: ReportColumns) -> Result<VerifierReport, Broken> {
    let (agent_id, name, version, previous, version_at, seen_at, every) = columns;
    let agent_id = match agent_id.as_str() {
        NOBODY => None,
        agent_id => Some(AgentId::parse(agent_id)?),
    };
    let name = VerifierName::parse(&name).ok_or("a verifier's name has two parts")?;
    Ok(VerifierReport {
        id: VerifierId { agent_id, name },
        version,
        previous,
        version_at: Moment(version_at),
        seen_at: Moment(seen_at),
        every,
    })
}

/// The column of the agent.
pub(in crate::store) fn agent_column(id: &VerifierId) -> &str {
    id.agent_id.as_ref().map_or(NOBODY, AgentId::as_str)
}
