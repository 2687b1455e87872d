//! Counting tokens on PostgreSQL: one statement for each batch, which is its own transaction.
//!
//! Owns that statement and what happens when its answer is lost. Must not know what a token is for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::domain::agent::Epoch;
use crate::domain::event::request::RequestRef;
use crate::domain::event::source::EventSource;
use crate::domain::event::token_row::InlineTerms;
use crate::domain::time::Timestamp;
use crate::store::error::{LockedElsewhere, StoreError};
use crate::store::fold::{Counted, Folded, Part, Slot, recalled};
use crate::store::row::json;
use crate::store::terms_book::{BatchTerms, TermsBook};
use crate::store::token::{Batch, Verdict};

use super::errors::{bounded, is_broken, is_lock_timeout};
use super::lane::Lane;
use super::locked::LockedAgents;

/// The parts, in the order in which they run:
///
/// - `entered` makes the batch count once: a second sending fails here, or waits here for the
///   first. It records the database's time, which decides when this row is removed.
/// - `period` finds the month by the same clock. `iat` is never in the future of either clock.
/// - `counted` joins each slot with its agent and the catalogue as the decision saw them, and
///   counts in the order of the slots. It locks no agent's row: if a batch waits for a counter
///   while a suspension commits, the batch continues with the epoch of its snapshot, and its tokens
///   are dead. A slot is counted only if the database holds the credentials with which the agent
///   authenticated: a cached secret that the database does not hold opens nothing, whatever version
///   its row has. `greatest` prevents a lowered limit from reducing the counter. Neither side can
///   overflow, because 0 <= used and 0 <= ceiling. If tokens are recorded by rows of terms, and
///   these rows changed since this process read them, nothing is counted.
/// - `recorded` writes one event for each token: the first tokens of each slot, as many as were
///   granted.
const COUNT: &str = "
    with entered as (
        insert into batch (batch_id, at)
        values ($1, floor(extract(epoch from now()))::bigint)
        returning at
    ),
    period as (
        select at, least($2::bigint, at) as iat, (extract(year from t) * 100 + extract(month from t))::bigint as month
        from entered
        cross join lateral (
            select to_timestamp(least(greatest(at, 0), 253402300799)) at time zone 'UTC' as t
        ) as moment
    ),
    counted as (
        insert into quota as q (agent_id, month, used, granted, ceiling, slot, epoch)
        select a.agent_id, p.month, least(s.asked, s.ceiling), least(s.asked, s.ceiling), s.ceiling, s.slot,
               a.epoch
        from period p
        cross join unnest($3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
                          $12::text[], $13::bigint[])
            as s (agent_id, version, catalogue_version, asked, ceiling, slot, credentials, proofs)
        join agent a on a.agent_id = s.agent_id and a.version = s.version and a.status = 'active'
        where s.catalogue_version = (select version from revision where name = 'catalogue')
          and s.proofs = (
              select count(*) from credential c
              where c.agent_id = s.agent_id and position(c.credential_id::text in s.credentials) > 0
                and (c.expires_at is null or c.expires_at > p.at)
          )
          and ($14::bigint is null or $14 = (select version from revision where name = 'terms'))
        order by s.slot
        on conflict (agent_id, month) do update
        set used = q.used + greatest(0, least(excluded.granted, excluded.ceiling - q.used)),
            granted = greatest(0, least(excluded.granted, excluded.ceiling - q.used)),
            ceiling = excluded.ceiling,
            slot = excluded.slot,
            epoch = excluded.epoch
        returning q.agent_id, q.granted, q.slot, q.epoch
    ),
    recorded as (
        insert into token_event (request, jti, at, epoch, terms, source, agent_id, inline)
        select t.request, t.jti, p.iat, c.epoch, t.terms, t.source, case when t.terms is null then c.agent_id end,
               t.inline
        from period p
        cross join counted c
        cross join lateral unnest(
            ($9::uuid[])[c.slot + 1 : c.slot + c.granted],
            ($10::integer[])[c.slot + 1 : c.slot + c.granted],
            ($11::text[])[c.slot + 1 : c.slot + c.granted],
            ($15::bytea[])[c.slot + 1 : c.slot + c.granted],
            ($16::bytea[])[c.slot + 1 : c.slot + c.granted]
        ) as t (jti, terms, inline, request, source)
    )
    select c.slot, c.granted, c.epoch, p.iat
    from counted c
    cross join period p";

/// One verdict for each grant. After a broken connection, the batch is sent again under the same
/// batch id. So a batch whose answer was lost is neither lost nor counted twice.
pub(super) async fn issue(
    lane: &Lane,
    locked: &LockedAgents,
    book: &TermsBook,
    batch: &Batch,
) -> Result<Vec<Verdict>, StoreError> {
    if locked.all_were_just_now(batch) {
        return unless_all_locked(vec![Verdict::Locked; batch.grants.len()]);
    }
    let is_lost = AtomicBool::new(false);
    let done = bounded(lane.retry(|| try_issue(lane, locked, book, batch, &is_lost))).await;
    done.and_then(unless_all_locked)
}

/// If other transactions hold everything that the batch needs, this is an error and not a verdict.
pub(super) fn unless_all_locked(verdicts: Vec<Verdict>) -> Result<Vec<Verdict>, StoreError> {
    if !verdicts.is_empty()
        && verdicts
            .iter()
            .all(|verdict| matches!(verdict, Verdict::Locked))
    {
        return Err(StoreError::Unavailable(Arc::new(LockedElsewhere)));
    }
    Ok(verdicts)
}

/// `is_lost` remembers that an earlier sending may still be running.
async fn try_issue(
    lane: &Lane,
    locked: &LockedAgents,
    book: &TermsBook,
    batch: &Batch,
    is_lost: &AtomicBool,
) -> sqlx::Result<Vec<Verdict>> {
    let mut held = lane.take().await?;
    match count_free(
        &mut held.conn,
        locked,
        book,
        batch,
        is_lost.load(Ordering::Relaxed),
    )
    .await
    {
        Ok(verdicts) => {
            held.keep();
            Ok(verdicts)
        }
        Err(error) => {
            is_lost.fetch_or(is_broken(&error), Ordering::Relaxed);
            Err(held.recover(error).await)
        }
    }
}

/// Counts the batch without the agents whose counters other transactions hold. The rest is sent
/// under the batch's own id. So no token is counted twice, whichever agents a sending leaves out.
async fn count_free(
    conn: &mut PgConnection,
    locked: &LockedAgents,
    book: &TermsBook,
    batch: &Batch,
    is_lost: bool,
) -> sqlx::Result<Vec<Verdict>> {
    let mut out = locked.still(conn, batch).await?;
    loop {
        let part = (!out.is_empty()).then(|| Part::without(batch, &out));
        let counting = part.as_ref().map_or(batch, |part| &part.batch);
        if counting.grants.is_empty() && part.is_some() && !is_lost {
            return Ok(vec![Verdict::Locked; batch.grants.len()]);
        }
        let folded = Folded::new(&counting.grants);
        let terms = book.terms_of(&counting.grants, batch.now.second());
        match count(conn, counting, &folded, &terms).await {
            Ok(counted) => {
                let verdicts = folded.verdicts(&counted);
                return Ok(match &part {
                    Some(part) => part.verdicts(verdicts),
                    None => verdicts,
                });
            }
            Err(error) if landed_before(&error) => return recall(conn, batch).await,
            Err(error) if is_lock_timeout(&error) => {
                let found = locked.find(conn, counting).await?;
                if found.is_empty() {
                    return Err(error);
                }
                drop(part);
                out.extend(found);
            }
            Err(error) => return Err(error),
        }
    }
}

/// What was counted. `terms` are those of the grants of the batch.
pub(super) async fn count(
    conn: &mut PgConnection,
    batch: &Batch,
    folded: &Folded<'_>,
    terms: &BatchTerms,
) -> sqlx::Result<Vec<Counted>> {
    let ids: Vec<&str> = folded.slots.iter().map(|s| s.agent_id.as_str()).collect();
    let versions: Vec<i64> = folded.slots.iter().map(|s| s.agent_version).collect();
    let catalogues: Vec<i64> = folded.slots.iter().map(|s| s.catalogue_version).collect();
    let asked: Vec<i64> = folded.slots.iter().map(|s| s.asked).collect();
    let ceilings: Vec<i64> = folded.slots.iter().map(|s| s.ceiling).collect();
    let slots: Vec<i64> = folded.slots.iter().map(|s| s.first).collect();
    let join = |s: &Slot<'_>| {
        s.credentials
            .iter()
            .map(|c| c.0.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let credentials: Vec<String> = folded.slots.iter().map(join).collect();
    let proofs: Vec<i64> = folded.slots.iter().map(Slot::proofs).collect();
    let jtis: Vec<Uuid> = folded.tokens().map(|(_, g)| g.jti().0).collect();
    let term_ids: Vec<Option<i32>> = folded.tokens().map(|(place, _)| terms.id(place)).collect();
    let inlines = inlines(folded, terms)?;
    let requests: Vec<Option<Vec<u8>>> = folded
        .tokens()
        .map(|(_, grant)| grant.request().map(RequestRef::to_bytes))
        .collect();
    let sources: Vec<Option<Vec<u8>>> = folded
        .tokens()
        .map(|(_, grant)| grant.source().map(EventSource::to_bytes))
        .collect();
    let rows: Vec<(i64, i64, i64, i64)> = sqlx::query_as(COUNT)
        .bind(batch.id.0)
        .bind(batch.now.second().0)
        .bind(&ids)
        .bind(&versions)
        .bind(&catalogues)
        .bind(&asked)
        .bind(&ceilings)
        .bind(&slots)
        .bind(&jtis)
        .bind(&term_ids)
        .bind(&inlines)
        .bind(&credentials)
        .bind(&proofs)
        .bind(terms.number())
        .bind(&requests)
        .bind(&sources)
        .fetch_all(conn)
        .await?;
    let counted = |(slot, granted, epoch, iat)| Counted {
        slot,
        granted,
        epoch: Epoch(epoch),
        iat: Timestamp(iat),
    };
    if rows.is_empty() {
        terms.doubt();
    }
    Ok(rows.into_iter().map(counted).collect())
}

/// For each token in folded order, its terms as text, unless they have a row.
fn inlines(folded: &Folded<'_>, terms: &BatchTerms) -> sqlx::Result<Vec<Option<String>>> {
    let inline = |(place, grant)| match terms.id(place) {
        Some(_) => Ok(None),
        None => json(&InlineTerms::from(grant)).map(Some),
    };
    let inlines: Result<_, _> = folded.tokens().map(inline).collect();
    inlines.map_err(sqlx::Error::Encode)
}

/// Whether an earlier sending committed a batch with this id.
pub(super) fn landed_before(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(e) if e.constraint() == Some("batch_pkey"))
}

/// The verdicts of a batch that was committed before, from its tokens' events. Only this release
/// sends this batch, so the events are in the table of this release.
pub(super) async fn recall(conn: &mut PgConnection, batch: &Batch) -> sqlx::Result<Vec<Verdict>> {
    let jtis: Vec<Uuid> = batch.grants.iter().map(|g| g.jti().0).collect();
    let events: Vec<(Uuid, i64, i64)> = sqlx::query_as(
        "select jti, epoch, at
         from token_event
         where at = least($3, (select at from batch where batch_id = $1)) and jti = any($2)",
    )
    .bind(batch.id.0)
    .bind(&jtis)
    .bind(batch.now.second().0)
    .fetch_all(conn)
    .await?;
    Ok(recalled(&batch.grants, &events))
}
