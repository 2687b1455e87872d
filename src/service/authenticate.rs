//! Client authentication: whose secret is this.
//!
//! Owns the order that keeps it cheap and fair: tag, memory, fresh row, one hash at most. Must not
//! know what the agent wants; its status is judged by the caller, after the secret was proven.

use std::net::IpAddr;
use std::sync::Arc;

use subtle::ConstantTimeEq;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::credential::{Credential, Tag};
use crate::domain::event::Actor;
use crate::domain::id::AgentId;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::store::{AgentRecord, Change, Freshness, Store, Write};
use crate::telemetry::error_chain;

use super::Error;
use super::limits::Limits;
use super::secret::{Presented, Proof, Secret, Secrets};

/// What a client sent to prove itself.
#[derive(Debug)]
pub struct ClientCredentials {
    /// Any text: one that is no id is simply unknown (contract D10).
    pub client_id: String,
    /// The secret as sent; `None` when it is empty, too long or holds a NUL: it matches nothing.
    pub secret: Option<Secret>,
    /// The secret as it stood in HTTP Basic, where form-decoding changed it.
    pub raw_secret: Option<Secret>,
    /// Where the request came from, for the limit on failures.
    pub source: Option<IpAddr>,
}

impl ClientCredentials {
    /// Takes what was sent.
    pub fn new(client_id: String, secret: &str, source: Option<IpAddr>) -> Self {
        Self { client_id, secret: Secret::parse(secret).ok(), raw_secret: None, source }
    }

    /// With the secret as it stood in HTTP Basic, where form-decoding changed it.
    #[must_use]
    pub fn with_raw_secret(self, raw: Option<&str>) -> Self {
        Self { raw_secret: raw.and_then(|raw| Secret::parse(raw).ok()), ..self }
    }

    /// What is to be compared with this credential: one of the two, so that no request costs two hashes.
    fn secret_for<'a>(&'a self, credential: &Credential, decoded: &'a Secret) -> &'a Secret {
        self.raw_secret.as_ref().filter(|_| credential.raw_basic).unwrap_or(decoded)
    }
}

/// Authenticates clients.
pub struct Authenticator {
    store: Arc<dyn Store>,
    secrets: Arc<Secrets>,
    limits: Arc<Limits>,
    clock: Arc<StoreClock>,
}

impl Authenticator {
    /// Over this store.
    pub fn new(
        store: Arc<dyn Store>,
        secrets: Arc<Secrets>,
        limits: Arc<Limits>,
        clock: Arc<StoreClock>,
    ) -> Self {
        Self { store, secrets, limits, clock }
    }

    /// The agent whose secret was presented. With [`Freshness::Cached`] the row may be an old one:
    /// good for a yes whose version is checked where it counts. Every no rests on a fresh row, but for
    /// a secret whose tag is wrong.
    pub async fn authenticate(
        &self,
        credentials: &ClientCredentials,
        freshness: Freshness,
    ) -> Result<Arc<AgentRecord>, Error> {
        let secret = credentials.secret.as_ref().ok_or(Refusal::InvalidClient)?;
        match self.secrets.inspect(&credentials.client_id, secret.expose()) {
            Presented::Forged => Err(Refusal::InvalidClient.into()),
            Presented::Generated(tag) => {
                let Ok(agent_id) = AgentId::parse(&credentials.client_id) else {
                    return Err(Refusal::InvalidClient.into());
                };
                let found = self.find(&agent_id, credentials, secret, Some(&tag), freshness).await?;
                found.proven.ok_or(Refusal::InvalidClient.into())
            }
            Presented::Other => self.authenticate_imported(credentials, secret, freshness).await,
        }
    }

    /// The active agent whose secret was presented, from a fresh row. Its status is judged after the
    /// secret was proven (contract D6).
    pub async fn authenticate_active(
        &self,
        credentials: &ClientCredentials,
    ) -> Result<Arc<AgentRecord>, Error> {
        let record = self.authenticate(credentials, Freshness::Fresh).await?;
        record.agent.status.admit()?;
        Ok(record)
    }

    /// A secret of any foreign form costs nothing while nothing was imported, and else one hash for
    /// every id, known or not, so that time tells nobody which ids exist.
    async fn authenticate_imported(
        &self,
        credentials: &ClientCredentials,
        secret: &Secret,
        freshness: Freshness,
    ) -> Result<Arc<AgentRecord>, Error> {
        if !self.store.holds_imported(Freshness::Cached).await? {
            return Err(Refusal::InvalidClient.into());
        }
        let found = match AgentId::parse(&credentials.client_id) {
            Ok(agent_id) => self.find(&agent_id, credentials, secret, None, freshness).await?,
            Err(_) => Found { proven: None, hashed: false },
        };
        if let Some(record) = found.proven {
            return Ok(record);
        }
        if !found.hashed {
            self.secrets.prove_decoy(secret).await?;
        }
        // Verify first, throttle after: only a failure draws from the bucket, so nobody is locked out.
        self.limits.charge_failure(credentials.source)?;
        Err(Refusal::InvalidClient.into())
    }

    /// Looks for a live credential that matches: by memory on a remembered row, else on a fresh row
    /// by at most one hash.
    async fn find(
        &self,
        agent_id: &AgentId,
        credentials: &ClientCredentials,
        decoded: &Secret,
        tag: Option<&Tag>,
        freshness: Freshness,
    ) -> Result<Found, Error> {
        let now = self.clock.now();
        if freshness == Freshness::Cached
            && let Some(record) = self.store.agent(agent_id, Freshness::Cached).await?
            && let Some(credential) = candidate(&record, tag, now)
            && self.secrets.recalls(credential, credentials.secret_for(credential, decoded), now)
        {
            return Ok(Found { proven: Some(record), hashed: false });
        }
        let nothing = Found { proven: None, hashed: false };
        let Some(record) = self.store.agent(agent_id, Freshness::Fresh).await? else { return Ok(nothing) };
        let Some(credential) = candidate(&record, tag, now) else { return Ok(nothing) };
        let secret = credentials.secret_for(credential, decoded);
        match self.secrets.prove(credential, secret, now).await? {
            Proof::Right(rehashed) => {
                if let Some(to) = rehashed {
                    self.replace_hash(credential, to, now).await;
                }
                Ok(Found { proven: Some(record), hashed: true })
            }
            Proof::Wrong => Ok(Found { proven: None, hashed: true }),
        }
    }

    /// Moves an imported hash to argon2id. Failing costs nothing but another try at the next success.
    async fn replace_hash(
        &self,
        credential: &Credential,
        to: crate::domain::credential::SecretHash,
        now: Timestamp,
    ) {
        let change = Change::RehashCredential {
            agent_id: credential.agent_id.clone(),
            credential_id: credential.credential_id,
            from: credential.hash.clone(),
            to,
        };
        let write = Write { at: now, by: Actor::System, change };
        if let Err(error) = self.store.commit(vec![write]).await {
            tracing::warn!(error = error_chain(&error), "an imported hash was not replaced");
        }
    }
}

struct Found {
    proven: Option<Arc<AgentRecord>>,
    hashed: bool,
}

/// The one live credential that a secret with this tag, or without any, can match.
fn candidate<'a>(record: &'a AgentRecord, tag: Option<&Tag>, now: Timestamp) -> Option<&'a Credential> {
    record.credentials.iter().filter(|c| c.is_live(now)).find(|c| match (&c.tag, tag) {
        (Some(stored), Some(presented)) => stored.0.as_bytes().ct_eq(presented.0.as_bytes()).into(),
        (None, None) => true,
        _ => false,
    })
}
