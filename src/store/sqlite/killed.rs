//! The tokens of killed agents, on SQLite. They are read from the `token.issued` events, chunk by
//! chunk, so that each statement can finish within its timeout.

use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::domain::ttl::MAX_TTL;
use crate::store::error::StoreError;
use crate::store::revocation::{Gathered, KilledAgentQuery, KilledTokens};
use crate::store::row::json;

use super::errors::store_error;
use super::events::{DISORDER, floor};
use super::lane::{Readers, ask_again};

/// Searches back from the newest event until the events are well older than what is searched for.
pub(super) async fn killed_tokens(
    lane: &Readers,
    sought: &[KilledAgentQuery],
    after: Option<i64>,
    now: Timestamp,
    most: usize,
) -> Result<Vec<KilledTokens>, StoreError> {
    let mut found = Gathered::new(sought, most);
    // A token that was issued longer ago than the longest lifetime has expired.
    let oldest = now.saturating_add(-MAX_TTL);
    let Some(issued_from) = sought.iter().map(|s| s.issued_from.max(oldest)).min() else {
        return Ok(found.settle());
    };
    let row = |s: &'_ KilledAgentQuery| {
        let (below, from, org_below) = (s.below.0, s.issued_from.max(oldest).0, s.org_below.0);
        (s.agent_id.to_string(), below, from, org_below)
    };
    let rows: Vec<(String, i64, i64, i64)> = sought.iter().map(row).collect();
    let rows = json(&rows).map_err(|error| store_error(sqlx::Error::Encode(error)))?;
    let (rows, first) = (
        rows.as_str(),
        after.map_or(i64::MIN, |after| after.saturating_add(1)),
    );
    let mut until = i64::MAX;
    loop {
        let floor = ask_again!(lane, floor, until).await?;
        let from = floor.map_or(i64::MIN, |(id, _)| id);
        found.extend(ask_again!(lane, killed_between, rows, (from.max(first), until), now).await?);
        match floor {
            Some((id, at)) if id > first && at >= issued_from.0.saturating_sub(DISORDER) => {
                until = id;
            }
            _ => return Ok(found.settle()),
        }
    }
}

/// The killed tokens in one range of events. The events come first in the join; the agents are
/// looked up in an index that SQLite builds for the statement, which it does only for a column of text:
/// each event would be compared with each agent otherwise.
async fn killed_between(
    conn: &mut SqliteConnection,
    sought: &str,
    (from, until): (i64, i64),
    now: Timestamp,
) -> sqlx::Result<Vec<(i64, Uuid, i64)>> {
    sqlx::query_as(
        "with k as materialized (
             select key as place, cast(value ->> 0 as text) as agent_id, value ->> 1 as below, value ->> 2 as issued_from,
                    value ->> 3 as org_below
             from json_each(?1)
         )
         select k.place, e.jti, e.expires_at
         from audit_event e
         cross join k on k.agent_id = e.agent_id
         where e.id >= ?2 and e.id < ?3 and e.kind = 'token.issued'
           and (e.epoch < k.below or 0 < k.org_below) and e.at >= k.issued_from and e.expires_at > ?4
         union all
         select k.place, e.jti, e.at + coalesce(t.ttl, e.inline ->> 'ttl')
         from token_event e
         left join token_terms t on t.id = e.terms
         cross join k on k.agent_id = coalesce(e.agent_id, t.agent_id)
         where e.id >= ?2 and e.id < ?3
           and (e.epoch < k.below or coalesce(t.org_epoch, e.inline ->> 'orgEpoch', 0) < k.org_below)
           and e.at >= k.issued_from and e.at + coalesce(t.ttl, e.inline ->> 'ttl') > ?4",
    )
    .bind(sought)
    .bind(from)
    .bind(until)
    .bind(now.0)
    .fetch_all(conn)
    .await
}
