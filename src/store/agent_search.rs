//! Agents as a list finds them, in windows, so that each call reads a bounded number of rows. Must
//! not know SQL.

use crate::domain::about::Label;
use crate::domain::agent::Agent;
use crate::domain::agent_filter::AgentFilter;
use crate::domain::id::AgentId;

/// How many rows one call reads at most, whether they meet the filter or not.
pub(in crate::store) const MAX_WINDOW_AGENTS: i64 = 2_000;

/// A text that sorts after every id, whose last character is `~` at most.
pub(in crate::store) const BEHIND_ALL_IDS: &str = "\u{7f}";

/// Some of the agents that meet a filter, in the byte order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRows {
    /// The agents.
    pub agents: Vec<Agent>,
    /// The id up to which the rows were read. There may be further agents behind it. `None` if the
    /// rows were read to their end, or if there are as many agents as were asked for.
    pub through: Option<AgentId>,
}

/// A label as it stands in the stored object, which contains this text if and only if the agent has
/// the label: neither keys nor values contain quotation marks or backslashes.
pub(in crate::store) fn stored_label((key, value): &Label) -> String {
    format!("\"{}\":\"{}\"", key.as_str(), value.as_str())
}

/// The first and the last time that an agent's last use may be, in seconds, where -1 stands for an
/// agent that was never used; `None` if any will do.
pub(in crate::store) fn last_use_bounds(filter: &AgentFilter) -> Option<(i64, i64)> {
    let last = filter.used_before.map(|time| time.0.saturating_sub(1));
    match (last, filter.never_used) {
        (None, None) => None,
        (None, Some(true)) => Some((-1, -1)),
        (None, Some(false)) => Some((0, i64::MAX)),
        (Some(last), Some(true)) => Some((-1, last.max(-1))),
        (Some(last), None | Some(false)) => Some((0, last)),
    }
}
