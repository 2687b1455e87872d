//! The store on PostgreSQL: the store of record for one or many servers.
//!
//! Owns the connections, the schema's version and what an error of the database means. Must not
//! know what is cached or batched in front of it. `options` reads a URL, `hosts` has
//! the servers and finds the primary, `pooling` recognises a pool that shares sessions, `open` checks the
//! database, `lanes` distributes connections and `reserve` leaves one to the commands,
//! `query_planning` has the settings of a session, `schema` lists the changes of the schema,
//! `migrate` applies them, `errors` says what an error means, `rights` what the role must be
//! allowed, `lane`, `allowance` and `shelf` keep connections, `ask` is one read on them. `agents`,
//! `scopes`, `tokens`, `revocations`, `killed`, `events` and `keys` read, `places` keeps how far the
//! events were read, `processes` who serves, `write` changes, `prune` removes. `issue` issues tokens with the statement
//! of `count` and `count_one` (`locked` knows the agents whose tokens cannot be counted now), `redeem` those that
//! cost a code.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::agent::{RedirectUri, UserId};
use crate::domain::assertion::AssertionHash;
use crate::domain::catalogue::Catalogue;
use crate::domain::credential::HashCost;
use crate::domain::id::{AgentId, CodeId};
use crate::domain::time::Timestamp;

use crate::store::write::{revoked_jtis, with_known, without_known};
use crate::store::{
    AgentRecord, Batch, Change, ExchangedToken, Freshness, Outcome, Standing, Store, StoreError,
    TokenChange, TokenRef, Verdict, Write,
};

mod agent_columns;
mod agent_search;
mod agents;
mod allowance;
mod ask;
mod count;
mod count_one;
mod credentials;
mod describe;
mod errors;
mod events;
mod generation;
mod holders;
mod hosts;
mod issue;
mod keys;
mod killed;
mod lane;
mod lanes;
mod locked;
mod log;
mod migrate;
mod open;
mod options;
mod orgs;
mod partners;
mod places;
mod pooling;
mod processes;
mod prune;
mod query_planning;
mod redeem;
mod replies;
mod reserve;
mod revocations;
mod rights;
mod schema;
mod scopes;
mod search;
mod shelf;
mod spend;
mod terms;
mod tokens;
mod usage;
mod verifiers;
mod write;

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
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        ask!(
            self.general,
            agents::admits_code,
            agent_id,
            redirect_uri,
            user,
            now
        )
        .await
    }

    async fn catalogue(&self, _freshness: Freshness) -> Result<Arc<Catalogue>, StoreError> {
        ask!(self.general, scopes::catalogue).await
    }

    async fn imported_costs(&self, _freshness: Freshness) -> Result<Arc<[HashCost]>, StoreError> {
        ask!(self.general, agents::imported_costs).await
    }

    async fn standing(&self, tokens: &[TokenRef]) -> Result<Vec<Standing>, StoreError> {
        ask!(self.lanes.standing(), tokens::standing, tokens).await
    }

    async fn exchanged(&self, code: CodeId) -> Result<Option<ExchangedToken>, StoreError> {
        ask!(self.general, redeem::exchanged, code).await
    }

    async fn is_spent(&self, assertion: AssertionHash) -> Result<bool, StoreError> {
        ask!(self.general, spend::is_spent, assertion).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        rights::demand(&self.general).await
    }

    async fn issue(&self, batch: &Batch) -> Result<Vec<Verdict>, StoreError> {
        // Decided here, so that counting tokens without a code takes one statement.
        if batch.grants.iter().any(|grant| grant.code().is_some()) {
            redeem::issue(self.lanes.issue(), &self.locked, &self.terms, batch).await
        } else {
            issue::issue(self.lanes.issue(), &self.locked, &self.terms, batch).await
        }
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Vec<Outcome>, StoreError> {
        let is_revocation =
            |write: &Write| matches!(write.change, Change::Token(TokenChange::Revoke { .. }));
        let lane = if writes.iter().all(is_revocation) {
            self.lanes.revoke()
        } else {
            self.lanes.commit()
        };
        // A token that is already revoked costs no lock.
        let known = match revoked_jtis(&writes) {
            Some(jtis) => {
                let jtis = &jtis;
                ask!(self.lanes.revoke(), tokens::revoked, jtis).await?
            }
            None => HashSet::new(),
        };
        let rest = without_known(&writes, &known);
        let outcomes = write::commit(lane, &rest).await?;
        Ok(with_known(&writes, &known, outcomes))
    }
}
