//! Client authentication by a partner's token (RFC 7523): verifies that a partner signed it, and that
//! the agent trusts the partner for this subject.
//!
//! Owns the order of the checks. Agent and partner are read anew for each request, so that a suspension
//! is in force from the next one on. Such a token may be presented again until it expires.

use std::sync::Arc;

use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use crate::domain::agent::Audience;
use crate::domain::credential::Credential;
use crate::domain::event::reason::RefusalReason::{self, UnknownClient};
use crate::domain::id::{ClientId, CredentialId};
use crate::domain::partner::federation::{FederatedTtl, Federation, Mismatch};
use crate::domain::partner::record::Partner;
use crate::domain::partner::source::PartnerIssuer;
use crate::domain::partner::terms::PartnerStatus;
use crate::domain::proof::PartnerProof;
use crate::domain::time::Timestamp;
use crate::keys::assertion::partner_token::PartnerDemands;
use crate::keys::assertion::{Assertion, FailedCheck};
use crate::keys::client_key::ClientKey;
use crate::service::error::{Cause, Error};
use crate::service::partner_key_cache::{FoundKeys, PartnerKeyCache};
use crate::store::{AgentRecord, Freshness, Records, Store};

use super::failures::Guess;

/// How many of these requests read the database at once, so that a flood of forged tokens delays
/// nothing else by more than this.
const MAX_READS: usize = 4;

/// How many of them read at once for sources that failed lately, besides [`MAX_READS`]. No other
/// source waits for theirs.
const MAX_SUSPECT_READS: usize = 1;

/// How many tokens are remembered as ones that proved an agent.
const MAX_PROVEN: usize = 100_000;

/// What a partner's token opens.
pub(super) type PartnerOpening = (Arc<AgentRecord>, CredentialId, PartnerProof);

/// The verdict on a partner's token.
pub(super) enum Judgement {
    /// This credential trusts it.
    Trusted(CredentialId, PartnerProof),
    /// This check failed.
    Refused(FailedCheck),
    /// The partner's keys are not known yet. Holds why the last fetch failed, if it did.
    Later(Option<Arc<str>>),
}

/// Authenticates agents by tokens of partners.
pub struct PartnerTokens {
    pub(super) store: Arc<dyn Store>,
    records: Arc<dyn Records>,
    pub(super) keys: Arc<PartnerKeyCache>,
    issuer: Box<str>,
    reads: Semaphore,
    suspect_reads: Semaphore,
    /// Tokens that proved an agent. Nobody in the network of such an agent locks it out.
    proven: Cache<[u8; 32], ()>,
}

impl PartnerTokens {
    /// For tokens that name this issuer as an audience, unless their partner names others.
    pub fn new(
        store: Arc<dyn Store>,
        records: Arc<dyn Records>,
        keys: Arc<PartnerKeyCache>,
        issuer: &str,
    ) -> Self {
        Self {
            store,
            records,
            keys,
            issuer: issuer.into(),
            reads: Semaphore::new(MAX_READS),
            suspect_reads: Semaphore::new(MAX_SUSPECT_READS),
            proven: Cache::new(MAX_PROVEN),
        }
    }

    /// Whether a token of this issuer is one of this server's own, which prove nobody.
    pub(super) fn is_own(&self, issuer: &str) -> bool {
        *self.issuer == *issuer
    }

    /// What the token of `issuer` opens for the agent that the client names, or why it opens nothing.
    /// A source that has used up its failures gets nothing read, unless the token proved its agent
    /// before.
    pub(super) async fn authenticate(
        &self,
        (read, issuer): (&Assertion, &str),
        client_id: &ClientId,
        guess: &Guess,
        now: Timestamp,
    ) -> Result<Result<PartnerOpening, RefusalReason>, Error> {
        let digest = read.digest(client_id);
        if self.proven.get(&digest).is_some() {
            return self.open((read, issuer), client_id, &self.reads, now).await;
        }
        let admit = || guess.admit().inspect_err(|_| stand_in(read));
        admit()?;
        let reads = if guess.is_suspect() {
            &self.suspect_reads
        } else {
            &self.reads
        };
        let opened = self.open((read, issuer), client_id, reads, now).await?;
        if opened.is_ok() {
            self.proven.insert(digest, ());
        } else {
            // Others of this source may have failed meanwhile.
            admit()?;
            guess.charge();
        }
        Ok(opened)
    }

    async fn open(
        &self,
        (read, issuer): (&Assertion, &str),
        client_id: &ClientId,
        reads: &Semaphore,
        now: Timestamp,
    ) -> Result<Result<PartnerOpening, RefusalReason>, Error> {
        if self.is_own(issuer) {
            return Ok(Err(RefusalReason::Assertion("issuer")));
        }
        // The semaphores are never closed.
        let permit = reads.acquire().await.ok();
        let record = match client_id.agent_id() {
            Some(agent_id) => self.store.agent(agent_id, Freshness::Fresh).await?,
            None => None,
        };
        let partners = match PartnerIssuer::parse(issuer) {
            // An unknown agent costs the same reads.
            Ok(issuer) => {
                let org_id = record.as_ref().map(|record| &record.agent.org_id);
                let org_id = org_id.cloned().unwrap_or_default();
                self.records.partners_of_issuer(&org_id, &issuer).await?
            }
            Err(_) => vec![],
        };
        drop(permit);
        let (mut refused, mut later) = (None, None);
        let trusts = |partner: &Partner| {
            let mut trusted = record.iter().flat_map(|record| federations(record, now));
            trusted.any(|(_, federation)| federation.partner_id == partner.partner_id)
        };
        let active = |partner: &&Partner| partner.status == PartnerStatus::Active;
        for partner in partners.iter().filter(active) {
            match self.judge(read, partner, record.as_deref(), now) {
                Judgement::Trusted(credential, proof) => {
                    let opened = record.map(|record| (record, credential, proof));
                    return Ok(opened.ok_or(UnknownClient));
                }
                Judgement::Refused(check) if trusts(partner) => refused = Some(check),
                Judgement::Refused(_) => refused = refused.or(Some("partner")),
                Judgement::Later(why) => later = Some(why),
            }
        }
        if let Some(why) = later {
            let what = "the keys of a partner are not known yet";
            let told = why.map_or_else(|| what.to_owned(), |why| format!("{what}: {why}"));
            return Err(Error::Unavailable(Arc::new(Cause(told))));
        }
        if refused.is_none() {
            stand_in(read);
        }
        let check = RefusalReason::Assertion(refused.unwrap_or("partner"));
        Ok(Err(record.map_or(UnknownClient, |_| check)))
    }

    /// The signature comes first, so that nothing but a partner's own token learns what a credential
    /// pins. It is verified whether or not the agent exists and trusts the partner, so that neither the
    /// answer nor its time tells which agents trust a partner of the first organization.
    pub(super) fn judge(
        &self,
        read: &Assertion,
        partner: &Partner,
        record: Option<&AgentRecord>,
        now: Timestamp,
    ) -> Judgement {
        let keys = match self.keys.find(partner, read.kid()) {
            FoundKeys::Known(keys) => keys,
            FoundKeys::Later(why) => return Judgement::Later(why),
        };
        if read.verify(keys.iter().map(|key| (key, ()))).is_none() {
            return match self.keys.find_named(partner, read.kid()) {
                FoundKeys::Known(_) => Judgement::Refused("signature"),
                FoundKeys::Later(why) => Judgement::Later(why),
            };
        }
        let ends_at = match self.check(read, partner, now) {
            Ok(ends_at) => ends_at,
            Err(check) => return Judgement::Refused(check),
        };
        let mut failed = "partner";
        let of_partner = |(_, federation): &(&Credential, &Arc<Federation>)| {
            federation.partner_id == partner.partner_id
        };
        let trusting = record
            .into_iter()
            .flat_map(|record| federations(record, now));
        for (credential, federation) in trusting.filter(of_partner) {
            // The partner may require more than it did when the credential was made.
            if federation
                .unpinned(&partner.terms.required_claims)
                .is_some()
            {
                failed = "claim";
                continue;
            }
            match federation.trusts(read.claims()) {
                Ok(()) => {
                    let proof = PartnerProof {
                        scopes: federation.scopes.clone(),
                        ttl: federation.ttl.map(FederatedTtl::secs),
                        ends_at,
                    };
                    return Judgement::Trusted(credential.credential_id, proof);
                }
                Err(Mismatch::Claim) => failed = "claim",
                Err(Mismatch::Subject) if failed == "partner" => failed = "subject",
                Err(Mismatch::Subject) => {}
            }
        }
        Judgement::Refused(failed)
    }

    fn check(
        &self,
        read: &Assertion,
        partner: &Partner,
        now: Timestamp,
    ) -> Result<Timestamp, FailedCheck> {
        let terms = &partner.terms;
        let audiences: Vec<&str> = match &terms.audiences {
            Some(all) => all.as_slice().iter().map(Audience::as_str).collect(),
            None => vec![&self.issuer],
        };
        let algorithms = terms.algorithms.as_ref();
        let algorithms: Option<Vec<&str>> =
            algorithms.map(|all| all.as_slice().iter().map(|one| one.as_str()).collect());
        read.check_of_partner(&PartnerDemands {
            audiences: &audiences,
            algorithms: algorithms.as_deref(),
            max_age: terms.max_age.secs(),
            now,
        })
    }
}

/// The live federated credentials of an agent, the oldest first.
fn federations(
    record: &AgentRecord,
    now: Timestamp,
) -> impl Iterator<Item = (&Credential, &Arc<Federation>)> {
    let oldest_first = record.credentials.iter().rev();
    let live = oldest_first.filter(move |credential| credential.is_live(now));
    live.filter_map(|credential| Some((credential, credential.federation.as_ref()?)))
}

/// Whether the partner serves the agent's organization. A partner of the first one serves all.
pub(super) fn serves(partner: &Partner, record: &AgentRecord) -> bool {
    partner.org_id.is_default() || partner.org_id == record.agent.org_id
}

/// What a verification costs, so that the response time does not tell which agents trust a partner.
fn stand_in(read: &Assertion) {
    let nobody = std::iter::empty::<(&ClientKey, ())>();
    let _ = std::hint::black_box(read.verify(nobody));
}
