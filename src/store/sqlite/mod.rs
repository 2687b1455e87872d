//! The store in a SQLite file: the default, which needs no set-up.
//!
//! Owns the file, its schema and what an error of SQLite means. Must not know what is cached or
//! batched in front of it. `open` opens the file, `file` knows whether it is still there, `schema`
//! lists the changes of the schema, `errors` says what an error means, `lane` keeps connections,
//! `turn` makes processes take turns, `serve_lock` lets one process serve, `in_use` recognises a copy of an open file, `backup` makes copies. `agents`, `scopes`, `tokens`, `revocations`, `killed`,
//! `events` with `packed_tokens`, and `keys` read, `places` keeps how far the events were read, `processes` who serves, `write` changes, `prune`
//! removes. `issue` counts tokens, `redeem` those that cost a code, `spend` those that cost an assertion, all by the
//! statements in `count` and `record`, to which `rows` gives lists of rows.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;

use crate::domain::agent::{RedirectUri, UserId};
use crate::domain::assertion::AssertionHash;
use crate::domain::catalogue::Catalogue;
use crate::domain::credential::HashCost;
use crate::domain::id::{AgentId, CodeId};
use crate::domain::time::Timestamp;

use crate::store::retry::TIMEOUT;
use crate::store::spend::spends;
use crate::store::write::{revoked_jtis, with_known, without_known};
use crate::store::{
    AgentRecord, Batch, ExchangedToken, Freshness, Outcome, Standing, Store, StoreError, TokenRef,
    Verdict, Write,
};

mod agent_columns;
mod agent_search;
mod agents;
mod backup;
mod count;
mod credentials;
mod describe;
mod errors;
mod events;
mod file;
mod generation;
mod holders;
mod in_use;
mod issue;
mod keys;
mod killed;
mod lane;
mod log;
mod open;
mod orgs;
mod packed_tokens;
mod partners;
mod places;
mod processes;
mod prune;
mod record;
mod redeem;
mod replies;
mod revocations;
mod rows;
mod schema;
mod scopes;
mod search;
mod serve_lock;
mod spend;
mod terms;
mod tokens;
mod turn;
mod usage;
mod verifiers;
mod write;

use in_use::{NO_RUN, end_run, end_use};
use lane::ask;
pub(crate) use open::Content;
pub use open::SqliteStore;
pub use serve_lock::NotAlone;
pub(crate) use serve_lock::ServeLock;
pub(crate) use turn::give_to_owner_of;

#[async_trait]
impl Store for SqliteStore {
    async fn agent(
        &self,
        agent_id: &AgentId,
        _freshness: Freshness,
    ) -> Result<Option<Arc<AgentRecord>>, StoreError> {
        ask!(self.readers, agents::agent, agent_id).await
    }

    async fn admits_code(
        &self,
        agent_id: &AgentId,
        redirect_uri: &RedirectUri,
        user: Option<&UserId>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        ask!(
            self.readers,
            agents::admits_code,
            agent_id,
            redirect_uri,
            user,
            now
        )
        .await
    }

    async fn catalogue(&self, _freshness: Freshness) -> Result<Arc<Catalogue>, StoreError> {
        ask!(self.readers, scopes::catalogue).await
    }

    async fn imported_costs(&self, _freshness: Freshness) -> Result<Arc<[HashCost]>, StoreError> {
        ask!(self.readers, agents::imported_costs).await
    }

    async fn standing(&self, tokens: &[TokenRef]) -> Result<Vec<Standing>, StoreError> {
        ask!(self.readers, tokens::standing, tokens).await
    }

    async fn exchanged(&self, code: CodeId) -> Result<Option<ExchangedToken>, StoreError> {
        ask!(self.readers, redeem::exchanged, code).await
    }

    async fn is_spent(&self, assertion: AssertionHash) -> Result<bool, StoreError> {
        ask!(self.readers, spend::is_spent, assertion).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        prune::ping(&self.readers).await
    }

    async fn issue(&self, batch: &Batch) -> Result<Vec<Verdict>, StoreError> {
        // Decided here, so that counting other tokens need not ask whether a code or an assertion is
        // spent.
        if batch.grants.iter().any(|grant| grant.code().is_some()) {
            redeem::issue(&self.writer, &self.terms, batch).await
        } else if spends(batch) {
            spend::issue(&self.writer, &self.terms, batch).await
        } else {
            issue::issue(&self.writer, &self.terms, batch).await
        }
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Vec<Outcome>, StoreError> {
        // A token that is already revoked costs no turn.
        let known = match revoked_jtis(&writes) {
            Some(jtis) => {
                let jtis = &jtis;
                ask!(self.readers, tokens::revoked, jtis).await?
            }
            None => HashSet::new(),
        };
        let rest = without_known(&writes, &known);
        let outcomes = write::commit(&self.writer, &rest).await?;
        Ok(with_known(&writes, &known, outcomes))
    }

    /// The last connection that closes moves the content of the write-ahead log into the file. A
    /// process that keeps the turn to write must not keep this process from ending.
    async fn close(&self) {
        let close = async {
            self.readers.close().await;
            let run = self.run.load(Ordering::Relaxed);
            let last = (run != NO_RUN).then(|| end_use(&self.path, run));
            if self.writer.close(last).await {
                end_run(&self.path, run);
            }
        };
        let _ = tokio::time::timeout(TIMEOUT, close).await;
    }
}
