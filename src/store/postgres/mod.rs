//! The store on PostgreSQL: the store of record for one or many servers.
//!
//! Owns the connections, the schema's version and what an error of the database means. Must not
//! know what is cached or batched in front of it. `options` reads the URL, `migrate` changes the schema,
//! `errors` says what an error means, `lane` and `shelf` keep connections, `read` asks (`killed` for the
//! tokens of killed agents), `write` changes (`agents` what belongs to one), `issue` counts tokens (`locked`
//! knows whose cannot be counted now), `redeem` those that cost a code.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use crate::domain::agent::{Agent, RedirectUri, UserId};
use crate::domain::catalogue::Catalogue;
use crate::domain::credential::HashCost;
use crate::domain::id::{AgentId, CodeId, Jti};
use crate::domain::time::{Month, Timestamp};

use super::write::{revoked_jtis, with_known, without_known};
use super::{
    AgentRecord, Batch, Change, ExchangedToken, Freshness, IssuedToken, KeyRecord, KilledTokens, OpenError,
    Outcome, Revocations, Sought, Standing, Store, StoreError, StoreKey, TokenRef, Verdict, Write,
};
use errors::{bounded, is_broken, is_passing, is_rolled_back, open_error, says_full};
use lane::{Lane, Plan, ask};
use locked::LockedAgents;
pub use migrate::migrate;
use options::options;
use shelf::Shelf;

mod agents;
mod errors;
mod issue;
mod killed;
mod lane;
mod locked;
mod migrate;
mod options;
mod read;
mod redeem;
mod shelf;
mod write;

/// How long any one call may take. Longer is an answer of its own: unavailable.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// How often a transaction that the database gave up, or that met a broken connection before its
/// commit, is tried again.
const RETRIES: u32 = 3;

/// How often the first call of a process asks for a connection when the database gives no more; each try
/// waits for two seconds.
const FULL_TRIES: u32 = 5;

/// Every schema change, in order. A line here goes with a file of the same number on the other side.
const MIGRATIONS: [(i64, &str, &str); 7] = [
    (1, "initial", include_str!("../../../migrations/postgres/0001_initial.sql")),
    (2, "authorization_code", include_str!("../../../migrations/postgres/0002_authorization_code.sql")),
    (3, "raw_basic", include_str!("../../../migrations/postgres/0003_raw_basic.sql")),
    (4, "known_user", include_str!("../../../migrations/postgres/0004_known_user.sql")),
    (5, "imported_cost", include_str!("../../../migrations/postgres/0005_imported_cost.sql")),
    (6, "spent_token", include_str!("../../../migrations/postgres/0006_spent_token.sql")),
    (7, "signing_key_seal", include_str!("../../../migrations/postgres/0007_signing_key_seal.sql")),
];

/// A PostgreSQL database that holds everything.
#[derive(Debug)]
pub struct PostgresStore {
    /// Counts tokens: one connection, so that batches stand in line.
    issue: Arc<Lane>,
    /// Whose tokens nobody can count at the moment.
    locked: LockedAgents,
    /// Every other write, kills above all: never behind tokens.
    commit: Arc<Lane>,
    /// Revocations of single tokens, which any client may ask for: never before an operator's kill.
    revoke: Arc<Lane>,
    /// Reads that decide whether a token lives, the news of the revocation list among them: a long look-up in
    /// the other lane must not keep them.
    standing: Arc<Lane>,
    /// Every other read, and the pruning.
    general: Arc<Lane>,
}

/// What the database says of itself and of the role before anything else is asked.
type Terms = (String, Option<i32>);

impl PostgresStore {
    /// Connects and checks the schema. Fails within a few seconds when the database is away, and
    /// by name when only `migrate` is missing. A newer schema is accepted. With five connections each
    /// lane has one of its own, with fewer some share.
    pub async fn open(url: &str, max_connections: u32) -> Result<PostgresStore, OpenError> {
        let options = options(url)?;
        let shelf = Arc::new(Shelf::default());
        let general = Arc::new(Lane::new(options.clone(), Plan::Free, &shelf, 0));
        let (encoding, limit): Terms = first_answer(&general).await.map_err(open_error)?;
        demand_utf8(encoding)?;
        if ask!(general, read::applied_migrations)
            .await
            .map_err(open_error)?
            .is_none_or(|applied| MIGRATIONS.iter().any(|(version, _, _)| !applied.contains(version)))
        {
            return Err(OpenError::SchemaOlder);
        }
        // One is left to the commands, which are processes of their own.
        let limit = limit.and_then(|limit| u32::try_from(limit).ok()).map(|limit| limit.saturating_sub(1));
        let budget = max_connections.min(limit.unwrap_or(u32::MAX));
        let own = |from: u32, plan, number, otherwise: &Arc<Lane>| {
            let has_own = budget >= from;
            if has_own {
                Arc::new(Lane::new(options.clone(), plan, &shelf, number))
            } else {
                Arc::clone(otherwise)
            }
        };
        let issue = own(2, Plan::Indexed, 1, &general);
        let commit = own(3, Plan::Free, 2, &general);
        let standing = own(4, Plan::Indexed, 3, &general);
        let revoke = own(5, Plan::Free, 4, &commit);
        general.widen(budget.saturating_sub(5));
        Ok(PostgresStore { issue, locked: LockedAgents::default(), commit, revoke, standing, general })
    }

    /// Each lane once.
    fn lanes(&self) -> Vec<&Arc<Lane>> {
        let mut lanes = vec![&self.issue, &self.commit, &self.revoke, &self.standing, &self.general];
        lanes.sort_by_key(|lane| Arc::as_ptr(lane));
        lanes.dedup_by_key(|lane| Arc::as_ptr(lane));
        lanes
    }
}

/// Servers that met the limit give connections back within seconds: whoever comes for the first time
/// waits so long.
async fn first_answer(lane: &Lane) -> Result<Terms, StoreError> {
    let mut tries = 1;
    loop {
        match ask!(lane, read::terms).await {
            Err(StoreError::Unavailable(cause)) if tries < FULL_TRIES && says_full(&*cause) => tries += 1,
            done => return done,
        }
    }
}

/// Whoever may name a user names one in any script, and every such text has to find its place.
fn demand_utf8(encoding: String) -> Result<(), OpenError> {
    if encoding == "UTF8" { Ok(()) } else { Err(OpenError::Encoding(encoding)) }
}

fn migrator() -> Migrator {
    let migration = |(version, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(MIGRATIONS.into_iter().map(migration).collect());
    // A newer program may have been here: migrations only expand, so this one goes on.
    migrator.set_ignore_missing(true);
    migrator
}

#[async_trait]
impl Store for PostgresStore {
    async fn agent(
        &self,
        agent_id: &AgentId,
        _freshness: Freshness,
    ) -> Result<Option<Arc<AgentRecord>>, StoreError> {
        ask!(self.general, read::agent, agent_id).await
    }

    async fn admits_code(
        &self,
        agent_id: &AgentId,
        redirect_uri: &RedirectUri,
        user: Option<&UserId>,
    ) -> Result<bool, StoreError> {
        ask!(self.general, read::admits_code, agent_id, redirect_uri, user).await
    }

    async fn agents(&self, after: Option<&AgentId>, limit: i64) -> Result<Vec<Agent>, StoreError> {
        ask!(self.general, read::agents, after, limit).await
    }

    async fn used(&self, agent_ids: &[AgentId], month: Month) -> Result<HashMap<AgentId, i64>, StoreError> {
        ask!(self.general, read::used, agent_ids, month).await
    }

    async fn catalogue(&self, _freshness: Freshness) -> Result<Arc<Catalogue>, StoreError> {
        ask!(self.general, read::catalogue).await
    }

    async fn imported_costs(&self, _freshness: Freshness) -> Result<Arc<[HashCost]>, StoreError> {
        ask!(self.general, read::imported_costs).await
    }

    async fn standing(&self, tokens: &[TokenRef]) -> Result<Vec<Standing>, StoreError> {
        ask!(self.standing, read::standing, tokens).await
    }

    async fn revocations(
        &self,
        since: i64,
        now: Timestamp,
        kills_after: Timestamp,
    ) -> Result<Revocations, StoreError> {
        ask!(self.standing, read::revocations, since, now, kills_after).await
    }

    async fn newest_event(&self) -> Result<i64, StoreError> {
        ask!(self.general, killed::newest_event).await
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
        ask!(self.general, read::issued_token, jti).await
    }

    async fn exchanged(&self, code: CodeId) -> Result<Option<ExchangedToken>, StoreError> {
        ask!(self.general, redeem::exchanged, code).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        ask!(self.general, read::keys).await
    }

    async fn store_keys(&self) -> Result<Vec<StoreKey>, StoreError> {
        ask!(self.general, read::store_keys).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        ask!(self.general, read::ping).await
    }

    async fn clock(&self) -> Result<Option<i64>, StoreError> {
        ask!(self.standing, read::clock).await.map(Some)
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
                ask!(self.revoke, read::revoked, jtis).await?
            }
            None => HashSet::new(),
        };
        let rest = without_known(&writes, &known);
        let outcomes = write::commit(lane, &rest).await?;
        Ok(with_known(&writes, &known, outcomes))
    }

    async fn prune(&self, now: Timestamp, keep_events: i64, most: i64) -> Result<u64, StoreError> {
        write::prune(&self.general, now, keep_events, most).await
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

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    #[test]
    fn every_migration_file_is_in_the_list() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
        names.sort_unstable();
        let listed = MIGRATIONS.map(|(version, name, _)| format!("{version:04}_{name}.sql"));
        assert_eq!(names, listed);
    }
}
