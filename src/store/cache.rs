//! Read-through cache over any store. A cached row may only lead to a yes: the statement that
//! counts a token compares its version, and before a refusal the caller reads the row fresh. It is
//! the outermost wrapper, and asks the gate before each call.
//!
//! Owns what is cached. Must not know what a row is used for. No message invalidates the cache, so
//! no such message can be lost.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use quick_cache::UnitWeighter;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::domain::agent::{RedirectUri, Terms, UserId};
use crate::domain::assertion::AssertionHash;
use crate::domain::catalogue::Catalogue;
use crate::domain::credential::HashCost;
use crate::domain::id::{AgentId, CodeId};
use crate::domain::time::Timestamp;

use super::gate::StoreGate;
use super::{
    AgentRecord, Batch, ExchangedToken, Freshness, Outcome, Standing, Store, StoreError, TokenRef,
    Verdict, Write,
};

/// How many agents are cached.
const MAX_AGENTS: u64 = 100_000;

/// How many agents are expected. Memory for these is allocated at the start, for others on demand.
const EXPECTED: usize = 1_000;

/// How many different terms are kept for sharing.
const MAX_SHARED_TERMS: usize = 1_000;

/// How long the costs of the imported credentials are cached. Not forever: once the last imported
/// credential is gone, a secret without this server's own form costs no hash any more.
const IMPORTED_TTL: Duration = Duration::from_secs(1);

/// The wrapper.
pub(crate) struct Cached {
    inner: Arc<dyn Store>,
    gate: Arc<StoreGate>,
    agents: Cache<AgentId, Arc<AgentRecord>>,
    shared_terms: SharedTerms,
    catalogue: ArcSwapOption<Catalogue>,
    imported: ImportedCosts,
}

impl Cached {
    /// Wraps `inner` with an empty cache, behind this gate.
    pub(crate) fn over(inner: Arc<dyn Store>, gate: Arc<StoreGate>) -> Self {
        Self {
            inner,
            gate,
            agents: Cache::with_weighter(EXPECTED, MAX_AGENTS, UnitWeighter),
            shared_terms: SharedTerms::default(),
            catalogue: ArcSwapOption::empty(),
            imported: ImportedCosts::default(),
        }
    }
}

/// The terms that many agents have in common, held once for all of them.
#[derive(Default)]
struct SharedTerms(Mutex<HashSet<Arc<Terms>>>);

impl SharedTerms {
    fn share(&self, record: &mut Arc<AgentRecord>) {
        // A record that other code holds too cannot be changed, so it keeps its own terms.
        let Some(record) = Arc::get_mut(record) else {
            return;
        };
        let mine = &mut record.agent.profile.terms;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = known.get(mine) {
            *mine = Arc::clone(same);
            return;
        }
        // Start again from empty, so that terms that no agent has any more do not use memory
        // forever.
        if known.len() >= MAX_SHARED_TERMS {
            known.clear();
        }
        known.insert(Arc::clone(mine));
    }
}

/// The result of reading the imported credentials' costs.
type CostsRead = Result<Arc<[HashCost]>, StoreError>;

/// The costs of the imported credentials, read once for all who ask at the same time. Every junk
/// secret that is presented asks for them, and junk may come in floods.
#[derive(Default)]
struct ImportedCosts {
    /// The costs, and until when they may be used. An empty list is never kept here.
    known: Mutex<Option<(Instant, Arc<[HashCost]>)>>,
    /// How many reads have begun.
    begun: AtomicU64,
    /// Locked during a read. Holds the number of the last read and its result.
    last: tokio::sync::Mutex<Option<(u64, CostsRead)>>,
}

impl ImportedCosts {
    fn known(&self) -> Option<Arc<[HashCost]>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .as_ref()
            .filter(|(until, _)| Instant::now() < *until)
            .map(|(_, costs)| Arc::clone(costs))
    }

    async fn read(&self, store: &dyn Store) -> CostsRead {
        let begun_before = self.begun.load(Ordering::SeqCst);
        let mut last = if let Ok(free) = self.last.try_lock() {
            free
        } else {
            let last = self.last.lock().await;
            match &*last {
                // A result is used only if its read began after this call. An error is not a
                // verdict about a client, so a caller may take the one of the read that it waited
                // for. When that read was cancelled, an older error says nothing about now.
                Some((number, Ok(held))) if *number > begun_before => return Ok(Arc::clone(held)),
                Some((number, Err(error))) if *number >= begun_before => return Err(error.clone()),
                _ => last,
            }
        };
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let until = Instant::now() + IMPORTED_TTL;
        let read = store.imported_costs(Freshness::Fresh).await;
        let known = read.as_ref().ok().filter(|held| !held.is_empty());
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) =
            known.map(|held| (until, Arc::clone(held)));
        *last = Some((number, read.clone()));
        read
    }
}

/// Whether this row is from before the other one. An agent's version and epoch only ever rise.
fn is_older(read: Option<&AgentRecord>, known: Option<&AgentRecord>) -> bool {
    let (Some(read), Some(known)) = (read, known) else {
        return false;
    };
    read.agent.version < known.agent.version || read.agent.epoch < known.agent.epoch
}

#[async_trait]
impl Store for Cached {
    async fn agent(
        &self,
        agent_id: &AgentId,
        freshness: Freshness,
    ) -> Result<Option<Arc<AgentRecord>>, StoreError> {
        self.gate.admit()?;
        if freshness == Freshness::Cached
            && let Some(known) = self.agents.get(agent_id)
        {
            return Ok(Some(known));
        }
        let known = self.agents.get(agent_id);
        let mut read = self.inner.agent(agent_id, Freshness::Fresh).await?;
        if is_older(read.as_deref(), known.as_deref()) {
            // Another read of this process may have overtaken this one. A second read began after
            // it.
            read = self.inner.agent(agent_id, Freshness::Fresh).await?;
            if is_older(read.as_deref(), known.as_deref()) {
                self.gate
                    .close("an agent's version in the database is lower than it was");
                self.gate.admit()?;
            }
        }
        match &mut read {
            // Only ids that exist are cached, so a flood of other ids uses no memory.
            Some(record) => {
                self.shared_terms.share(record);
                self.agents
                    .insert(record.agent.agent_id.clone(), Arc::clone(record));
            }
            None => {
                self.agents.remove(agent_id);
            }
        }
        Ok(read)
    }

    async fn catalogue(&self, freshness: Freshness) -> Result<Arc<Catalogue>, StoreError> {
        self.gate.admit()?;
        if freshness == Freshness::Cached
            && let Some(known) = self.catalogue.load_full()
        {
            return Ok(known);
        }
        let read = self.inner.catalogue(Freshness::Fresh).await?;
        self.catalogue.store(Some(Arc::clone(&read)));
        Ok(read)
    }

    async fn imported_costs(&self, freshness: Freshness) -> Result<Arc<[HashCost]>, StoreError> {
        self.gate.admit()?;
        if freshness == Freshness::Cached
            && let Some(known) = self.imported.known()
        {
            return Ok(known);
        }
        self.imported.read(&*self.inner).await
    }

    async fn admits_code(
        &self,
        agent_id: &AgentId,
        redirect_uri: &RedirectUri,
        user: Option<&UserId>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.gate.admit()?;
        self.inner
            .admits_code(agent_id, redirect_uri, user, now)
            .await
    }

    async fn standing(&self, tokens: &[TokenRef]) -> Result<Vec<Standing>, StoreError> {
        self.gate.admit()?;
        self.inner.standing(tokens).await
    }

    async fn exchanged(&self, code: CodeId) -> Result<Option<ExchangedToken>, StoreError> {
        self.gate.admit()?;
        self.inner.exchanged(code).await
    }

    async fn is_spent(&self, assertion: AssertionHash) -> Result<bool, StoreError> {
        self.gate.admit()?;
        self.inner.is_spent(assertion).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.gate.admit()?;
        self.inner.ping().await
    }

    async fn issue(&self, batch: &Batch) -> Result<Vec<Verdict>, StoreError> {
        self.gate.admit()?;
        self.inner.issue(batch).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Vec<Outcome>, StoreError> {
        self.gate.admit()?;
        self.inner.commit(writes).await
    }

    fn queues(&self) -> Vec<(&'static str, usize)> {
        self.inner.queues()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use crate::domain::ttl::Ttl;
    use crate::store::scripted::Scripted;
    use crate::store::scripted::samples::record;

    use super::*;

    #[tokio::test]
    async fn an_agent_is_served_from_memory_until_a_fresh_read_replaces_or_forgets_it() {
        let store = Arc::new(Scripted::failing(&[]));
        let cached = Cached::over(store.clone(), Arc::default());
        let id = AgentId::parse("a").unwrap();
        let read = async |freshness| {
            cached
                .agent(&id, freshness)
                .await
                .unwrap()
                .map(|r| r.agent.version)
        };
        store.set_agent(Some(record("a", 1)));
        assert_eq!(read(Freshness::Cached).await, Some(1));
        store.set_agent(Some(record("a", 2)));
        assert_eq!(read(Freshness::Cached).await, Some(1));
        assert_eq!(store.calls(), 1);
        assert_eq!(read(Freshness::Fresh).await, Some(2));
        assert_eq!(read(Freshness::Cached).await, Some(2));
        store.set_agent(None);
        assert_eq!(read(Freshness::Fresh).await, None);
        assert_eq!(read(Freshness::Cached).await, None);
        // The absence of an agent is not cached: each of the last two reads asked the store.
        assert_eq!(store.calls(), 4);
    }

    #[test]
    fn agents_on_the_same_terms_share_them() {
        let shared_terms = SharedTerms::default();
        let read = |id: &str, version| {
            let mut read = Arc::new(record(id, version));
            shared_terms.share(&mut read);
            read
        };
        let (a, b) = (read("a", 1), read("b", 2));
        assert!(Arc::ptr_eq(&a.agent.profile.terms, &b.agent.profile.terms));
        assert_eq!((&*a, &*b), (&record("a", 1), &record("b", 2)));
    }

    #[test]
    fn what_is_shared_is_bounded() {
        let shared_terms = SharedTerms::default();
        for seconds in 0..3 * MAX_SHARED_TERMS {
            let mut record = record("a", 1);
            let seconds = i64::try_from(300 + seconds).unwrap();
            Arc::make_mut(&mut record.agent.profile.terms).ttl = Some(Ttl::new(seconds).unwrap());
            shared_terms.share(&mut Arc::new(record));
        }
        assert!(shared_terms.0.into_inner().unwrap().len() <= MAX_SHARED_TERMS);
    }

    #[tokio::test]
    async fn a_read_that_failed_leaves_what_is_remembered() {
        let store = Arc::new(Scripted::failing(&[1]));
        let cached = Cached::over(store.clone(), Arc::default());
        let id = AgentId::parse("a").unwrap();
        store.set_agent(Some(record("a", 1)));
        cached.agent(&id, Freshness::Cached).await.unwrap();
        assert!(cached.agent(&id, Freshness::Fresh).await.is_err());
        assert!(
            cached
                .agent(&id, Freshness::Cached)
                .await
                .unwrap()
                .is_some()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn junk_that_comes_together_shares_a_read_that_began_after_it() {
        let store = Arc::new(Scripted::failing(&[]).slow(Duration::from_millis(10)));
        let cached = Cached::over(store.clone(), Arc::default());
        let junk = || join_all((0..100).map(|_| cached.imported_costs(Freshness::Cached)));
        assert!(
            junk()
                .await
                .into_iter()
                .all(|held| held.unwrap().is_empty())
        );
        assert_eq!(store.calls(), 2);
        // The next read finds a credential that was imported just now.
        store.set_imported(true);
        assert!(
            !cached
                .imported_costs(Freshness::Cached)
                .await
                .unwrap()
                .is_empty()
        );
        assert_eq!(store.calls(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_shared_by_all_who_waited_for_it() {
        let store = Arc::new(Scripted::failing(&[0, 1]).slow(Duration::from_secs(2)));
        let cached = Cached::over(store.clone(), Arc::default());
        let began = Instant::now();
        let junk = join_all((0..100).map(|_| cached.imported_costs(Freshness::Cached))).await;
        assert!(junk.iter().all(Result::is_err));
        assert_eq!((store.calls(), began.elapsed().as_secs()), (1, 2));
        assert!(cached.imported_costs(Freshness::Cached).await.is_err());
        assert!(
            cached
                .imported_costs(Freshness::Cached)
                .await
                .unwrap()
                .is_empty()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_failure_is_not_repeated_to_those_who_waited_for_a_read_that_was_cancelled() {
        let store = Scripted::failing(&[0]).slow(Duration::from_secs(1));
        let cached = Cached::over(Arc::new(store), Arc::default());
        assert!(cached.imported_costs(Freshness::Cached).await.is_err());
        let waits = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            cached.imported_costs(Freshness::Cached).await
        };
        let cancelled = tokio::time::timeout(
            Duration::from_millis(500),
            cached.imported_costs(Freshness::Cached),
        );
        let (cancelled, waited) = tokio::join!(cancelled, waits);
        assert!(cancelled.is_err());
        assert!(waited.is_ok(), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn that_imported_credentials_are_held_is_known_for_a_second() {
        let store = Arc::new(Scripted::failing(&[]));
        let cached = Cached::over(store.clone(), Arc::default());
        store.set_imported(true);
        assert!(
            !cached
                .imported_costs(Freshness::Cached)
                .await
                .unwrap()
                .is_empty()
        );
        store.set_imported(false);
        tokio::time::advance(Duration::from_millis(999)).await;
        assert!(
            !cached
                .imported_costs(Freshness::Cached)
                .await
                .unwrap()
                .is_empty()
        );
        assert_eq!(store.calls(), 1);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(
            cached
                .imported_costs(Freshness::Cached)
                .await
                .unwrap()
                .is_empty()
        );
    }
}
