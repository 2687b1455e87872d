//! Client authentication by a partner's token (RFC 7523): verifies that a partner signed it, and that
//! the agent trusts the partner for this subject.
//!
//! Owns the order of the checks. Agent and partner are read anew for each request, so that a suspension
//! is in force from the next one on. Such a token may be presented again until it expires.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::domain::agent::Audience;
use crate::domain::credential::Credential;
use crate::domain::event::reason::RefusalReason::{self, UnknownClient};
use crate::domain::id::{AgentId, ClientId, CredentialId};
use crate::domain::org::OrgId;
use crate::domain::partner::federation::{FederatedTtl, Federation, Mismatch};
use crate::domain::partner::record::Partner;
use crate::domain::partner::terms::{PartnerId, PartnerStatus};
use crate::domain::proof::PartnerProof;
use crate::domain::time::Timestamp;
use crate::keys::assertion::partner_token::PartnerDemands;
use crate::keys::assertion::{Assertion, FailedCheck};
use crate::keys::client_key::ClientKey;
use crate::service::error::{Cause, Error};
use crate::service::partner_key_cache::{FoundKeys, PartnerKeyCache};
use crate::store::{AgentRecord, Freshness, Records, Store};

/// How many of these requests read the database at once, so that a flood of forged tokens delays
/// nothing else by more than this.
const MAX_READS: usize = 4;

/// What a partner's token opens.
pub(super) type PartnerOpening = (Arc<AgentRecord>, CredentialId, PartnerProof);

/// The verdict on a partner's token.
enum Judgement {
    /// This credential trusts it.
    Trusted(CredentialId, PartnerProof),
    /// This check failed.
    Refused(FailedCheck),
    /// The partner's keys are not known yet. Holds why the last fetch failed, if it did.
    Later(Option<Arc<str>>),
}

/// What was found out about a partner's token, for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExaminedToken {
    /// The credential that it would open; `None` if it opens none.
    pub credential_id: Option<CredentialId>,
    /// The check that failed.
    pub failed: Option<&'static str>,
    /// What more is known of the failure.
    pub why: Option<String>,
}

/// Authenticates agents by tokens of partners.
pub struct PartnerTokens {
    store: Arc<dyn Store>,
    records: Arc<dyn Records>,
    keys: Arc<PartnerKeyCache>,
    issuer: Box<str>,
    reads: Semaphore,
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
        }
    }

    /// Whether a token of this issuer is one of this server's own, which prove nobody.
    pub(super) fn is_own(&self, issuer: &str) -> bool {
        *self.issuer == *issuer
    }

    /// What the token of `issuer` opens for the agent that the client names, or why it opens nothing.
    pub(super) async fn authenticate(
        &self,
        read: &Assertion,
        issuer: &str,
        client_id: &ClientId,
        now: Timestamp,
    ) -> Result<Result<PartnerOpening, RefusalReason>, Error> {
        if self.is_own(issuer) {
            return Ok(Err(RefusalReason::Assertion("issuer")));
        }
        // The semaphore is never closed.
        let permit = self.reads.acquire().await.ok();
        let record = match client_id.agent_id() {
            Some(agent_id) => self.store.agent(agent_id, Freshness::Fresh).await?,
            None => None,
        };
        let partners = match &record {
            Some(record) => self.partners_of(record, issuer, now).await?,
            None => vec![],
        };
        drop(permit);
        let Some(record) = record else {
            stand_in(read);
            return Ok(Err(UnknownClient));
        };
        let (mut refused, mut later) = (None, None);
        for partner in &partners {
            match self.judge(read, partner, &record, now) {
                Judgement::Trusted(credential, proof) => {
                    return Ok(Ok((record, credential, proof)));
                }
                Judgement::Refused(check) => refused = Some(check),
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
        Ok(Err(RefusalReason::Assertion(refused.unwrap_or("partner"))))
    }

    /// What the token would open for this agent, if whoever asks reaches its organization. Issues
    /// nothing.
    pub async fn examine(
        &self,
        partner: &Partner,
        agent_id: &AgentId,
        token: &str,
        reaches: impl Fn(&OrgId) -> bool,
    ) -> Result<ExaminedToken, Error> {
        let record = self.store.agent(agent_id, Freshness::Fresh).await?;
        let found = record.filter(|record| reaches(&record.agent.org_id));
        Ok(match found {
            Some(record) => self.examine_for(partner, &record, token, self.keys.now()),
            None => refused("agent", None),
        })
    }

    fn examine_for(
        &self,
        partner: &Partner,
        record: &AgentRecord,
        token: &str,
        now: Timestamp,
    ) -> ExaminedToken {
        let Some(read) = Assertion::read(token) else {
            return refused("format", None);
        };
        if read.partner() != Some(partner.issuer.as_str()) || self.is_own(partner.issuer.as_str()) {
            return refused("issuer", None);
        }
        if partner.status != PartnerStatus::Active || !serves(partner, record) {
            return refused("partner", None);
        }
        match self.judge(&read, partner, record, now) {
            Judgement::Trusted(credential_id, _) => ExaminedToken {
                credential_id: Some(credential_id),
                failed: None,
                why: None,
            },
            Judgement::Refused(check) => refused(check, None),
            Judgement::Later(why) => {
                let why = why.map_or_else(
                    || "they are being fetched: ask again in a moment".to_owned(),
                    |why| why.to_string(),
                );
                refused("keys", Some(why))
            }
        }
    }

    /// The active partners with this issuer of which the agent holds a live credential.
    async fn partners_of(
        &self,
        record: &AgentRecord,
        issuer: &str,
        now: Timestamp,
    ) -> Result<Vec<Partner>, Error> {
        let mut ids: Vec<PartnerId> = federations(record, now)
            .map(|(_, federation)| federation.partner_id)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let mut partners = vec![];
        for id in ids {
            let found = self.records.partner(id).await?;
            partners.extend(found.filter(|partner| {
                partner.issuer.as_str() == issuer
                    && partner.status == PartnerStatus::Active
                    && serves(partner, record)
            }));
        }
        Ok(partners)
    }

    /// The signature comes first, so that nothing but a partner's own token learns what a credential
    /// pins.
    fn judge(
        &self,
        read: &Assertion,
        partner: &Partner,
        record: &AgentRecord,
        now: Timestamp,
    ) -> Judgement {
        let keys = match self.keys.find(partner, read.kid()) {
            FoundKeys::Known(keys) => keys,
            FoundKeys::Later(why) => return Judgement::Later(why),
        };
        if read.verify(keys.iter().map(|key| (key, ()))).is_none() {
            return Judgement::Refused("signature");
        }
        let ends_at = match self.check(read, partner, now) {
            Ok(ends_at) => ends_at,
            Err(check) => return Judgement::Refused(check),
        };
        let mut failed = "partner";
        let of_partner = |(_, federation): &(&Credential, &Arc<Federation>)| {
            federation.partner_id == partner.partner_id
        };
        for (credential, federation) in federations(record, now).filter(of_partner) {
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

fn refused(failed: FailedCheck, why: Option<String>) -> ExaminedToken {
    ExaminedToken {
        credential_id: None,
        failed: Some(failed),
        why,
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
fn serves(partner: &Partner, record: &AgentRecord) -> bool {
    partner.org_id.is_default() || partner.org_id == record.agent.org_id
}

/// What a verification costs, so that the response time does not tell which agents trust a partner.
fn stand_in(read: &Assertion) {
    let nobody = std::iter::empty::<(&ClientKey, ())>();
    let _ = std::hint::black_box(read.verify(nobody));
}
