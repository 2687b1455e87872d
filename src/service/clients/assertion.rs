//! Client authentication by an assertion (RFC 7523): verifies that one of an agent's keys signed it.
//!
//! Owns the order that keeps this cheap, and equally long for known and unknown clients: checks of
//! the text, the agent's cached row if the agent proved itself so before, a fresh row. Must not know
//! whether the assertion was used before: the statement that counts the token decides that.

use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use crate::domain::assertion::AssertionRef;
use crate::domain::event::reason::RefusalReason::{self, UnknownClient};
use crate::domain::id::{AgentId, ClientId, CredentialId};
use crate::domain::time::Timestamp;
use crate::keys::assertion::{Assertion, Expected};
use crate::keys::client_key::ClientKeySet;
use crate::service::error::Error;
use crate::service::look::Look;
use crate::store::{AgentRecord, Freshness, Store};

/// How many agents are remembered as ones that prove themselves by assertions.
const MAX_ASSERTERS: usize = 100_000;

/// How many rows are read at once for assertions that were not proven on a cached row. A flood of
/// forged ones then delays no other reading of the database by more than this.
const MAX_READS: usize = 2;

/// The reason for an assertion that was exchanged before.
pub(crate) const SPENT: RefusalReason = RefusalReason::Assertion("spent");

/// An assertion as a client presents it. It has no `Debug` that tells anything.
#[derive(Debug)]
pub struct PresentedAssertion {
    /// `None` if the text has not the shape of one.
    read: Option<Assertion>,
    /// The `client_id` parameter beside it.
    named: Option<Box<str>>,
    /// What proved it, once it is proven: the credential, and what is kept of the assertion.
    proof: Mutex<Option<(CredentialId, AssertionRef)>>,
}

impl PresentedAssertion {
    /// Reads an assertion, which may come with the parameter `client_id`. Returns also the client
    /// that the two name.
    pub fn read(text: &str, client_id: Option<&str>) -> (Self, ClientId) {
        let read = Assertion::read(text);
        let subject = read.as_ref().and_then(Assertion::subject);
        let named = ClientId::parse(client_id.or(subject).unwrap_or_default());
        let presented = Self {
            read,
            named: client_id.map(Into::into),
            proof: Mutex::new(None),
        };
        (presented, named)
    }

    /// What proved it.
    pub fn proof(&self) -> Option<(CredentialId, AssertionRef)> {
        *self.proof.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prove(&self, proof: Option<(CredentialId, AssertionRef)>) {
        *self.proof.lock().unwrap_or_else(PoisonError::into_inner) = proof;
    }

    /// The credential of this agent that verifies it, and what is kept of it. It costs the same
    /// without an agent.
    fn verify(
        &self,
        record: Option<&AgentRecord>,
        now: Timestamp,
    ) -> Option<(CredentialId, AssertionRef)> {
        let read = self.read.as_ref()?;
        let live = record.iter().flat_map(|record| &record.credentials);
        let sets: Vec<(CredentialId, ClientKeySet)> = live
            .filter(|credential| credential.is_live(now))
            .filter_map(|credential| {
                let keys = credential.keys.as_ref()?;
                Some((credential.credential_id, ClientKeySet::of_stored(&keys.0)?))
            })
            .collect();
        let keys = sets
            .iter()
            .flat_map(|(id, set)| set.keys().iter().map(move |key| (key, *id)));
        let credential = read.verify(keys)?;
        Some((credential, read.reference(&record?.agent.agent_id)?))
    }
}

/// Authenticates agents by their assertions.
pub struct Assertions {
    store: Arc<dyn Store>,
    issuer: Box<str>,
    /// The agents that proved themselves so. Only real agents get in.
    asserters: Cache<AgentId, ()>,
    reads: Semaphore,
}

impl Assertions {
    /// For assertions that name this issuer as their audience.
    pub fn new(store: Arc<dyn Store>, issuer: &str) -> Self {
        Self {
            store,
            issuer: issuer.into(),
            asserters: Cache::new(MAX_ASSERTERS),
            reads: Semaphore::new(MAX_READS),
        }
    }

    /// The agent that signed the assertion, or why there is none.
    pub(super) async fn authenticate(
        &self,
        presented: &PresentedAssertion,
        client_id: &ClientId,
        look: Look,
        now: Timestamp,
    ) -> Result<Result<Arc<AgentRecord>, RefusalReason>, Error> {
        let checked = self.check(presented, now);
        let agent_id = client_id.agent_id();
        if look.is_remembered() {
            let record = match agent_id.filter(|id| self.asserters.get(*id).is_some()) {
                Some(agent_id) => self.store.agent(agent_id, Freshness::Cached).await?,
                None => None,
            };
            let proof = presented.verify(record.as_deref(), now);
            if checked.is_ok()
                && let (Some(record), Some(proof)) = (record, proof)
            {
                presented.prove(Some(proof));
                return Ok(Ok(record));
            }
        }
        let record = match agent_id {
            Some(agent_id) => {
                // The semaphore is never closed.
                let _permit = self.reads.acquire().await.ok();
                self.store.agent(agent_id, Freshness::Fresh).await?
            }
            None => None,
        };
        let proof = presented.verify(record.as_deref(), now);
        presented.prove(proof.filter(|_| checked.is_ok()));
        Ok(match (record, checked, proof) {
            (Some(record), Ok(()), Some(_)) => {
                self.asserters.insert(record.agent.agent_id.clone(), ());
                Ok(record)
            }
            (None, ..) => Err(UnknownClient),
            (_, Err(check), _) => Err(RefusalReason::Assertion(check)),
            (_, Ok(()), None) => Err(RefusalReason::Assertion("signature")),
        })
    }

    fn check(&self, presented: &PresentedAssertion, now: Timestamp) -> Result<(), &'static str> {
        let read = presented.read.as_ref().ok_or("format")?;
        read.check(&Expected {
            issuer: &self.issuer,
            client_id: presented.named.as_deref(),
            now,
        })
    }
}
