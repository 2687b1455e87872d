//! Where a request came from, its id, which agent authenticated, and what was granted to it. Must not know how the request
//! travelled.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::event::reason::RefusalReason;
use super::event::request::RequestRef;
use super::event::source::{EventSource, SourcePrecision};
use super::grant::Grant;
use super::id::{AgentId, ClientId};

/// The id of a request, and who chose it. A client may send an id that looks like one of ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestId {
    text: String,
    /// The id as this server counts it; `None` if the client sent the text.
    ours: Option<RequestRef>,
}

impl RequestId {
    /// An id that this server makes, from the number of the process and the number of the request.
    pub fn made(process: u64, count: u64) -> Self {
        let ours = RequestRef::Ours { process, count };
        Self {
            text: ours.to_string(),
            ours: Some(ours),
        }
    }

    /// An id that the client sent.
    pub fn sent(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            ours: None,
        }
    }

    /// The id as in the log and in the response.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The id as in events. The text of a client is hashed on each call.
    pub fn reference(&self) -> RequestRef {
        self.ours
            .unwrap_or_else(|| RequestRef::of_client(&self.text))
    }
}

/// What surrounds a request: made where the request arrives, and carried along.
#[derive(Debug, Default)]
pub struct RequestContext {
    /// The client's address, if it is known.
    pub from: Option<IpAddr>,
    /// What events tell of that address.
    pub source: Option<EventSource>,
    /// The request's id.
    pub request_id: RequestId,
    agent_id: OnceLock<AgentId>,
    claimed: OnceLock<AgentId>,
    failed_proof: OnceLock<RefusalReason>,
    granted: OnceLock<Arc<Grant>>,
    veiled: OnceLock<Instant>,
}

impl RequestContext {
    /// The context of a request from this address, of which events tell no more than `precision`
    /// says.
    pub fn new(from: Option<IpAddr>, precision: SourcePrecision, request_id: RequestId) -> Self {
        Self {
            from,
            source: from.and_then(|address| precision.cut(address)),
            request_id,
            agent_id: OnceLock::new(),
            claimed: OnceLock::new(),
            failed_proof: OnceLock::new(),
            granted: OnceLock::new(),
            veiled: OnceLock::new(),
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

    /// Notes the grant of the token that was issued.
    pub fn issue(&self, grant: &Arc<Grant>) {
        let _ = self.granted.set(Arc::clone(grant));
    }

    /// The grant of the token that was issued, if one was.
    pub fn granted(&self) -> Option<&Grant> {
        self.granted.get().map(Arc::as_ref)
    }

    /// Notes why the client did not authenticate: [`RefusalReason::UnknownClient`] if the agent was
    /// looked up and does not exist. The client is told less.
    pub fn fail_proof(&self, reason: RefusalReason) {
        let _ = self.failed_proof.set(reason);
    }

    /// Notes which agent the client says it is, before anything is proven.
    pub fn claim(&self, client_id: &ClientId) {
        if let Some(agent_id) = client_id.agent_id() {
            let _ = self.claimed.set(agent_id.clone());
        }
    }

    /// The agent that the client said it is, whether it proved that or not. It may not exist.
    pub fn claimed_agent(&self) -> Option<&AgentId> {
        self.claimed.get()
    }

    /// Notes that the time of the answer must not tell what was done since this moment.
    pub fn veil_since(&self, began: Instant) {
        let _ = self.veiled.set(began);
    }

    /// Since when the time of the answer must not tell what was done, if so.
    pub fn veiled_since(&self) -> Option<Instant> {
        self.veiled.get().copied()
    }

    /// Why the client did not authenticate, if it tried to.
    pub fn failed_proof(&self) -> Option<RefusalReason> {
        self.failed_proof.get().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_a_client_made_up_is_never_taken_for_ours() {
        let ours = RequestId::made(0xab, 7);
        let sent = RequestId::sent(ours.as_str());
        assert_eq!(ours.as_str(), "00000000000000ab-7");
        assert_eq!(sent.as_str(), ours.as_str());
        assert_eq!(ours.reference().to_string(), ours.as_str());
        assert_eq!(sent.reference(), RequestRef::of_client(ours.as_str()));
    }
}
