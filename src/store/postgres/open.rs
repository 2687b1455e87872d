//! Opening PostgreSQL: which lanes there are, and what must be so before anything is asked.
//!
//! Owns how the connections that may be had are shared out. Must not know any table.

use std::sync::Arc;

use crate::store::error::{OpenError, StoreError};

use super::errors::{open_error, says_full};
use super::lane::{Lane, ask};
use super::locked::LockedAgents;
use super::options::options;
use super::plan::Plan;
use super::schema::{self, LockWait, MIGRATIONS, demand_utf8};
use super::shelf::Shelf;

/// How often the first call of a process asks for a connection when the database gives no more; each try
/// waits for two seconds.
const FULL_TRIES: u32 = 5;

/// A PostgreSQL database that holds everything.
#[derive(Debug)]
pub struct PostgresStore {
    /// Counts tokens: one connection, so that batches stand in line.
    pub(super) issue: Arc<Lane>,
    /// Whose tokens nobody can count at the moment.
    pub(super) locked: LockedAgents,
    /// Every other write, kills above all: never behind tokens.
    pub(super) commit: Arc<Lane>,
    /// Revocations of single tokens, which any client may ask for: never before an operator's kill.
    pub(super) revoke: Arc<Lane>,
    /// Reads that decide whether a token lives, the news of the revocation list among them: a long look-up in
    /// the other lane must not keep them.
    pub(super) standing: Arc<Lane>,
    /// Every other read, and the pruning.
    pub(super) general: Arc<Lane>,
}

impl PostgresStore {
    /// Connects and checks the schema. Fails within a few seconds when the database is away, and
    /// by name when only `migrate` is missing. A newer schema is accepted. With five connections each
    /// lane has one of its own, with fewer some share.
    pub async fn open(url: &str, max_connections: u32) -> Result<PostgresStore, OpenError> {
        let options = options(url)?;
        let shelf = Arc::new(Shelf::default());
        let general = Arc::new(Lane::new(options.clone(), Plan::Free, &shelf, 0));
        let (encoding, limit): LockWait = first_answer(&general).await.map_err(open_error)?;
        demand_utf8(encoding)?;
        if ask!(general, schema::applied_migrations)
            .await
            .map_err(open_error)?
            .is_none_or(|applied| {
                MIGRATIONS
                    .iter()
                    .any(|(version, _, _)| !applied.contains(version))
            })
        {
            return Err(OpenError::SchemaOlder);
        }
        // One is left to the commands, which are processes of their own.
        let limit = limit
            .and_then(|limit| u32::try_from(limit).ok())
            .map(|limit| limit.saturating_sub(1));
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
        Ok(PostgresStore {
            issue,
            locked: LockedAgents::default(),
            commit,
            revoke,
            standing,
            general,
        })
    }

    /// Each lane once.
    pub(super) fn lanes(&self) -> Vec<&Arc<Lane>> {
        let mut lanes = vec![
            &self.issue,
            &self.commit,
            &self.revoke,
            &self.standing,
            &self.general,
        ];
        lanes.sort_by_key(|lane| Arc::as_ptr(lane));
        lanes.dedup_by_key(|lane| Arc::as_ptr(lane));
        lanes
    }
}

/// Servers that met the limit give connections back within seconds: whoever comes for the first time
/// waits so long.
async fn first_answer(lane: &Lane) -> Result<LockWait, StoreError> {
    let mut tries = 1;
    loop {
        match ask!(lane, schema::terms).await {
            Err(StoreError::Unavailable(cause)) if tries < FULL_TRIES && says_full(&*cause) => {
                tries += 1;
            }
            done => return done,
        }
    }
}
