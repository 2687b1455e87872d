//! The mint: authenticate, decide, count, sign. In this order and nowhere else.
//!
//! Must not know how a request arrived or how its response looks.

use std::sync::Arc;
use std::time::Instant;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::context::RequestContext;
use crate::domain::grant::{Applicant, Basis, Policy, TokenRequest, decide};
use crate::domain::id::{BatchId, Jti};
use crate::domain::quota::{Plans, QuotaWindow};
use crate::domain::refusal::Refusal;
use crate::entropy::{Entropy, uuid_v7};
use crate::keys::{Keyring, SignedToken};
use crate::store::{AgentRecord, Batch, LockedElsewhere, Recorded, Store, StoreError, Verdict};

use super::clients::assertion::refuse_spent;
use super::clients::authenticate::Authenticator;
use super::clients::credentials::ClientCredentials;
use super::codes::{Codes, PresentedCode};
use super::error::{Cause, Error};
use super::keys::KeyService;
use super::limits::Limits;
use super::look::{Look, NotGranted, Refused};
use super::plans::SharedPlans;
use super::replay::Replays;

/// How often a decision is repeated because the agent changed meanwhile. After that, the caller is
/// told to retry and is never refused.
const MAX_STALE: usize = 3;

/// What a client asks for after it has authenticated.
pub struct Ask {
    /// Scopes and audiences.
    pub request: TokenRequest,
    /// The authorization code that the client presents, if any.
    pub code: Option<PresentedCode>,
}

/// A token that was issued.
#[derive(Debug)]
pub struct Issued {
    /// The token.
    pub token: SignedToken,
    /// What is left of the agent's quota, as the statement that counted the token found it. `None`
    /// if the plan has no limit, or if the answer of that statement was lost.
    pub quota: Option<QuotaWindow>,
}

/// What a mint is made of.
pub struct MintParts {
    /// Authenticates clients.
    pub authenticator: Arc<Authenticator>,
    /// Counts tokens.
    pub store: Arc<dyn Store>,
    /// Says whether the keys may be used to sign.
    pub keys: Arc<KeyService>,
    /// Opens authorization codes.
    pub codes: Arc<Codes>,
    /// Handles codes that are presented again.
    pub replays: Replays,
    /// Signs tokens.
    pub keyring: Arc<Keyring>,
    /// The server's rules.
    pub policy: Policy,
    /// The configured plans.
    pub plans: SharedPlans,
    /// The request rates.
    pub limits: Arc<Limits>,
    /// The clock.
    pub clock: Arc<StoreClock>,
    /// The source of token ids.
    pub entropy: Arc<dyn Entropy>,
}

/// Issues tokens. The parts are private, so that a handler reaches no store through the mint.
pub struct Mint {
    parts: MintParts,
}

impl Mint {
    /// A mint of these parts.
    pub fn new(parts: MintParts) -> Self {
        Self { parts }
    }

    /// The plans, which others may share.
    pub fn plans(&self) -> SharedPlans {
        Arc::clone(&self.parts.plans)
    }

    /// Replaces the configured plans. The operations on agents share them.
    pub fn set_plans(&self, plans: Plans) {
        self.parts.plans.store(Arc::new(plans));
    }

    /// Issues one token to the agent that authenticates (contract D6: client authentication → agent
    /// status → request rate → scope → quota → issue), unless its assertion was exchanged before.
    pub async fn issue(
        &self,
        credentials: &ClientCredentials,
        ask: &Ask,
        context: &RequestContext,
    ) -> Result<Issued, Error> {
        let began = credentials.assertion.is_some().then(Instant::now);
        let issued = self.issue_once(credentials, ask, context).await;
        let assertions = self.parts.authenticator.assertions();
        let Some(began) = began else { return issued };
        assertions
            .settle(issued, (credentials, began), context)
            .await
    }

    async fn issue_once(
        &self,
        credentials: &ClientCredentials,
        ask: &Ask,
        context: &RequestContext,
    ) -> Result<Issued, Error> {
        self.parts.keys.ready_to_sign().await?;
        let (mut look, mut charged) = (Look::REMEMBERED, false);
        for _ in 0..=MAX_STALE {
            let record = self
                .parts
                .authenticator
                .authenticate(credentials, look, context)
                .await?;
            match self
                .attempt(&record, credentials, ask, look, context, &mut charged)
                .await
            {
                Ok(issued) => return Ok(issued),
                Err(NotGranted::LookAgain) => look = Look::FRESH,
                Err(NotGranted::Refused(refused)) => {
                    let error = self.refuse(&record, credentials, ask, refused, context);
                    return Err(error.await);
                }
                Err(NotGranted::Undecided(undecided)) => return Err(undecided.into()),
            }
        }
        Err(Error::Unavailable(Arc::new(Cause(
            "the agent kept changing".to_owned(),
        ))))
    }

    /// Whether tokens can be counted: commits an empty batch in the same way as a batch with
    /// tokens.
    pub async fn count_nobody(&self) -> Result<(), Error> {
        let id = BatchId(uuid_v7(&*self.parts.clock, &*self.parts.entropy)?);
        self.parts
            .store
            .issue(&Batch {
                id,
                now: self.parts.clock.own_moment(),
                keys_version: self.parts.keyring.version(),
                grants: vec![],
            })
            .await?;
        Ok(())
    }

    /// The error for a refusal that rests on a fresh row. First revokes the token of an earlier
    /// exchange of the same code.
    async fn refuse(
        &self,
        record: &AgentRecord,
        credentials: &ClientCredentials,
        ask: &Ask,
        refused: Refused,
        context: &RequestContext,
    ) -> Error {
        let killed = match &ask.code {
            Some(presented) => {
                let credential = self.parts.authenticator.credential_of(record, credentials);
                self.parts
                    .replays
                    .kill_first(&record.agent.agent_id, credential, presented, context)
                    .await
            }
            None => Ok(()),
        };
        killed.err().unwrap_or_else(|| refused.into())
    }

    /// One decision on rows that were read with this `look`, and the token or refusal that follows
    /// from it. The request is charged only once, which `charged` records.
    async fn attempt(
        &self,
        record: &AgentRecord,
        credentials: &ClientCredentials,
        ask: &Ask,
        look: Look,
        context: &RequestContext,
        charged: &mut bool,
    ) -> Result<Issued, NotGranted> {
        let agent = &record.agent;
        if !*charged {
            self.parts
                .limits
                .charge_request(&agent.agent_id)
                .map_err(|refusal| look.refuse(refusal))?;
            *charged = true;
        }
        // The credential may have expired since it was verified. The next attempt then refuses it.
        let credential = self
            .parts
            .authenticator
            .credential_of(record, credentials)
            .ok_or(NotGranted::LookAgain)?;
        let assertion = credentials.assertion();
        let catalogue = self.parts.store.catalogue(look.freshness()).await?;
        let limit = self
            .parts
            .plans
            .load()
            .limit(&agent.profile.terms.plan)
            .ok_or_else(|| {
                // A plan that is missing in the configuration is not a verdict about the agent
                // (contract D9).
                let why = format!("plan {} is not configured", agent.profile.terms.plan);
                look.refuse(Error::Unavailable(Arc::new(Cause(why))))
            })?;
        let jti = Jti(uuid_v7(&*self.parts.clock, &*self.parts.entropy)?);
        let basis = match &ask.code {
            Some(presented) => self
                .parts
                .codes
                .open(&agent.agent_id, presented)
                .map(Basis::Code),
            None => Ok(Basis::Own),
        };
        let mut now = self.parts.clock.own_moment();
        // The store's time decides when an agent or a proof expires. Then the token's `iat` must not be later,
        // however long the batch waits, so that the token outlives neither.
        let partner = credentials.partner_proof();
        let decided_at = match (agent.profile.expires_at, &partner) {
            (None, None) => now,
            _ => self.parts.clock.moment(),
        };
        now = now.min(decided_at);
        let applicant = Applicant {
            agent,
            limit,
            now: decided_at.second(),
            proof: credentials.proven_by(partner.as_deref()),
        };
        let (policy, request) = (&self.parts.policy, &ask.request);
        let decided =
            basis.and_then(|basis| decide(&applicant, &catalogue, policy, &basis, request, jti));
        let grant = Arc::new(
            decided
                .map_err(|refusal| look.refuse(refusal))?
                .proven_by(credential)
                .costing(assertion)
                .asked_by(context.source, Some(context.request_id.reference())),
        );
        // A token is in one batch only, so its id can also be the id of the batch.
        let keys_version = self.parts.keyring.version();
        let batch = Batch::of(BatchId(jti.0), now, keys_version, Arc::clone(&grant));
        let asked = self.parts.clock.steady();
        match self.parts.store.issue(&batch).await?.into_iter().next() {
            Some(Verdict::Counted(receipt)) => {
                let granted = Arc::clone(&grant);
                let recorded = Recorded::new(grant, receipt)
                    .ok_or_else(|| fault("a receipt was another token's"))?;
                let quota = limit
                    .zip(receipt.used())
                    .map(|(limit, used)| QuotaWindow::new(limit, used, self.parts.clock.now()));
                self.parts.keys.renew_lease(asked).await?;
                let token = self.parts.keyring.sign(recorded)?;
                context.issue(&granted);
                Ok(Issued { token, quota })
            }
            // The counting statement compared the agent's version, so this verdict is fresh.
            Some(Verdict::QuotaReached) => Err(NotGranted::counted(Refusal::quota(
                grant.plan(),
                limit,
                self.parts.clock.now(),
            ))),
            Some(Verdict::Spent) if assertion.is_some() => {
                Err(NotGranted::counted(refuse_spent(context)))
            }
            // The agent's status comes before the code (contract D6), and the store does not
            // compare an agent's version if the code is spent.
            Some(Verdict::Spent) => Err(look.refuse(Refusal::InvalidCode)),
            Some(Verdict::Stale) => {
                self.parts.keys.follow_since(asked).await?;
                Err(NotGranted::LookAgain)
            }
            Some(Verdict::Locked) => Err(StoreError::Unavailable(Arc::new(LockedElsewhere)).into()),
            None => Err(fault("the store gave no verdict").into()),
        }
    }
}

fn fault(why: &str) -> StoreError {
    StoreError::Fault(Arc::new(Cause(why.to_owned())))
}
