//! Counting tokens that cost client assertions, on SQLite. The transaction that counts also spends
//! the assertions.
//!
//! Owns the statements about assertions. The statements that count are in `count` and `record`. Must
//! not know what an assertion says.

use std::collections::HashSet;

use sqlx::sqlite::SqliteConnection;

use crate::domain::assertion::AssertionHash;
use crate::domain::digest::hex;
use crate::store::error::StoreError;
use crate::store::fold::Folded;
use crate::store::row::json;
use crate::store::spend::{Firsts, assertions};
use crate::store::terms_book::TermsBook;
use crate::store::token::{Batch, Verdict};

use super::count::begin;
use super::errors::bounded;
use super::issue::recall;
use super::lane::Writer;
use super::record::record;

/// One verdict for each grant.
pub(super) async fn issue(
    lane: &Writer,
    book: &TermsBook,
    batch: &Batch,
) -> Result<Vec<Verdict>, StoreError> {
    bounded(try_issue(lane, book, batch)).await
}

/// The assertions that were spent before are found before the transaction begins, and again in it
/// by the key of their table. Only another process can spend one in between.
async fn try_issue(lane: &Writer, book: &TermsBook, batch: &Batch) -> sqlx::Result<Vec<Verdict>> {
    let mut held = lane.take().await?;
    let conn = &mut held.conn;
    let before = spent(conn, &assertions(batch)).await?;
    let firsts = Firsts::of(batch, &before);
    let folded = Folded::new(&firsts.batch.grants);
    let terms = book.terms_of(&firsts.batch.grants, batch.now.second());
    let verdicts = if let Some(tally) = begin(conn, &firsts.batch, &folded, &terms).await? {
        record(conn, &firsts.batch, &folded, &tally, &terms).await?;
        let counted = folded.granted(&tally.counted);
        let rows: Vec<(String, i64)> = counted
            .filter_map(|(_, grant, _)| grant.assertion())
            .map(|one| (hex(&one.hash.0), one.expires_at.0))
            .collect();
        let rows = json(&rows).map_err(sqlx::Error::Encode)?;
        let sql = "insert into spent_assertion (assertion, expires_at)
                   select unhex(value ->> 0), value ->> 1 from json_each(?1)";
        let spending = sqlx::query(sql).bind(rows).execute(&mut *conn).await;
        match spending {
            Ok(_) => firsts.verdicts(folded.verdicts(&tally.counted)),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                sqlx::query("rollback").execute(&mut *conn).await?;
                held.keep();
                return Ok(vec![Verdict::Stale; batch.grants.len()]);
            }
            Err(error) => return Err(error),
        }
    } else {
        recall(conn, batch).await?
    };
    sqlx::query("commit").execute(&mut *conn).await?;
    held.keep();
    Ok(verdicts)
}

/// Whether this assertion was exchanged for a token.
pub(super) async fn is_spent(
    conn: &mut SqliteConnection,
    assertion: AssertionHash,
) -> sqlx::Result<bool> {
    spent(conn, &[assertion])
        .await
        .map(|spent| !spent.is_empty())
}

/// Which of these assertions were exchanged for tokens.
async fn spent(
    conn: &mut SqliteConnection,
    assertions: &[AssertionHash],
) -> sqlx::Result<HashSet<AssertionHash>> {
    let hashes: Vec<String> = assertions.iter().map(|one| hex(&one.0)).collect();
    let sql = "select assertion from spent_assertion
               where assertion in (select unhex(value) from json_each(?1))";
    let hashes = json(&hashes).map_err(sqlx::Error::Encode)?;
    let found: Vec<Vec<u8>> = sqlx::query_scalar(sql).bind(hashes).fetch_all(conn).await?;
    let hash = |bytes: Vec<u8>| bytes.try_into().ok().map(AssertionHash);
    Ok(found.into_iter().filter_map(hash).collect())
}
