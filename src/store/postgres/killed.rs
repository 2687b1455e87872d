//! The tokens of killed agents, on PostgreSQL. They are read from the `token.issued` events, piece
//! by piece, so that each statement can finish within its timeout.

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::domain::id::AgentId;
use crate::domain::time::Timestamp;
use crate::domain::ttl::MAX_TTL;
use crate::store::error::StoreError;
use crate::store::revocation::{Gathered, KilledAgentQuery, KilledTokens};

use super::events::newest_event;
use super::lane::{Lane, ask_again};

/// How many seconds of events the first statement reads, and the most that any statement reads
/// ([`MAX_WINDOW`]). After a statement that took less than [`QUICK`], the next one reads twice as
/// many seconds. So a busy day is as safe as a quiet one.
const FIRST_WINDOW: i64 = 5;
/// See [`FIRST_WINDOW`].
const MAX_WINDOW: i64 = 3_600;
/// See [`FIRST_WINDOW`].
const QUICK: Duration = Duration::from_millis(250);

/// How many events behind a place one statement reads.
const CHUNK: i64 = 50_000;

/// The agents of [`KilledAgentQuery`], as columns.
struct Columns<'a> {
    agent_ids: Vec<&'a str>,
    below: Vec<i64>,
    issued_from: Vec<i64>,
    org_below: Vec<i64>,
    now: i64,
}

pub(super) async fn killed_tokens(
    lane: &Lane,
    sought: &[KilledAgentQuery],
    after: Option<i64>,
    now: Timestamp,
    most: usize,
) -> Result<Vec<KilledTokens>, StoreError> {
    let mut found = Gathered::new(sought, most);
    // A token that was issued longer ago than the longest lifetime has expired.
    let oldest = now.saturating_add(-MAX_TTL);
    let columns = Columns {
        agent_ids: sought
            .iter()
            .map(|s| AgentId::as_str(&s.agent_id))
            .collect(),
        below: sought.iter().map(|s| s.below.0).collect(),
        issued_from: sought.iter().map(|s| s.issued_from.max(oldest).0).collect(),
        org_below: sought.iter().map(|s| s.org_below.0).collect(),
        now: now.0,
    };
    let columns = &columns;
    if let Some(after) = after {
        let newest = ask_again!(lane, newest_event).await?;
        let mut from = after;
        while from < newest {
            let until = from.saturating_add(CHUNK);
            // The last range has no end: new events may have been added.
            let until_or_open = if until < newest { until } else { i64::MAX };
            found.extend(ask_again!(lane, killed_behind, columns, (from, until_or_open)).await?);
            from = until;
        }
        return Ok(found.settle());
    }
    let Some(issued_from) = columns.issued_from.iter().min().copied() else {
        return Ok(found.settle());
    };
    let mut window = FIRST_WINDOW;
    // The newest window has no end: another server's clock may be ahead.
    let (mut from, mut until) = (now.0.saturating_sub(window).max(issued_from), i64::MAX);
    while from < until {
        let began = Instant::now();
        found.extend(ask_again!(lane, killed_between, columns, (from, until)).await?);
        window = if began.elapsed() < QUICK {
            window.saturating_mul(2)
        } else {
            window / 2
        };
        window = window.clamp(FIRST_WINDOW, MAX_WINDOW);
        (from, until) = (from.saturating_sub(window).max(issued_from), from);
    }
    Ok(found.settle())
}

/// The killed tokens whose events lie in this range of time.
async fn killed_between(
    conn: &mut PgConnection,
    sought: &Columns<'_>,
    (from, until): (i64, i64),
) -> sqlx::Result<Vec<(i64, Uuid, i64)>> {
    let sql = "with k as (
                   select * from unnest($1::text[], $2::bigint[], $3::bigint[], $7::bigint[])
                       with ordinality as k (agent_id, below, issued_from, org_below, place)
               )
               select k.place - 1, e.jti, e.expires_at
               from audit_event e
               join k on k.agent_id = e.agent_id
               where e.at >= $5 and e.at < $6 and e.kind = 'token.issued' and (e.epoch < k.below or 0 < k.org_below)
                 and e.at >= k.issued_from and e.expires_at > $4
               union all
               select k.place - 1, e.jti, e.at + l.ttl
               from token_event e
               left join token_terms t on t.id = e.terms
               join k on k.agent_id = coalesce(e.agent_id, t.agent_id)
               cross join lateral (
                   select coalesce(t.ttl, (e.inline::json ->> 'ttl')::bigint) as ttl,
                          coalesce(t.org_epoch, (e.inline::json ->> 'orgEpoch')::bigint, 0) as org_epoch
               ) as l
               where e.at >= $5 and e.at < $6 and (e.epoch < k.below or l.org_epoch < k.org_below)
                 and e.at >= k.issued_from and e.at + l.ttl > $4";
    fetch(conn, sql, sought, (from, until)).await
}

/// The killed tokens whose events lie in this range of places, without its first place.
async fn killed_behind(
    conn: &mut PgConnection,
    sought: &Columns<'_>,
    (after, until): (i64, i64),
) -> sqlx::Result<Vec<(i64, Uuid, i64)>> {
    let sql = "with k as (
                   select * from unnest($1::text[], $2::bigint[], $3::bigint[], $7::bigint[])
                       with ordinality as k (agent_id, below, issued_from, org_below, place)
               )
               select k.place - 1, e.jti, e.expires_at
               from audit_event e
               join k on k.agent_id = e.agent_id
               where e.id > $5 and e.id <= $6 and e.kind = 'token.issued' and (e.epoch < k.below or 0 < k.org_below)
                 and e.at >= k.issued_from and e.expires_at > $4
               union all
               select k.place - 1, e.jti, e.at + l.ttl
               from token_event e
               left join token_terms t on t.id = e.terms
               join k on k.agent_id = coalesce(e.agent_id, t.agent_id)
               cross join lateral (
                   select coalesce(t.ttl, (e.inline::json ->> 'ttl')::bigint) as ttl,
                          coalesce(t.org_epoch, (e.inline::json ->> 'orgEpoch')::bigint, 0) as org_epoch
               ) as l
               where e.id > $5 and e.id <= $6 and (e.epoch < k.below or l.org_epoch < k.org_below)
                 and e.at >= k.issued_from and e.at + l.ttl > $4";
    fetch(conn, sql, sought, (after, until)).await
}

async fn fetch(
    conn: &mut PgConnection,
    sql: &'static str,
    sought: &Columns<'_>,
    (from, until): (i64, i64),
) -> sqlx::Result<Vec<(i64, Uuid, i64)>> {
    sqlx::query_as(sql)
        .bind(&sought.agent_ids)
        .bind(&sought.below)
        .bind(&sought.issued_from)
        .bind(sought.now)
        .bind(from)
        .bind(until)
        .bind(&sought.org_below)
        .fetch_all(conn)
        .await
}
