//! Writes that are only tried. Must not know SQL, or who asks.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::id::AgentId;

use super::error::StoreError;
use super::token::AgentRecord;
use super::write::{Outcome, Write};

/// What a write would do.
#[async_trait]
pub trait Rehearse: Send + Sync {
    /// Applies the write in a transaction that is rolled back, so that every rule of the commit
    /// takes part and nothing is written.
    async fn rehearse(&self, write: &Write, agent_id: &AgentId) -> Result<Rehearsal, StoreError>;
}

/// What a write would do.
#[derive(Debug)]
pub struct Rehearsal {
    /// The outcome that the write would have.
    pub outcome: Outcome,
    /// The agent as it would be afterwards.
    pub agent: Option<Arc<AgentRecord>>,
}
