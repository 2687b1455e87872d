//! Client authentication: verifies that a secret or an assertion belongs to an agent.
//!
//! Owns the order that keeps authentication by secret cheap and fair: tag, memory, fresh row, at most
//! one hash. Must not know what the agent wants. The agent's status is checked only here, after its
//! secret or assertion was proven (contract D6).

use std::sync::Arc;

use subtle::ConstantTimeEq;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::context::RequestContext;
use crate::domain::credential::{Credential, Tag};
use crate::domain::event::reason::RefusalReason::{self, UnknownClient, WrongSecret};
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::keys::tag::SecretMac;
use crate::store::{AgentRecord, Freshness, Store};

use super::assertion::Assertions;
use super::credentials::ClientCredentials;
use super::rehash::replace_hash;
use super::secret::{Foreign, Presented, Proof, Secret, Secrets, TaggedSecret};
use crate::service::error::Error;
use crate::service::limits::Limits;
use crate::service::look::Look;

/// The agent that authenticated, or why none did.
type Compared = Result<Arc<AgentRecord>, RefusalReason>;

/// Authenticates clients.
pub struct Authenticator {
    store: Arc<dyn Store>,
    secrets: Arc<Secrets>,
    limits: Arc<Limits>,
    clock: Arc<StoreClock>,
    assertions: Assertions,
}

impl Authenticator {
    /// Authenticates the agents of this store.
    pub fn new(
        store: Arc<dyn Store>,
        secrets: Arc<Secrets>,
        limits: Arc<Limits>,
        clock: Arc<StoreClock>,
        assertions: Assertions,
    ) -> Self {
        Self {
            store,
            secrets,
            limits,
            clock,
            assertions,
        }
    }

    /// The active agent whose secret or assertion was presented. A cached row may be out of date. It
    /// may grant a request, because the row's version is compared where the token is counted.
    /// Every refusal rests on a fresh row, except for a secret whose tag is wrong.
    pub async fn authenticate(
        &self,
        credentials: &ClientCredentials,
        mut look: Look,
        context: &RequestContext,
    ) -> Result<Arc<AgentRecord>, Error> {
        loop {
            let record = self.prove(credentials, look, context).await?;
            context.prove(&record.agent.agent_id);
            match record.admit(|| self.clock.now()) {
                Ok(()) => return Ok(record),
                Err(refusal) => look = look.again(refusal)?,
            }
        }
    }

    /// The agent whose secret or assertion was presented, whatever the agent's status.
    async fn prove(
        &self,
        credentials: &ClientCredentials,
        look: Look,
        context: &RequestContext,
    ) -> Result<Arc<AgentRecord>, Error> {
        context.claim(&credentials.client_id);
        let compared = self.compare(credentials, look, context).await?;
        compared.map_err(|reason| {
            context.fail_proof(reason);
            Refusal::InvalidClient.into()
        })
    }

    /// The agent whose secret or assertion was presented, or why there is none. An id is not looked
    /// up for a secret that cannot be right, so most unknown clients count as a wrong secret here.
    async fn compare(
        &self,
        credentials: &ClientCredentials,
        look: Look,
        context: &RequestContext,
    ) -> Result<Compared, Error> {
        if let Some(presented) = &credentials.assertion {
            let (client_id, now) = (&credentials.client_id, self.clock.now());
            let guess = self.limits.failures.guess(credentials.source);
            let proven = self
                .assertions
                .authenticate(presented, client_id, &guess, look, now);
            return proven.await;
        }
        let Some(secret) = &credentials.secret else {
            return Ok(Err(WrongSecret));
        };
        match self
            .secrets
            .inspect(credentials.client_id.as_str(), secret.expose())
        {
            Presented::Forged => Ok(Err(WrongSecret)),
            Presented::Generated(tagged) => match credentials.client_id.agent_id() {
                Some(agent_id) => {
                    self.authenticate_generated(agent_id, credentials, secret, &tagged, look)
                        .await
                }
                None => Ok(Err(UnknownClient)),
            },
            Presented::Other => {
                self.authenticate_imported(credentials, secret, look, context)
                    .await
            }
        }
    }

    /// What authenticates by assertions.
    pub fn assertions(&self) -> &Assertions {
        &self.assertions
    }

    /// The credential with which an agent authenticated. `None` if the agent has several and this
    /// one has expired since.
    pub fn credential_of(
        &self,
        record: &AgentRecord,
        credentials: &ClientCredentials,
    ) -> Option<CredentialId> {
        if let Some(presented) = &credentials.assertion {
            let of_key = presented.proof().map(|(credential, _)| credential);
            return of_key.or(presented.of_partner().map(|(credential, _)| credential));
        }
        // Most agents have one credential, so there is nothing to choose.
        if let [only] = &*record.credentials
            && only.is_secret()
        {
            return Some(only.credential_id);
        }
        let secret = credentials.secret.as_ref()?;
        let tag = match self
            .secrets
            .inspect(credentials.client_id.as_str(), secret.expose())
        {
            Presented::Generated(tagged) => Some(tagged.tag),
            _ => None,
        };
        candidate(record, tag.as_ref(), self.clock.now()).map(|credential| credential.credential_id)
    }

    /// Proves a foreign secret. It costs nothing while the store holds no imported credential.
    /// Otherwise it costs one comparison for every id, known or unknown, so that the response time
    /// does not reveal which ids exist. A source that has used up its failures is refused before
    /// anything is read or hashed, whatever the id. A secret that was proven before passes all the
    /// same, so that a source in the same network cannot lock the client out.
    async fn authenticate_imported(
        &self,
        credentials: &ClientCredentials,
        secret: &Secret,
        look: Look,
        context: &RequestContext,
    ) -> Result<Compared, Error> {
        let costs = self.store.imported_costs(Freshness::Cached).await?;
        if costs.is_empty() {
            return Ok(Err(WrongSecret));
        }
        let (client_id, now) = (credentials.client_id.as_str(), self.clock.now());
        let agent_id = credentials.client_id.agent_id();
        let guess = self.limits.failures.guess(credentials.source);
        let was_proven = self.secrets.was_proven(client_id, secret, now);
        if !was_proven {
            guess.admit()?;
        } else if look.is_remembered()
            && let Some(agent_id) = agent_id
            && let Some(record) = self
                .recall(agent_id, None, now, |credential| {
                    let secret = credentials.secret_for(credential, secret);
                    Some(self.secrets.foreign_mac(credential, secret))
                })
                .await?
        {
            return Ok(Ok(record));
        }
        let record = match agent_id {
            Some(agent_id) => self.store.agent(agent_id, Freshness::Fresh).await?,
            None => None,
        };
        let credential = record
            .as_ref()
            .and_then(|record| candidate(record, None, now));
        let against =
            credential.map(|credential| (credential, credentials.secret_for(credential, secret)));
        let foreign = Foreign {
            client_id,
            costs: &costs,
            presented: secret,
            against,
            was_proven,
        };
        match (
            self.secrets.prove_foreign(&foreign, &guess, now).await?,
            credential,
        ) {
            (Proof::Right(rehashed), Some(credential)) => {
                if let Some(to) = rehashed {
                    let at = self.clock.moment();
                    replace_hash(&*self.store, credential, to, at, context).await;
                }
                Ok(record.ok_or(UnknownClient))
            }
            _ => Ok(Err(record.map_or(UnknownClient, |_| WrongSecret))),
        }
    }

    /// Proves a secret whose tag is right: by memory on a cached row, or else on a fresh row by at
    /// most one hash.
    async fn authenticate_generated(
        &self,
        agent_id: &AgentId,
        credentials: &ClientCredentials,
        secret: &Secret,
        tagged: &TaggedSecret,
        look: Look,
    ) -> Result<Compared, Error> {
        let (tag, now) = (Some(&tagged.tag), self.clock.now());
        // The MAC is that of the secret as decoded. A secret that decoding changed is not a
        // generated one, so it matches no credential that takes the secret as it was sent.
        let mac_for =
            |credential: &Credential| (!credentials.is_raw_for(credential)).then_some(tagged.mac);
        if look.is_remembered()
            && let Some(record) = self.recall(agent_id, tag, now, mac_for).await?
        {
            return Ok(Ok(record));
        }
        let Some(record) = self.store.agent(agent_id, Freshness::Fresh).await? else {
            return Ok(Err(UnknownClient));
        };
        let found = candidate(&record, tag, now);
        let Some((credential, mac)) = found.and_then(|found| Some((found, mac_for(found)?))) else {
            return Ok(Err(WrongSecret));
        };
        match self.secrets.prove(credential, secret, mac, now).await? {
            Proof::Right(_) => Ok(Ok(record)),
            Proof::Wrong => Ok(Err(WrongSecret)),
        }
    }

    /// The agent's cached row, if memory knows that the secret belongs to a live credential of that
    /// row. `mac_for` gives the MAC of the secret for that credential. A cached row can only grant.
    async fn recall(
        &self,
        agent_id: &AgentId,
        tag: Option<&Tag>,
        now: Timestamp,
        mac_for: impl Fn(&Credential) -> Option<SecretMac>,
    ) -> Result<Option<Arc<AgentRecord>>, Error> {
        let Some(record) = self.store.agent(agent_id, Freshness::Cached).await? else {
            return Ok(None);
        };
        let known = candidate(&record, tag, now).is_some_and(|credential| {
            mac_for(credential).is_some_and(|mac| self.secrets.recalls(credential, mac, now))
        });
        Ok(known.then_some(record))
    }
}

/// The one live credential that a secret with this tag, or without a tag, can match.
fn candidate<'a>(
    record: &'a AgentRecord,
    tag: Option<&Tag>,
    now: Timestamp,
) -> Option<&'a Credential> {
    record
        .credentials
        .iter()
        .filter(|c| c.is_secret() && c.is_live(now))
        .find(|c| match (&c.tag, tag) {
            (Some(stored), Some(presented)) => {
                stored.0.as_bytes().ct_eq(presented.0.as_bytes()).into()
            }
            (None, None) => true,
            _ => false,
        })
}
