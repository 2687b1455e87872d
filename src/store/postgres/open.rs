//! Opening PostgreSQL: what is checked before anything is asked.
//!
//! Owns how long a new process waits for its first connection. Must not know any table.

use std::sync::Arc;

use crate::store::error::{OpenError, StoreError};
use crate::store::named_terms::NamedTerms;
use crate::store::terms_book::TermsBook;

use super::errors::{bounded, open_error, says_full};
use super::hosts::Hosts;
use super::lane::{Lane, LaneConnection, ask};
use super::lanes::Lanes;
use super::locked::LockedAgents;
use super::pooling::demand_own_session;
use super::query_planning::QueryPlanning;
use super::schema::{self, MIGRATIONS, ServerTerms, demand_utf8};
use super::shelf::Shelf;

/// How often a new process tries to get its first connection if the database gives no more.
/// Each try waits for two seconds.
const FULL_TRIES: u32 = 5;

/// A PostgreSQL database that holds everything.
#[derive(Debug)]
pub struct PostgresStore {
    /// The servers of the database.
    pub(super) hosts: Arc<Hosts>,
    /// The connections of the different kinds of work.
    pub(super) lanes: Lanes,
    /// The lane of every read that has no lane of its own, and of pruning. It is one of the lanes.
    pub(super) general: Arc<Lane>,
    /// The agents whose tokens cannot be counted at the moment.
    pub(super) locked: LockedAgents,
    /// The terms that have a row of their own.
    pub(super) terms: TermsBook,
    /// The terms that events named lately.
    pub(super) named_terms: NamedTerms,
}

impl PostgresStore {
    /// Connects and checks the schema. Fails within a few seconds if the database cannot be
    /// reached. Has its own error if only `migrate` is missing. Accepts a newer schema.
    ///
    /// There is one URL for each server that may be the primary.
    pub async fn open(
        urls: &[impl AsRef<str> + Sync],
        max_connections: u32,
    ) -> Result<PostgresStore, OpenError> {
        let hosts = Arc::new(Hosts::new(urls)?);
        let shelf = Arc::new(Shelf::default());
        let general = Arc::new(Lane::new(
            &hosts,
            QueryPlanning::ByServer,
            &shelf,
            ("general", 0),
        ));
        // Before any prepared statement, which a pool that shares sessions refuses with an error of its
        // own.
        let mut held = first_connection(&general).await.map_err(open_error)?;
        demand_own_session(&hosts, &mut held.conn).await?;
        held.keep();
        let terms = ask!(general, schema::terms).await;
        let (encoding, limit): ServerTerms = terms.map_err(open_error)?;
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
        general.widen(budget.saturating_sub(5));
        let number = |count| usize::try_from(count).unwrap_or(usize::MAX);
        let lanes = Lanes::new(
            &hosts,
            &shelf,
            &general,
            number(budget),
            number(max_connections),
        );
        Ok(PostgresStore {
            lanes,
            hosts,
            terms: TermsBook::default(),
            named_terms: NamedTerms::default(),
            general,
            locked: LockedAgents::default(),
        })
    }
}

/// Servers that met the limit give connections back within seconds. A new process waits that long.
async fn first_connection(lane: &Lane) -> Result<LaneConnection<'_>, StoreError> {
    let mut tries = 1;
    loop {
        match bounded(lane.take()).await {
            Err(StoreError::Unavailable(cause)) if tries < FULL_TRIES && says_full(&*cause) => {
                tries += 1;
            }
            done => return done,
        }
    }
}
