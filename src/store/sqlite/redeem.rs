//! Counting tokens of which some cost an authorization code, on SQLite: the codes are spent in the
//! transaction that counts.
//!
//! Owns the statements about codes; those that count are `issue`'s. Must not know what a code was
//! made for.

use std::collections::{HashMap, HashSet};

use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use crate::domain::id::{CodeId, Jti};

use super::super::fold::Folded;
use super::super::redeem::{Claim, Entitled, claims};
use super::super::row::json;
use super::super::{Batch, StoreError, Verdict};
use super::bounded;
use super::issue::{count, recall, record};
use super::lane::Writer;

/// One verdict a grant.
pub async fn issue(lane: &Writer, batch: &Batch) -> Result<Vec<Verdict>, StoreError> {
    bounded(try_issue(lane, batch)).await
}

async fn try_issue(lane: &Writer, batch: &Batch) -> sqlx::Result<Vec<Verdict>> {
    let mut held = lane.take().await?;
    let conn = &mut held.conn;
    sqlx::raw_sql("begin immediate").execute(&mut *conn).await?;
    let sql = "insert into batch (batch_id, at) values (?1, ?2) on conflict do nothing";
    let entered = sqlx::query(sql).bind(batch.id.0).bind(batch.now.0).execute(&mut *conn).await?;
    let verdicts =
        if entered.rows_affected() == 0 { recall(conn, batch).await? } else { redeem(conn, batch).await? };
    sqlx::raw_sql("commit").execute(&mut *conn).await?;
    held.keep();
    Ok(verdicts)
}

async fn redeem(conn: &mut SqliteConnection, batch: &Batch) -> sqlx::Result<Vec<Verdict>> {
    let taken = take(conn, &claims(batch)).await?;
    let entitled = Entitled::new(batch, &taken);
    if entitled.batch.grants.is_empty() {
        return Ok(entitled.verdicts(vec![]));
    }
    let folded = Folded::new(&entitled.batch.grants);
    let counted = count(conn, &entitled.batch, &folded).await?;
    record(conn, &entitled.batch, &folded, &counted).await?;
    let verdicts = folded.verdicts(&counted);
    give_back(conn, entitled.unspent(&verdicts)).await?;
    Ok(entitled.verdicts(verdicts))
}

/// Takes the codes that nobody has spent; the tokens that have theirs.
async fn take(conn: &mut SqliteConnection, claims: &[Claim]) -> sqlx::Result<HashSet<Jti>> {
    let hex = |id: Uuid| id.simple().to_string();
    let rows: Vec<(String, String, i64)> =
        claims.iter().map(|c| (hex(c.code.id.0), hex(c.jti.0), c.code.expires_at.0)).collect();
    let sql = "insert into spent_code (code_id, jti, expires_at)
               select unhex(value ->> 0), unhex(value ->> 1), value ->> 2 from json_each(?1) where true
               on conflict do nothing
               returning jti";
    let rows = json(&rows).map_err(sqlx::Error::Encode)?;
    let taken: Vec<Uuid> = sqlx::query_scalar(sql).bind(rows).fetch_all(conn).await?;
    Ok(taken.into_iter().map(Jti).collect())
}

/// Gives back the codes of those who were not counted.
async fn give_back(conn: &mut SqliteConnection, codes: HashMap<CodeId, Verdict>) -> sqlx::Result<()> {
    if codes.is_empty() {
        return Ok(());
    }
    let codes: Vec<String> = codes.keys().map(|code| code.0.simple().to_string()).collect();
    let sql = "delete from spent_code where code_id in (select unhex(value) from json_each(?1))";
    let codes = json(&codes).map_err(sqlx::Error::Encode)?;
    sqlx::query(sql).bind(codes).execute(conn).await.map(drop)
}
