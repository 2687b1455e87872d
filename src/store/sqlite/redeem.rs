//! Counting tokens if some of them cost an authorization code, on SQLite. The transaction that
//! counts also spends the codes.
//!
//! Owns the statements about codes. The statements that count are in `count` and `record`. Must not
//! know what a code was made for.

use std::collections::{HashMap, HashSet};

use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use crate::domain::grant::Grant;
use crate::domain::id::{CodeId, Jti};
use crate::domain::time::{Moment, Timestamp};
use crate::domain::ttl::MAX_TTL;
use crate::store::error::StoreError;
use crate::store::fold::Folded;
use crate::store::redeem::{Claim, Entitled, FirstToken, claims, repeated, revocation};
use crate::store::revocation::ExchangedToken;
use crate::store::row::json;
use crate::store::terms_book::TermsBook;
use crate::store::token::{Batch, Verdict};
use crate::store::write::Write;

use super::count::count;
use super::errors::bounded;
use super::issue::recall;
use super::lane::Writer;
use super::record::record;
use super::write::apply_all;

/// One verdict for each grant.
pub(super) async fn issue(
    lane: &Writer,
    book: &TermsBook,
    batch: &Batch,
) -> Result<Vec<Verdict>, StoreError> {
    bounded(try_issue(lane, book, batch)).await
}

async fn try_issue(lane: &Writer, book: &TermsBook, batch: &Batch) -> sqlx::Result<Vec<Verdict>> {
    let mut held = lane.take().await?;
    let conn = &mut held.conn;
    sqlx::raw_sql("begin immediate").execute(&mut *conn).await?;
    let sql = "insert into batch (batch_id, at) values (?1, ?2) on conflict do nothing";
    let entered = sqlx::query(sql)
        .bind(batch.id.0)
        .bind(batch.now.second().0)
        .execute(&mut *conn)
        .await?;
    let verdicts = if entered.rows_affected() == 0 {
        recall(conn, batch).await?
    } else {
        redeem(conn, book, batch).await?
    };
    sqlx::raw_sql("commit").execute(&mut *conn).await?;
    held.keep();
    Ok(verdicts)
}

async fn redeem(
    conn: &mut SqliteConnection,
    book: &TermsBook,
    batch: &Batch,
) -> sqlx::Result<Vec<Verdict>> {
    let taken = take(conn, &claims(batch)).await?;
    let entitled = Entitled::new(batch, &taken);
    let mut verdicts = Vec::new();
    if !entitled.batch.grants.is_empty() {
        let folded = Folded::new(&entitled.batch.grants);
        let terms = book.terms_of(&entitled.batch.grants, batch.now.second());
        let tally = count(conn, &entitled.batch, &folded, &terms).await?;
        record(conn, &entitled.batch, &folded, &tally, &terms).await?;
        verdicts = folded.verdicts(&tally.counted);
        give_back(conn, entitled.unspent(&verdicts)).await?;
    }
    revoke_first(conn, batch.now, &repeated(batch, &taken)).await?;
    Ok(entitled.verdicts(verdicts))
}

/// RFC 6749 §4.1.2: if a client presents a code again, the token that the code was exchanged for is
/// revoked, in the same commit. Only an active agent, as the decision saw it, can cause this: a
/// secret that was rotated meanwhile, or a suspended agent, is refused first.
async fn revoke_first(
    conn: &mut SqliteConnection,
    now: Moment,
    repeated: &[(&Grant, CodeId)],
) -> sqlx::Result<()> {
    if repeated.is_empty() {
        return Ok(());
    }
    let hex = |id: Uuid| id.simple().to_string();
    let rows: Vec<(String, String, &str, i64)> = repeated
        .iter()
        .map(|(grant, code)| {
            (
                hex(code.0),
                hex(grant.jti().0),
                grant.agent_id().as_str(),
                grant.agent_version(),
            )
        })
        .collect();
    let sql = "select s.jti, coalesce(s.token_expires_at, s.expires_at + ?2), min(r.key)
               from json_each(?1) r
               join spent_code s on s.code_id = unhex(r.value ->> 0) and s.jti <> unhex(r.value ->> 1)
               join agent a on a.agent_id = r.value ->> 2 and a.version = r.value ->> 3 and a.status = 'active'
               where not exists (select 1 from revoked_token t where t.jti = s.jti)
               group by s.jti
               order by s.jti";
    let rows = json(&rows).map_err(sqlx::Error::Encode)?;
    let first: Vec<FirstToken> = sqlx::query_as(sql)
        .bind(rows)
        .bind(MAX_TTL)
        .fetch_all(&mut *conn)
        .await?;
    let writes: Vec<Write> = first
        .into_iter()
        .filter_map(|token| revocation(now, token, repeated))
        .collect();
    apply_all(conn, &writes).await.map(drop)
}

/// Takes the codes that are not spent yet. Returns the tokens that got their codes.
async fn take(conn: &mut SqliteConnection, claims: &[Claim]) -> sqlx::Result<HashSet<Jti>> {
    let hex = |id: Uuid| id.simple().to_string();
    let rows: Vec<(String, String, i64, i64)> = claims
        .iter()
        .map(|c| {
            (
                hex(c.code.id.0),
                hex(c.jti.0),
                c.code.expires_at.0,
                c.token_expires_at.0,
            )
        })
        .collect();
    let sql = "insert into spent_code (code_id, jti, expires_at, token_expires_at)
               select unhex(value ->> 0), unhex(value ->> 1), value ->> 2, value ->> 3
               from json_each(?1) where true
               on conflict do nothing
               returning jti";
    let rows = json(&rows).map_err(sqlx::Error::Encode)?;
    let taken: Vec<Uuid> = sqlx::query_scalar(sql).bind(rows).fetch_all(conn).await?;
    Ok(taken.into_iter().map(Jti).collect())
}

/// The token of a spent code. If a release did not record the token's expiry, the longest lifetime
/// is assumed.
pub(super) async fn exchanged(
    conn: &mut SqliteConnection,
    code: CodeId,
) -> sqlx::Result<Option<ExchangedToken>> {
    let sql = "select jti, coalesce(token_expires_at, expires_at + ?2),
                      exists (select 1 from revoked_token r where r.jti = s.jti)
               from spent_code s
               where code_id = ?1";
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
async fn give_back(
    conn: &mut SqliteConnection,
    codes: HashMap<CodeId, Verdict>,
) -> sqlx::Result<()> {
    if codes.is_empty() {
        return Ok(());
    }
    let codes: Vec<String> = codes
        .keys()
        .map(|code| code.0.simple().to_string())
        .collect();
    let sql = "delete from spent_code where code_id in (select unhex(value) from json_each(?1))";
    let codes = json(&codes).map_err(sqlx::Error::Encode)?;
    sqlx::query(sql).bind(codes).execute(conn).await.map(drop)
}
