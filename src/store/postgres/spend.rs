//! Reads of spent client assertions, on PostgreSQL. The statement that counts a token spends its
//! assertion: it is in `count` and `count_one`.

use std::collections::HashSet;

use sqlx::postgres::PgConnection;

use crate::domain::assertion::AssertionHash;

/// Whether this assertion was exchanged for a token.
pub(super) async fn is_spent(
    conn: &mut PgConnection,
    assertion: AssertionHash,
) -> sqlx::Result<bool> {
    spent(conn, &[assertion])
        .await
        .map(|spent| !spent.is_empty())
}

/// Which of these assertions were exchanged for tokens.
pub(super) async fn spent(
    conn: &mut PgConnection,
    assertions: &[AssertionHash],
) -> sqlx::Result<HashSet<AssertionHash>> {
    let hashes: Vec<&[u8]> = assertions.iter().map(|one| &one.0[..]).collect();
    let sql = "select assertion from spent_assertion where assertion = any($1)";
    let found: Vec<Vec<u8>> = sqlx::query_scalar(sql).bind(hashes).fetch_all(conn).await?;
    let hash = |bytes: Vec<u8>| bytes.try_into().ok().map(AssertionHash);
    Ok(found.into_iter().filter_map(hash).collect())
}

/// Whether another statement spent one of the batch's assertions while this one ran.
pub(super) fn was_spent_meanwhile(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(e) if e.constraint() == Some("spent_assertion_pkey"))
}
