//! Read-through memory over any store. A remembered row may only say yes: its version is compared
//! where a token is counted, and before a refusal the caller reads the row fresh.
//!
//! Owns what is remembered. Must not know what a row is used for. There is no message that empties
//! it, so there is none to lose.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use quick_cache::sync::Cache;

use crate::domain::agent::{Agent, Epoch};
use crate::domain::id::{AgentId, Jti};
use crate::domain::scope::Catalogue;
use crate::domain::time::{Month, Timestamp};

use super::{
    AgentRecord, Batch, Freshness, IssuedToken, KeyRecord, Outcome, Revocations, Standing, Store, StoreError,
    StoreKey, TokenRef, Verdict, Write,
};

/// How many agents are remembered.
const AGENTS: usize = 100_000;

/// The wrapper.
pub struct Cached {
    inner: Arc<dyn Store>,
    agents: Cache<AgentId, Arc<AgentRecord>>,
    catalogue: ArcSwapOption<Catalogue>,
    imported: AtomicBool,
}

impl Cached {
    /// Wraps `inner` with nothing remembered.
    pub fn over(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            agents: Cache::new(AGENTS),
            catalogue: ArcSwapOption::empty(),
            imported: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl Store for Cached {
    async fn agent(
        &self,
        agent_id: &AgentId,
        freshness: Freshness,
    ) -> Result<Option<Arc<AgentRecord>>, StoreError> {
        if freshness == Freshness::Cached
            && let Some(known) = self.agents.get(agent_id)
        {
            return Ok(Some(known));
        }
        let read = self.inner.agent(agent_id, Freshness::Fresh).await?;
        match &read {
            // Only ids that exist are remembered, so a flood of others takes no room.
            Some(record) => self.agents.insert(agent_id.clone(), Arc::clone(record)),
            None => {
                self.agents.remove(agent_id);
            }
        }
        Ok(read)
    }

    async fn catalogue(&self, freshness: Freshness) -> Result<Arc<Catalogue>, StoreError> {
        if freshness == Freshness::Cached
            && let Some(known) = self.catalogue.load_full()
        {
            return Ok(known);
        }
        let read = self.inner.catalogue(Freshness::Fresh).await?;
        self.catalogue.store(Some(Arc::clone(&read)));
        Ok(read)
    }

    async fn holds_imported(&self, freshness: Freshness) -> Result<bool, StoreError> {
        if freshness == Freshness::Cached && self.imported.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let read = self.inner.holds_imported(Freshness::Fresh).await?;
        self.imported.store(read, Ordering::Relaxed);
        Ok(read)
    }

    async fn agents(&self, after: Option<&AgentId>, limit: i64) -> Result<Vec<Agent>, StoreError> {
        self.inner.agents(after, limit).await
    }

    async fn used(&self, agent_ids: &[AgentId], month: Month) -> Result<HashMap<AgentId, i64>, StoreError> {
        self.inner.used(agent_ids, month).await
    }

    async fn standing(&self, tokens: &[TokenRef]) -> Result<Vec<Standing>, StoreError> {
        self.inner.standing(tokens).await
    }

    async fn revocations(
        &self,
        since: i64,
        now: Timestamp,
        kills_after: Timestamp,
    ) -> Result<Revocations, StoreError> {
        self.inner.revocations(since, now, kills_after).await
    }

    async fn killed_tokens(
        &self,
        agent_id: &AgentId,
        below: Epoch,
        issued_from: Timestamp,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<IssuedToken>, StoreError> {
        self.inner.killed_tokens(agent_id, below, issued_from, now, limit).await
    }

    async fn issued_token(&self, jti: Jti) -> Result<Option<IssuedToken>, StoreError> {
        self.inner.issued_token(jti).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        self.inner.keys().await
    }

    async fn store_keys(&self) -> Result<Vec<StoreKey>, StoreError> {
        self.inner.store_keys().await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }

    async fn issue(&self, batch: &Batch) -> Result<Vec<Verdict>, StoreError> {
        self.inner.issue(batch).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Vec<Outcome>, StoreError> {
        self.inner.commit(writes).await
    }

    async fn prune(&self, now: Timestamp, events_before: Timestamp, most: i64) -> Result<u64, StoreError> {
        self.inner.prune(now, events_before, most).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
