//! A store for tests of the wrappers: it counts its calls, and fails, hangs or waits as scripted.
//!
//! Must not know which wrapper is around it. Calls that the wrappers only pass on are left out.

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::agent::{RedirectUri, UserId};
use crate::domain::assertion::AssertionHash;
use crate::domain::catalogue::Catalogue;
use crate::domain::credential::HashCost;
use crate::domain::id::{AgentId, CodeId};
use crate::domain::time::Timestamp;

use super::{
    AgentRecord, Batch, ExchangedToken, Freshness, Outcome, Standing, Store, StoreError, TokenRef,
    Verdict, Write,
};

/// The store. Calls are counted from 0, whatever they ask for.
#[derive(Default)]
pub(super) struct Scripted {
    fails: Vec<usize>,
    hangs_from: Option<usize>,
    takes: Duration,
    calls: AtomicUsize,
    batches: Mutex<Vec<u128>>,
    commits: Mutex<Vec<usize>>,
    agent: Mutex<Option<Arc<AgentRecord>>>,
    imported: AtomicBool,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ScriptedFault(String);

fn told(what: String) -> Arc<dyn Error + Send + Sync> {
    Arc::new(ScriptedFault(what))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scripted {
    /// A store that is unavailable at these calls.
    pub(super) fn failing(calls: &[usize]) -> Self {
        Self {
            fails: calls.to_vec(),
            ..Self::default()
        }
    }

    /// The same store, but it does not answer from this call on.
    pub(super) fn hanging_from(self, call: usize) -> Self {
        Self {
            hangs_from: Some(call),
            ..self
        }
    }

    /// The same store, but each call takes this long.
    pub(super) fn slow(self, takes: Duration) -> Self {
        Self { takes, ..self }
    }

    /// How often the store was called.
    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// The ids of the batches that were sent to the store, in order.
    pub(super) fn batches(&self) -> Vec<u128> {
        lock(&self.batches).clone()
    }

    /// The number of writes in each commit, in order.
    pub(super) fn commits(&self) -> Vec<usize> {
        lock(&self.commits).clone()
    }

    /// Sets what the next read of any agent finds.
    pub(super) fn set_agent(&self, record: Option<AgentRecord>) {
        *lock(&self.agent) = record.map(Arc::new);
    }

    /// Sets whether the next read finds imported credentials.
    pub(super) fn set_imported(&self, held: bool) {
        self.imported.store(held, Ordering::SeqCst);
    }

    /// Counts a call, and does what is scripted for it.
    async fn call(&self) -> Result<(), StoreError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if self.hangs_from.is_some_and(|from| call >= from) {
            std::future::pending::<()>().await;
        }
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        if self.fails.contains(&call) {
            return Err(StoreError::Unavailable(told(format!("call {call} failed"))));
        }
        Ok(())
    }
}

fn unscripted<T>() -> Result<T, StoreError> {
    Err(StoreError::Fault(told(
        "the script has no such call".to_owned(),
    )))
}

#[async_trait]
impl Store for Scripted {
    async fn agent(
        &self,
        _agent_id: &AgentId,
        _freshness: Freshness,
    ) -> Result<Option<Arc<AgentRecord>>, StoreError> {
        self.call().await?;
        Ok(lock(&self.agent).clone())
    }

    async fn admits_code(
        &self,
        _agent_id: &AgentId,
        _redirect_uri: &RedirectUri,
        _user: Option<&UserId>,
        _now: Timestamp,
    ) -> Result<bool, StoreError> {
        unscripted()
    }

    async fn catalogue(&self, _freshness: Freshness) -> Result<Arc<Catalogue>, StoreError> {
        unscripted()
    }

    async fn imported_costs(&self, _freshness: Freshness) -> Result<Arc<[HashCost]>, StoreError> {
        self.call().await?;
        let held = self
            .imported
            .load(Ordering::SeqCst)
            .then(|| HashCost("$2b$10$".into()));
        Ok(held.into_iter().collect())
    }

    async fn standing(&self, tokens: &[TokenRef]) -> Result<Vec<Standing>, StoreError> {
        self.call().await?;
        Ok(tokens.iter().map(|_| Standing::default()).collect())
    }

    async fn is_spent(&self, _: AssertionHash) -> Result<bool, StoreError> {
        unscripted()
    }

    async fn exchanged(&self, _code: CodeId) -> Result<Option<ExchangedToken>, StoreError> {
        unscripted()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        unscripted()
    }

    async fn issue(&self, batch: &Batch) -> Result<Vec<Verdict>, StoreError> {
        lock(&self.batches).push(batch.id.0.as_u128());
        self.call().await?;
        Ok(batch.grants.iter().map(|_| Verdict::QuotaReached).collect())
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Vec<Outcome>, StoreError> {
        lock(&self.commits).push(writes.len());
        self.call().await?;
        Ok(vec![Outcome::Applied; writes.len()])
    }
}

/// Values for the tests of both wrappers.
#[cfg(test)]
pub(super) mod samples {
    use std::sync::Arc;

    use uuid::Uuid;

    use crate::domain::about::About;
    use crate::domain::agent::{
        Agent, AgentName, AgentStatus, Audience, Epoch, Profile, RedirectUri, Terms,
    };
    use crate::domain::catalogue::{Catalogue, CatalogueEntry};
    use crate::domain::code::{Code, CodeRef};
    use crate::domain::grant::{Applicant, Basis, Grant, Policy, TokenRequest, decide};
    use crate::domain::id::{AgentId, BatchId, CodeId, Jti};
    use crate::domain::org::{OrgId, OrgStanding};
    use crate::domain::proof::{OwnProof, ProvenBy};
    use crate::domain::quota::PlanName;
    use crate::domain::risk::RiskRules;
    use crate::domain::scope::Scope;
    use crate::domain::time::{Moment, Timestamp};
    use crate::domain::ttl::Ttl;
    use crate::store::{AgentRecord, Batch};

    const CALLBACK: &str = "https://app.example/cb";

    /// An agent with this version and without credentials.
    pub(crate) fn record(agent_id: &str, version: i64) -> AgentRecord {
        AgentRecord {
            agent: agent(agent_id, version),
            org: OrgStanding::default(),
            credentials: Box::default(),
        }
    }

    fn agent(agent_id: &str, version: i64) -> Agent {
        let profile = Profile {
            name: AgentName::parse("n").unwrap(),
            about: About::default(),
            terms: Arc::new(Terms {
                scopes: vec![Scope::parse("db:read").unwrap()],
                ttl: None,
                plan: PlanName::free(),
                audiences: vec![],
                redirect_uris: vec![RedirectUri::parse(CALLBACK).unwrap()],
                user_ids: vec![],
            }),
            expires_at: None,
        };
        Agent {
            agent_id: AgentId::parse(agent_id).unwrap(),
            org_id: OrgId::default(),
            profile,
            status: AgentStatus::Active,
            suspended_by: None,
            epoch: Epoch(0),
            version,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        }
    }

    /// A batch with this id and one grant.
    pub(crate) fn batch(id: u128) -> Batch {
        batch_for(id, &Basis::Own)
    }

    /// A batch with this id and one grant, which costs a code.
    pub(crate) fn exchange(id: u128) -> Batch {
        let reference = CodeRef {
            id: CodeId(Uuid::from_u128(id)),
            expires_at: Timestamp(60),
        };
        let code = Code {
            reference,
            redirect_uri: CALLBACK.to_owned(),
            user: None,
        };
        batch_for(id, &Basis::Code(code))
    }

    fn batch_for(id: u128, basis: &Basis) -> Batch {
        batch_of(id, &agent("a", 1), basis, Timestamp(0))
    }

    /// A batch with this id and one grant, decided at `now` for this agent.
    pub(crate) fn batch_of(id: u128, agent: &Agent, basis: &Basis, now: Timestamp) -> Batch {
        let scope = Scope::parse("db:read").unwrap();
        let entry = CatalogueEntry {
            scope,
            description: String::new(),
            high_risk: false,
        };
        let policy = Policy {
            default_ttl: Ttl::DEFAULT,
            default_audience: Audience::parse("https://issuer.example").unwrap(),
            risk: RiskRules::default(),
            secretless: vec![],
        };
        let catalogue = Catalogue::new(1, vec![entry]);
        let jti = Jti(Uuid::from_u128(id));
        let applicant = Applicant {
            agent,
            limit: None,
            now,
            proof: ProvenBy::Own(OwnProof::Secret),
        };
        let grant: Grant = decide(
            &applicant,
            &catalogue,
            &policy,
            basis,
            &TokenRequest::default(),
            jti,
        )
        .unwrap();
        Batch::of(BatchId(Uuid::from_u128(id)), Moment(0), 0, Arc::new(grant))
    }
}
