//! Opening PostgreSQL: which lanes there are, and what is checked before anything is asked.
//!
//! Owns how the available connections are distributed. Must not know any table.

use std::sync::Arc;

use crate::store::error::{OpenError, StoreError};

use super::errors::{open_error, says_full};
use super::lane::{Lane, ask};
use super::locked::LockedAgents;
use super::options::options;
use super::query_planning::QueryPlanning;
use super::schema::{self, MIGRATIONS, ServerTerms, demand_utf8};
use super::shelf::Shelf;

/// How often the first call of a process tries to get a connection if the database gives no more.
/// Each try waits for two seconds.
const FULL_TRIES: u32 = 5;

/// A PostgreSQL database that holds everything.
#[derive(Debug)]
pub struct PostgresStore {
    /// Counts tokens. It has one connection, so that batches wait in line.
    pub(super) issue: Arc<Lane>,
    /// The agents whose tokens cannot be counted at the moment.
    pub(super) locked: LockedAgents,
    /// Every other write, above all kills. They never wait behind tokens.
    pub(super) commit: Arc<Lane>,
    /// Revocations of single tokens, which any client may request. They never delay an operator's
    /// kill.
    pub(super) revoke: Arc<Lane>,
    /// Reads that decide whether a token is valid, and reads of changes to the revocation list. A
    /// long look-up in the general lane must not delay them.
    pub(super) standing: Arc<Lane>,
    /// Every other read, and pruning.
    pub(super) general: Arc<Lane>,
}

impl PostgresStore {
    /// Connects and checks the schema. Fails within a few seconds if the database cannot be
    /// reached. Has its own error if only `migrate` is missing. Accepts a newer schema. With five
    /// connections, each lane has its own; with fewer, some lanes share.
    pub async fn open(url: &str, max_connections: u32) -> Result<PostgresStore, OpenError> {
        let options = options(url)?;
        let shelf = Arc::new(Shelf::default());
        let general = Arc::new(Lane::new(
            options.clone(),
            QueryPlanning::ByServer,
            &shelf,
            0,
        ));
        let (encoding, limit): ServerTerms = first_answer(&general).await.map_err(open_error)?;
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
        // One connection is left to the commands, which are separate processes.
        let limit = limit
            .and_then(|limit| u32::try_from(limit).ok())
            .map(|limit| limit.saturating_sub(1));
        let budget = max_connections.min(limit.unwrap_or(u32::MAX));
        let own = |from: u32, planning, number, otherwise: &Arc<Lane>| {
            let has_own = budget >= from;
            if has_own {
                Arc::new(Lane::new(options.clone(), planning, &shelf, number))
            } else {
                Arc::clone(otherwise)
            }
        };
        let issue = own(2, QueryPlanning::ByIndex, 1, &general);
        let commit = own(3, QueryPlanning::ByServer, 2, &general);
        let standing = own(4, QueryPlanning::ByIndex, 3, &general);
        let revoke = own(5, QueryPlanning::ByServer, 4, &commit);
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

    /// Every lane once, even if it is shared.
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

/// Servers that met the limit give connections back within seconds. A new process waits that long.
async fn first_answer(lane: &Lane) -> Result<ServerTerms, StoreError> {
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
