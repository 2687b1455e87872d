//! Issuing a batch of tokens on PostgreSQL, in one statement, which is its own transaction.
//!
//! Owns what happens when the answer of that statement is lost. Must not know what a token is for.
//! The statements are in `count` and `count_one`.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::store::error::{LockedElsewhere, StoreError};
use crate::store::fold::{Folded, Part, recalled};
use crate::store::spend::{Firsts, assertions, spends, with_spent};
use crate::store::terms_book::TermsBook;
use crate::store::token::{Batch, Verdict};

use super::count::count;
use super::count_one::count_one;
use super::errors::{bounded, is_broken, is_lock_timeout};
use super::lane::Lane;
use super::locked::LockedAgents;
use super::spend::{spent, was_spent_meanwhile};

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
    if !spends(batch) {
        let done = bounded(lane.retry(|| try_issue(lane, locked, book, batch, &is_lost))).await;
        return done.and_then(unless_all_locked);
    }
    let firsts = Firsts::of(batch, &HashSet::new());
    let part = &firsts.batch;
    let done = bounded(lane.retry(|| try_issue(lane, locked, book, part, &is_lost))).await;
    done.and_then(|verdicts| unless_all_locked(firsts.verdicts(verdicts)))
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
            // Each statement is its own transaction.
            Err(held.release(error))
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
        let done = match count_one(conn, counting, &folded, &terms).await {
            Ok(Some(counted)) => Ok(vec![counted]),
            Ok(None) => count(conn, counting, &folded, &terms).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(counted) => {
                let mut verdicts = folded.verdicts(&counted);
                let is_stale = |verdict: &Verdict| matches!(verdict, Verdict::Stale);
                if spends(counting) && verdicts.iter().any(is_stale) {
                    let spent = spent(conn, &assertions(counting)).await?;
                    verdicts = with_spent(counting, verdicts, &spent);
                }
                return Ok(match &part {
                    Some(part) => part.verdicts(verdicts),
                    None => verdicts,
                });
            }
            Err(error) if landed_before(&error) => return recall(conn, batch).await,
            // Sent again, the statement sees that assertion among the spent ones.
            Err(error) if was_spent_meanwhile(&error) => {}
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
