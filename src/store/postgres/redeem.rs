//! Counting tokens if some of them cost an authorization code, on PostgreSQL. The transaction that
//! counts also spends the codes.
//!
//! Owns the statements about codes, and what happens when an answer is lost. The statement that
//! counts is in `count`. Must not know what a code was made for.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::domain::grant::Grant;
use crate::domain::id::{CodeId, Jti};
use crate::domain::time::Timestamp;
use crate::domain::ttl::MAX_TTL;
use crate::store::error::StoreError;
use crate::store::fold::{Folded, Part};
use crate::store::redeem::{Claim, Entitled, FirstToken, claims, repeated, revocation};
use crate::store::revocation::ExchangedToken;
use crate::store::terms_book::TermsBook;
use crate::store::token::{Batch, Verdict};
use crate::store::write::Write;

use super::count::count;
use super::errors::{bounded, is_broken, is_lock_timeout};
use super::issue::{landed_before, recall, unless_all_locked};
use super::lane::Lane;
use super::locked::LockedAgents;
use super::write::apply_all;

/// One verdict for each grant. After a broken connection, it is sent again under the same batch id.
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

/// Every process locks codes before counters, so two batches never wait for each other. If another
/// transaction holds a code, the whole batch waits: its tokens are then sent again one by one.
async fn try_issue(
    lane: &Lane,
    locked: &LockedAgents,
    book: &TermsBook,
    batch: &Batch,
    is_lost: &AtomicBool,
) -> sqlx::Result<Vec<Verdict>> {
    let mut held = lane.take().await?;
    match redeem_free(
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
        Err(error) if is_lock_timeout(&error) && !is_lost.load(Ordering::Relaxed) => {
            let _ = held.recover(error).await;
            Ok(vec![Verdict::Locked; batch.grants.len()])
        }
        Err(error) => {
            is_lost.fetch_or(is_broken(&error), Ordering::Relaxed);
            Err(held.recover(error).await)
        }
    }
}

/// Counts the batch, under its own id, without the agents whose counters other transactions hold.
/// If an earlier sending may still be running, the batch is sent whole, to learn the result of that
/// sending.
async fn redeem_free(
    conn: &mut PgConnection,
    locked: &LockedAgents,
    book: &TermsBook,
    batch: &Batch,
    is_lost: bool,
) -> sqlx::Result<Vec<Verdict>> {
    let mut out = if is_lost {
        HashSet::new()
    } else {
        locked.still(conn, batch).await?
    };
    loop {
        let part = Part::without(batch, &out);
        if part.batch.grants.is_empty() {
            return Ok(vec![Verdict::Locked; batch.grants.len()]);
        }
        sqlx::raw_sql("begin").execute(&mut *conn).await?;
        let verdicts = match redeem(conn, book, &part.batch).await {
            Ok(Redeemed::Now(verdicts)) => part.verdicts(verdicts),
            Ok(Redeemed::Before) => start_over_and_recall(conn, batch).await?,
            Err(error) if landed_before(&error) => start_over_and_recall(conn, batch).await?,
            Ok(Redeemed::CounterLocked(error)) => {
                sqlx::raw_sql("rollback").execute(&mut *conn).await?;
                let found = if is_lost {
                    HashSet::new()
                } else {
                    locked.find(conn, &part.batch).await?
                };
                if found.is_empty() {
                    return Err(error);
                }
                drop(part);
                out.extend(found);
                continue;
            }
            Err(error) => return Err(error),
        };
        sqlx::raw_sql("commit").execute(&mut *conn).await?;
        return Ok(verdicts);
    }
}

/// The result of a batch in its transaction.
enum Redeemed {
    Now(Vec<Verdict>),
    /// An earlier sending of the batch was committed and took codes for its tokens.
    Before,
    /// Another transaction holds a counter.
    CounterLocked(sqlx::Error),
}

async fn redeem(
    conn: &mut PgConnection,
    book: &TermsBook,
    batch: &Batch,
) -> sqlx::Result<Redeemed> {
    let claims = claims(batch);
    let taken = take(conn, &claims).await?;
    if taken.len() < claims.len() && landed(conn, &claims, &taken).await? {
        return Ok(Redeemed::Before);
    }
    let entitled = Entitled::new(batch, &taken);
    let mut verdicts = Vec::new();
    if !entitled.batch.grants.is_empty() {
        let folded = Folded::new(&entitled.batch.grants);
        let terms = book.terms_of(&entitled.batch.grants, batch.now.second());
        let counted = match count(conn, &entitled.batch, &folded, &terms).await {
            Err(error) if is_lock_timeout(&error) => return Ok(Redeemed::CounterLocked(error)),
            counted => counted?,
        };
        verdicts = folded.verdicts(&counted);
        give_back(conn, entitled.unspent(&verdicts)).await?;
    }
    revoke_first(conn, &repeated(batch, &taken)).await?;
    Ok(Redeemed::Now(entitled.verdicts(verdicts)))
}

/// RFC 6749 §4.1.2: if a client presents a code again, the token that the code was exchanged for is
/// revoked, in the same commit. Only an active agent, as the decision saw it, can cause this: a
/// secret that was rotated meanwhile, or a suspended agent, is refused first. The list's version is
/// locked after all codes and counters. A transaction that holds the version never waits for those.
async fn revoke_first(conn: &mut PgConnection, repeated: &[(&Grant, CodeId)]) -> sqlx::Result<()> {
    if repeated.is_empty() {
        return Ok(());
    }
    let codes: Vec<Uuid> = repeated.iter().map(|(_, code)| code.0).collect();
    let jtis: Vec<Uuid> = repeated.iter().map(|(grant, _)| grant.jti().0).collect();
    let ids: Vec<&str> = repeated
        .iter()
        .map(|(grant, _)| grant.agent_id().as_str())
        .collect();
    let versions: Vec<i64> = repeated
        .iter()
        .map(|(grant, _)| grant.agent_version())
        .collect();
    let sql = "select s.jti, coalesce(s.token_expires_at, s.expires_at + $5), min(r.position) - 1
               from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[]) with ordinality
                   as r (code_id, jti, agent_id, version, position)
               join spent_code s on s.code_id = any (array[r.code_id]) and s.jti <> r.jti
               join agent a on a.agent_id = any (array[r.agent_id]) and a.version = r.version and a.status = 'active'
               where not exists (select 1 from revoked_token t where t.jti = any (array[s.jti]))
               group by s.jti, s.token_expires_at, s.expires_at
               order by s.jti";
    let asked = sqlx::query_as(sql)
        .bind(codes)
        .bind(jtis)
        .bind(ids)
        .bind(versions)
        .bind(MAX_TTL);
    let first: Vec<FirstToken> = asked.fetch_all(&mut *conn).await?;
    if first.is_empty() {
        return Ok(());
    }
    let sql = "select floor(extract(epoch from now()))::bigint";
    let now = Timestamp(sqlx::query_scalar(sql).fetch_one(&mut *conn).await?);
    let writes: Vec<Write> = first
        .into_iter()
        .filter_map(|token| revocation(now.into(), token, repeated))
        .collect();
    apply_all(conn, now, &writes).await.map(drop)
}

/// Takes the codes that are not spent yet. Returns the tokens that got their codes. Waits for any
/// transaction that is about to spend one of the codes.
async fn take(conn: &mut PgConnection, claims: &[Claim]) -> sqlx::Result<HashSet<Jti>> {
    let codes: Vec<Uuid> = claims.iter().map(|c| c.code.id.0).collect();
    let jtis: Vec<Uuid> = claims.iter().map(|c| c.jti.0).collect();
    let ends: Vec<i64> = claims.iter().map(|c| c.code.expires_at.0).collect();
    let token_ends: Vec<i64> = claims.iter().map(|c| c.token_expires_at.0).collect();
    let sql = "insert into spent_code (code_id, jti, expires_at, token_expires_at)
               select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[])
                   as c (code_id, jti, expires_at, token_expires_at)
               order by code_id
               on conflict do nothing
               returning jti";
    let take = sqlx::query_scalar(sql)
        .bind(codes)
        .bind(jtis)
        .bind(ends)
        .bind(token_ends);
    let taken: Vec<Uuid> = take.fetch_all(conn).await?;
    Ok(taken.into_iter().map(Jti).collect())
}

/// Whether a code that could not be taken was spent by the very token that claims it.
async fn landed(
    conn: &mut PgConnection,
    claims: &[Claim],
    taken: &HashSet<Jti>,
) -> sqlx::Result<bool> {
    let lost = || claims.iter().filter(|claim| !taken.contains(&claim.jti));
    let codes: Vec<Uuid> = lost().map(|c| c.code.id.0).collect();
    let jtis: Vec<Uuid> = lost().map(|c| c.jti.0).collect();
    let sql = "select exists (
                   select from unnest($1::uuid[], $2::uuid[]) as c (code_id, jti)
                   join spent_code s on s.code_id = any (array[c.code_id]) and s.jti = c.jti)";
    sqlx::query_scalar(sql)
        .bind(codes)
        .bind(jtis)
        .fetch_one(conn)
        .await
}

/// The token of a spent code. If a release did not record the token's expiry, the longest lifetime
/// is assumed.
pub(super) async fn exchanged(
    conn: &mut PgConnection,
    code: CodeId,
) -> sqlx::Result<Option<ExchangedToken>> {
    let sql = "select jti, coalesce(token_expires_at, expires_at + $2),
                      exists (select from revoked_token r where r.jti = s.jti)
               from spent_code s
               where code_id = $1";
    let row: Option<(Uuid, i64, bool)> = sqlx::query_as(sql)
        .bind(code.0)
        .bind(MAX_TTL)
        .fetch_optional(conn)
        .await?;
    let token = |(jti, expires_at, is_revoked)| ExchangedToken {
        jti: Jti(jti),
        expires_at: Timestamp(expires_at),
        is_revoked,
    };
    Ok(row.map(token))
}

/// Gives back the codes of tokens that were not counted.
async fn give_back(conn: &mut PgConnection, codes: HashMap<CodeId, Verdict>) -> sqlx::Result<()> {
    if codes.is_empty() {
        return Ok(());
    }
    let codes: Vec<Uuid> = codes.keys().map(|code| code.0).collect();
    sqlx::query("delete from spent_code where code_id = any($1)")
        .bind(codes)
        .execute(conn)
        .await
        .map(drop)
}

async fn start_over_and_recall(
    conn: &mut PgConnection,
    batch: &Batch,
) -> sqlx::Result<Vec<Verdict>> {
    sqlx::raw_sql("rollback; begin").execute(&mut *conn).await?;
    recall(conn, batch).await
}
