//! Where a request came from, and which agent authenticated. Must not know how the request
//! travelled.

use std::net::IpAddr;
use std::sync::OnceLock;

use super::id::AgentId;

/// What surrounds a request: made where the request arrives, and carried along.
#[derive(Debug, Default)]
pub struct RequestContext {
    /// The client's address, if it is known.
    pub from: Option<IpAddr>,
    /// The request's id, as in the log and in the response.
    pub request_id: String,
    agent_id: OnceLock<AgentId>,
}

impl RequestContext {
    /// The context of a request from this address.
    pub fn new(from: Option<IpAddr>, request_id: String) -> Self {
        Self {
            from,
            request_id,
            agent_id: OnceLock::new(),
        }
    }

    /// Notes which agent authenticated as the client, or whose token the client holds. The first
    /// agent that is noted stays.
    pub fn prove(&self, agent_id: &AgentId) {
        let _ = self.agent_id.set(agent_id.clone());
    }

    /// The agent that was noted; `None` until an agent has authenticated.
    pub fn agent_id(&self) -> Option<&AgentId> {
        self.agent_id.get()
    }
}
