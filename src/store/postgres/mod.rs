//! The store on PostgreSQL: the store of record for one or many servers.
//!
//! Owns the connections, the schema's version and what an error of the database means. Must not
//! know what is cached or batched in front of it. `options` reads the URL, `open` shares connections out,
//! `schema` lists its changes, `migrate` makes them, `errors` says what an error means, `lane` and `shelf` keep
//! connections; `agents`, `scopes`, `tokens`, `revocations`, `killed`, `events` and `keys` ask, `write` changes,
//! `prune` removes; `issue` counts tokens (`locked` knows whose cannot be counted now), `redeem` those that cost
//! a code.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::agent::{Agent, RedirectUri, UserId};
use crate::domain::catalogue::Catalogue;
use crate::domain::credential::HashCost;
use crate::domain::id::{AgentId, CodeId, Jti};
use crate::domain::time::{Month, Timestamp};
use crate::store::write::{revoked_jtis, with_known, without_known};
use crate::store::{
    AgentRecord, Batch, Change, ExchangedToken, Freshness, IssuedToken, KeyRecord, KilledTokens, Outcome,
    Revocations, Sought, Standing, Store, StoreError, StoreKey, TokenRef, Verdict, Write,
};

mod agents;
mod errors;
mod events;
mod issue;
mod keys;
mod killed;
mod lane;
mod locked;
mod migrate;
mod open;
mod options;
mod prune;
mod redeem;
mod revocations;
mod schema;
mod scopes;
mod shelf;
mod tokens;
mod write;

use errors::bounded;
use lane::ask;
pub use migrate::migrate;
pub use open::PostgresStore;

#[async_trait]
impl Store for PostgresStore {
    async fn agent(
        &self,
        agent_id: &AgentId,
        _freshness: Freshness,
    ) -> Result<Option<Arc<AgentRecord>>, StoreError> {
        ask!(self.general, agents::agent, agent_id).await
    }

    async fn admits_code(
        &self,
        agent_id: &AgentId,
        redirect_uri: &RedirectUri,
        user: Option<&UserId>,
    ) -> Result<bool, StoreError> {
        ask!(self.general, agents::admits_code, agent_id, redirect_uri, user).await
    }

    async fn agents(&self, after: Option<&AgentId>, limit: i64) -> Result<Vec<Agent>, StoreError> {
        ask!(self.general, agents::agents, after, limit).await
    }

    async fn used(&self, agent_ids: &[AgentId], month: Month) -> Result<HashMap<AgentId, i64>, StoreError> {
        ask!(self.general, agents::used, agent_ids, month).await
    }

    async fn catalogue(&self, _freshness: Freshness) -> Result<Arc<Catalogue>, StoreError> {
        ask!(self.general, scopes::catalogue).await
    }

    async fn imported_costs(&self, _freshness: Freshness) -> Result<Arc<[HashCost]>, StoreError> {
        ask!(self.general, agents::imported_costs).await
    }

    async fn standing(&self, tokens: &[TokenRef]) -> Result<Vec<Standing>, StoreError> {
        ask!(self.standing, tokens::standing, tokens).await
    }

    async fn revocations(
        &self,
        since: i64,
        now: Timestamp,
        kills_after: Timestamp,
    ) -> Result<Revocations, StoreError> {
        ask!(self.standing, revocations::revocations, since, now, kills_after).await
    }

    async fn newest_event(&self) -> Result<i64, StoreError> {
        ask!(self.general, events::newest_event).await
    }

    async fn killed_tokens(
        &self,
        sought: &[Sought],
        after: Option<i64>,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<KilledTokens>, StoreError> {
        killed::killed_tokens(&self.general, sought, after, now, most).await
    }

    async fn issued_token(&self, jti: Jti) -> Result<Option<IssuedToken>, StoreError> {
        ask!(self.general, events::issued_token, jti).await
    }

    async fn exchanged(&self, code: CodeId) -> Result<Option<ExchangedToken>, StoreError> {
        ask!(self.general, redeem::exchanged, code).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        ask!(self.general, keys::keys).await
    }

    async fn store_keys(&self) -> Result<Vec<StoreKey>, StoreError> {
        ask!(self.general, keys::store_keys).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        ask!(self.general, prune::ping).await
    }

    async fn clock(&self) -> Result<Option<i64>, StoreError> {
        ask!(self.standing, prune::clock).await.map(Some)
    }

    async fn issue(&self, batch: &Batch) -> Result<Vec<Verdict>, StoreError> {
        // Whether any token costs a code is asked here, so that counting the others does not ask.
        if batch.grants.iter().any(|grant| grant.code().is_some()) {
            redeem::issue(&self.issue, &self.locked, batch).await
        } else {
            issue::issue(&self.issue, &self.locked, batch).await
        }
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Vec<Outcome>, StoreError> {
        let is_revocation = |write: &Write| matches!(write.change, Change::RevokeToken { .. });
        let lane = if writes.iter().all(is_revocation) { &self.revoke } else { &self.commit };
        // What is revoked already costs no lock.
        let known = match revoked_jtis(&writes) {
            Some(jtis) => {
                let jtis = &jtis;
                ask!(self.revoke, tokens::revoked, jtis).await?
            }
            None => HashSet::new(),
        };
        let rest = without_known(&writes, &known);
        let outcomes = write::commit(lane, &rest).await?;
        Ok(with_known(&writes, &known, outcomes))
    }

    async fn prune(&self, now: Timestamp, keep_events: i64, most: i64) -> Result<u64, StoreError> {
        prune::prune(&self.general, now, keep_events, most).await
    }

    /// Keeps one connection of each lane at hand, and gives back what lies idle.
    async fn rest(&self) -> Result<(), StoreError> {
        let mut done = Ok(());
        for lane in self.lanes() {
            done = done.and(bounded(lane.rest()).await);
        }
        done
    }
}
