//! The terms of a token as its event tells them, decoded once for all tokens that have them.
//!
//! Must not know rows.

use std::sync::Arc;

use crate::domain::id::AgentId;

use super::logged::{Detail, LoggedEvent};

/// What the terms of a token tell in its event. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedTerms {
    /// The agent.
    pub(super) agent_id: AgentId,
    /// The granted scopes, joined by spaces.
    pub(super) scope: Arc<str>,
    /// The audiences and the lifetime.
    pub(super) detail: Detail,
}

impl DecodedTerms {
    /// The terms that this event of a token tells.
    pub(super) fn of(told: LoggedEvent) -> Option<Self> {
        Some(Self {
            agent_id: told.agent_id?,
            scope: told.scope?,
            detail: told.detail?,
        })
    }
}
