//! Client authentication by an assertion (RFC 7523): verifies that one of an agent's keys signed it.
//!
//! Owns the order that keeps this cheap, and nearly equally long for known and unknown clients (what
//! remains is hidden by `refusal_time`): checks of the text, the agent's cached row if the agent proved itself so before, what its source is still
//! allowed to fail, a fresh row. Whether the assertion was used before is decided by the statement
//! that counts the token. What that statement said is remembered here, since no assertion becomes
//! good again.

use std::sync::Arc;
use std::time::Instant;

use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use crate::domain::assertion::{AssertionHash, AssertionRef};
use crate::domain::context::RequestContext;
use crate::domain::credential::Credential;
use crate::domain::event::reason::RefusalReason::{self, UnknownClient};
use crate::domain::id::{AgentId, ClientId, CredentialId};
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::keys::assertion::{Assertion, Expected};
use crate::keys::client_key::ClientKeySet;
use crate::service::error::Error;
use crate::service::look::Look;
use crate::store::{AgentRecord, Freshness, Store};

use super::credentials::ClientCredentials;
use super::failures::Guess;
use super::partner_token::PartnerTokens;
use super::presented::PresentedAssertion;

/// How many agents are remembered as ones that prove themselves by assertions.
const MAX_ASSERTERS: usize = 100_000;

/// How many rows are read at once for assertions that were not proven on a cached row. A flood of
/// forged ones then delays no other reading of the database by more than this.
const MAX_READS: usize = 2;

/// How many of these rows are read at once for sources that failed lately, besides
/// [`MAX_READS`]. No other source waits for theirs.
const MAX_SUSPECT_READS: usize = 1;

/// How many exchanged assertions are remembered.
const MAX_SPENT: usize = 100_000;

/// How many credentials' keys are kept in their parsed form.
const MAX_KEY_SETS: usize = 20_000;

/// The reason for an assertion that was exchanged before.
const SPENT: RefusalReason = RefusalReason::Assertion("spent");

/// The refusal for an assertion that was exchanged before.
pub(crate) fn refuse_spent(context: &RequestContext) -> Refusal {
    context.fail_proof(SPENT);
    Refusal::InvalidClient
}

/// Authenticates agents by their assertions.
pub struct Assertions {
    store: Arc<dyn Store>,
    issuer: Box<str>,
    /// The agents that proved themselves so. Only real agents get in.
    asserters: Cache<AgentId, ()>,
    reads: Semaphore,
    suspect_reads: Semaphore,
    /// Assertions that were exchanged. One that is presented again then costs no write, no request
    /// of its agent's rate, and no other token's place in a batch.
    spent: Cache<AssertionHash, ()>,
    /// The parsed keys of credentials, which never change.
    key_sets: Cache<CredentialId, Arc<ClientKeySet>>,
    partners: PartnerTokens,
}

impl Assertions {
    /// For assertions that name this issuer as their audience.
    pub fn new(store: Arc<dyn Store>, issuer: &str, partners: PartnerTokens) -> Self {
        Self {
            store,
            issuer: issuer.into(),
            asserters: Cache::new(MAX_ASSERTERS),
            reads: Semaphore::new(MAX_READS),
            suspect_reads: Semaphore::new(MAX_SUSPECT_READS),
            spent: Cache::new(MAX_SPENT),
            key_sets: Cache::new(MAX_KEY_SETS),
            partners,
        }
    }

    /// The agent that signed the assertion, or why there is none. A source that has used up its
    /// failures gets no row read, unless the assertion is proven already: so nobody in its network
    /// locks an agent out. It learns nothing of ids, since its request costs the same verifications.
    pub(super) async fn authenticate(
        &self,
        presented: &PresentedAssertion,
        client_id: &ClientId,
        guess: &Guess,
        look: Look,
        now: Timestamp,
    ) -> Result<Result<Arc<AgentRecord>, RefusalReason>, Error> {
        if let Some(read) = &presented.read
            && let Some(partner) = read.partner()
        {
            // On the heap, so that the future of every other request stays small.
            let proven = self.by_partner(presented, (read, partner), client_id, (guess, now));
            return Box::pin(proven).await;
        }
        let checked = self.check(presented, now);
        let agent_id = client_id.agent_id();
        let was_proven = presented.proof().is_some();
        let mut refuted = None;
        if look.is_remembered()
            && let Some(agent_id) = agent_id.filter(|id| self.asserters.get(*id).is_some())
            && let Some(record) = self.store.agent(agent_id, Freshness::Cached).await?
        {
            match self.verify(presented, Some(&record), now) {
                Some(proof) if checked.is_ok() => {
                    presented.prove(Some(proof));
                    return Ok(self.unless_spent(record, proof));
                }
                Some(_) => {}
                None => refuted = Some(record.agent.version),
            }
        }
        let admit = || {
            let admitted = if was_proven { Ok(()) } else { guess.admit() };
            admitted.inspect_err(|_| {
                if refuted.is_none() {
                    self.verify(presented, None, now);
                }
            })
        };
        admit()?;
        let reads = if guess.is_suspect() && !was_proven {
            &self.suspect_reads
        } else {
            &self.reads
        };
        // The semaphores are never closed.
        let permit = reads.acquire().await.ok();
        // Other assertions of this source may have failed while this one waited.
        admit()?;
        let record = match agent_id {
            Some(agent_id) => self.store.agent(agent_id, Freshness::Fresh).await?,
            None => None,
        };
        // The same version has the same keys, and a second verification would tell that the agent is
        // known.
        let is_refuted = record
            .as_ref()
            .is_some_and(|record| refuted == Some(record.agent.version));
        let proof = if is_refuted {
            None
        } else {
            self.verify(presented, record.as_deref(), now)
        };
        let proof = proof.filter(|_| checked.is_ok());
        presented.prove(proof);
        if proof.is_none() {
            guess.charge();
        }
        drop(permit);
        Ok(match (record, checked, proof) {
            (Some(record), Ok(()), Some(proof)) => {
                self.asserters.insert(record.agent.agent_id.clone(), ());
                self.unless_spent(record, proof)
            }
            (None, ..) => Err(UnknownClient),
            (_, Err(check), _) => Err(RefusalReason::Assertion(check)),
            (_, Ok(()), None) => Err(RefusalReason::Assertion("signature")),
        })
    }

    /// What authenticates by tokens of partners.
    pub fn partners(&self) -> &PartnerTokens {
        &self.partners
    }

    /// The same for a token of a partner. Its `sub` is the partner's, so the client has to name its
    /// agent.
    async fn by_partner(
        &self,
        presented: &PresentedAssertion,
        (read, issuer): (&Assertion, &str),
        client_id: &ClientId,
        (guess, now): (&Guess, Timestamp),
    ) -> Result<Result<Arc<AgentRecord>, RefusalReason>, Error> {
        if presented.named.is_none() && !self.partners.is_own(issuer) {
            return Err(Refusal::MissingParameter("client_id").into());
        }
        let opened = self
            .partners
            .authenticate((read, issuer), client_id, guess, now)
            .await?;
        let proof = opened.as_ref().ok();
        let proof = proof.map(|(_, credential, proof)| (*credential, Arc::new(proof.clone())));
        presented.prove_by_partner(proof);
        Ok(opened.map(|(record, ..)| record))
    }

    /// The outcome of a request for a token that came with an assertion, on which work began at
    /// `began`. If it refuses a client whose assertion was exchanged before, that proves nothing, so
    /// that its client is told of nothing else. No refusal tells by its time which agents exist.
    pub async fn settle<T>(
        &self,
        outcome: Result<T, Error>,
        (credentials, began): (&ClientCredentials, Instant),
        context: &RequestContext,
    ) -> Result<T, Error> {
        let settled = match credentials.assertion() {
            Some(proven) => self.unless_exchanged(outcome, proven, context).await,
            None => outcome,
        };
        // A source that has used up its failures is refused after other work than an unknown client.
        if let Err(Error::Refused(Refusal::InvalidClient | Refusal::SlowDown { .. })) = &settled {
            context.veil_since(began);
        }
        settled
    }

    async fn unless_exchanged<T>(
        &self,
        outcome: Result<T, Error>,
        proven: AssertionRef,
        context: &RequestContext,
    ) -> Result<T, Error> {
        let is_spent = match &outcome {
            Ok(_) | Err(Error::Refused(Refusal::InvalidClient)) => true,
            Err(Error::Refused(_)) => self.store.is_spent(proven.hash).await?,
            Err(_) => false,
        };
        if is_spent {
            self.spent.insert(proven.hash, ());
        }
        match outcome {
            Err(Error::Refused(_)) if is_spent => Err(refuse_spent(context).into()),
            outcome => outcome,
        }
    }

    fn unless_spent(
        &self,
        record: Arc<AgentRecord>,
        (_, proven): (CredentialId, AssertionRef),
    ) -> Result<Arc<AgentRecord>, RefusalReason> {
        match self.spent.get(&proven.hash) {
            Some(()) => Err(SPENT),
            None => Ok(record),
        }
    }

    /// The credential of this agent that verifies the assertion, and what is kept of it. It costs the
    /// same without an agent.
    fn verify(
        &self,
        presented: &PresentedAssertion,
        record: Option<&AgentRecord>,
        now: Timestamp,
    ) -> Option<(CredentialId, AssertionRef)> {
        let read = presented.read.as_ref()?;
        let live = record.iter().flat_map(|record| &record.credentials);
        let sets: Vec<(CredentialId, Arc<ClientKeySet>)> = live
            .filter(|credential| credential.is_live(now))
            .filter_map(|credential| Some((credential.credential_id, self.keys_of(credential)?)))
            .collect();
        let keys = sets
            .iter()
            .flat_map(|(id, set)| set.keys().iter().map(move |key| (key, *id)));
        let credential = read.verify(keys)?;
        Some((credential, read.reference(&record?.agent.agent_id)?))
    }

    /// The public keys of a credential. `None` for a secret.
    fn keys_of(&self, credential: &Credential) -> Option<Arc<ClientKeySet>> {
        let stored = credential.keys.as_ref()?;
        let id = credential.credential_id;
        if let Some(known) = self.key_sets.get(&id) {
            return Some(known);
        }
        let read = Arc::new(ClientKeySet::of_stored(&stored.0)?);
        self.key_sets.insert(id, Arc::clone(&read));
        Some(read)
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
