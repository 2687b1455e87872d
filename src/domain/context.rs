//! Where a request came from, and which agent proved to stand behind it. Must not know how it travelled.

use std::net::IpAddr;
use std::sync::OnceLock;

use super::id::AgentId;

/// The outside of a request, made at the door and carried along.
#[derive(Debug, Default)]
pub struct RequestContext {
    /// The client's address, where it is known.
    pub from: Option<IpAddr>,
    /// What the log and the reply call the request.
    pub request_id: String,
    agent_id: OnceLock<AgentId>,
}

impl RequestContext {
    /// Of a request from this address.
    pub fn new(from: Option<IpAddr>, request_id: String) -> Self {
        Self {
            from,
            request_id,
            agent_id: OnceLock::new(),
        }
    }

    /// Notes who proved to be the client, or whose token it holds. The first to prove itself stays.
    pub fn prove(&self, agent_id: &AgentId) {
        let _ = self.agent_id.set(agent_id.clone());
    }

    /// Who that is; `None` as long as nobody proved anything.
    pub fn agent_id(&self) -> Option<&AgentId> {
        self.agent_id.get()
    }
}
