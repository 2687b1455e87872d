//! The mint: authenticate, decide, count, sign. In this order and nowhere else.
//!
//! Must not know how a request arrived or how its reply looks.

use std::sync::Arc;

use crate::clock::StoreClock;
use crate::domain::context::RequestContext;
use crate::domain::grant::{Basis, Policy, TokenRequest, decide};
use crate::domain::id::{BatchId, CredentialId, Jti};
use crate::domain::refusal::Refusal;
use crate::entropy::{Entropy, uuid_v7};
use crate::keys::{Keyring, SignedToken};
use crate::store::{AgentRecord, Batch, Freshness, LockedElsewhere, Recorded, Store, Verdict};

use super::clients::authenticate::{Authenticator, ClientCredentials};
use super::codes::{Codes, PresentedCode};
use super::error::{Cause, Error};
use super::keys::KeyService;
use super::limits::Limits;
use super::plans::SharedPlans;
use super::replay::Replays;

/// How often a decision is made again because the agent changed under it; past that the caller is
/// told to come again, never refused.
const MOST_STALE: usize = 3;

/// What a client asks for, once it has proven itself.
pub struct Ask {
    /// Scopes and audiences.
    pub request: TokenRequest,
    /// The authorization code that it brings in exchange, if any.
    pub code: Option<PresentedCode>,
}

/// Issues tokens.
pub struct Mint {
    /// Who asks.
    pub authenticator: Arc<Authenticator>,
    /// Where tokens are counted.
    pub store: Arc<dyn Store>,
    /// Says whether the keys are fit to sign with.
    pub keys: Arc<KeyService>,
    /// What opens authorization codes.
    pub codes: Arc<Codes>,
    /// What becomes of those that come again.
    pub replays: Replays,
    /// What signs them.
    pub keyring: Arc<Keyring>,
    /// The server's rules.
    pub policy: Policy,
    /// The configured plans.
    pub plans: SharedPlans,
    /// The request rate.
    pub limits: Arc<Limits>,
    /// The clock.
    pub clock: Arc<StoreClock>,
    /// Where token ids come from.
    pub entropy: Arc<dyn Entropy>,
}

impl Mint {
    /// Issues one token to the agent that proves itself (contract D6: client authentication → agent
    /// status → request rate → scope → quota → issue).
    pub async fn issue(
        &self,
        credentials: &ClientCredentials,
        ask: &Ask,
        context: &RequestContext,
    ) -> Result<SignedToken, Error> {
        self.keys.ready_to_sign().await?;
        let mut freshness = Freshness::Cached;
        let mut charged = false;
        for _ in 0..=MOST_STALE {
            let mut record = self.authenticator.authenticate(credentials, freshness).await?;
            context.prove(&record.agent.agent_id);
            if record.agent.status.admit().is_err() {
                record = self.authenticator.authenticate_active(credentials).await?;
            }
            if !charged {
                match self.limits.charge_request(&record.agent.agent_id) {
                    Ok(()) => charged = true,
                    Err(refusal) if freshness == Freshness::Fresh => {
                        return Err(self.refuse(&record, ask, refusal).await);
                    }
                    // The agent may be suspended, or the secret gone, since its row was remembered.
                    Err(_) => {
                        freshness = Freshness::Fresh;
                        continue;
                    }
                }
            }
            // Its time may have ended since it was proven: then the next turn says so.
            let Some(credential) = self.authenticator.credential_of(&record, credentials) else {
                freshness = Freshness::Fresh;
                continue;
            };
            match self.attempt(&record, credential, ask, freshness).await? {
                Attempt::Signed(token) => return Ok(token),
                // A remembered row may only say yes: look again before saying no.
                Attempt::Refused(refusal) if freshness == Freshness::Fresh => {
                    return Err(self.refuse(&record, ask, refusal).await);
                }
                Attempt::Refused(_) | Attempt::Stale => freshness = Freshness::Fresh,
            }
        }
        Err(Error::Unavailable(Arc::new(Cause("the agent kept changing".to_owned()))))
    }

    /// Whether tokens can be counted: commits a batch of nobody on the way that theirs take.
    pub async fn count_nobody(&self) -> Result<(), Error> {
        let id = BatchId(uuid_v7(&*self.clock, &*self.entropy)?);
        self.store.issue(&Batch { id, now: self.clock.own_moment(), grants: vec![] }).await?;
        Ok(())
    }

    /// What to answer when the agent of a fresh row gets nothing.
    async fn refuse(&self, record: &AgentRecord, ask: &Ask, error: impl Into<Error>) -> Error {
        let killed = match &ask.code {
            Some(presented) => self.replays.kill_first(&record.agent.agent_id, presented).await,
            None => Ok(()),
        };
        killed.err().unwrap_or_else(|| error.into())
    }

    async fn attempt(
        &self,
        record: &AgentRecord,
        credential: CredentialId,
        ask: &Ask,
        freshness: Freshness,
    ) -> Result<Attempt, Error> {
        let agent = &record.agent;
        let catalogue = self.store.catalogue(freshness).await?;
        let Some(limit) = self.plans.load().limit(&agent.profile.terms.plan) else {
            // The agent may have been given another plan since its row was remembered.
            if freshness == Freshness::Cached {
                return Ok(Attempt::Stale);
            }
            // A configuration that lacks a plan is no verdict about the agent (contract D9).
            let why = format!("plan {} is not configured", agent.profile.terms.plan);
            return Err(self.refuse(record, ask, Error::Unavailable(Arc::new(Cause(why)))).await);
        };
        let jti = Jti(uuid_v7(&*self.clock, &*self.entropy)?);
        let basis = match &ask.code {
            Some(presented) => self.codes.open(&agent.agent_id, presented).map(Basis::Code),
            None => Ok(Basis::Own),
        };
        let decided =
            basis.and_then(|basis| decide(agent, &catalogue, &self.policy, limit, &basis, &ask.request, jti));
        let grant = match decided {
            Ok(grant) => Arc::new(grant.proven_by(credential)),
            Err(refusal) => return Ok(Attempt::Refused(refusal)),
        };
        // A token is in one batch only, so its id can name the batch as well.
        let batch = Batch::of(BatchId(jti.0), self.clock.own_moment(), Arc::clone(&grant));
        let verdict = self.store.issue(&batch).await?.into_iter().next();
        match verdict {
            Some(Verdict::Counted(receipt)) => {
                let recorded = Recorded::new(grant, receipt).ok_or_else(|| {
                    Error::Fault(Arc::new(Cause("a receipt was another token's".to_owned())))
                })?;
                Ok(Attempt::Signed(self.keyring.sign(recorded)?))
            }
            // The counting statement compared the agent's version, so this verdict is fresh.
            Some(Verdict::QuotaReached) => Err(Refusal::quota(grant.plan(), grant.limit()).into()),
            // Status comes before the code (contract D6), and the store compares no version of an agent
            // whose code is spent.
            Some(Verdict::Spent) => Ok(Attempt::Refused(Refusal::InvalidCode)),
            Some(Verdict::Stale) => Ok(Attempt::Stale),
            Some(Verdict::Locked) => Err(Error::Unavailable(Arc::new(LockedElsewhere))),
            None => Err(Error::Fault(Arc::new(Cause("the store gave no verdict".to_owned())))),
        }
    }
}

enum Attempt {
    Signed(SignedToken),
    Refused(Refusal),
    Stale,
}
