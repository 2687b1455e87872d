//! What can be changed about verifiers, on PostgreSQL. The same functions in the same order as on
//! SQLite.

use sqlx::postgres::PgConnection;

use crate::store::verifier::agent_column;
use crate::store::write::{Outcome, VerifierChange};

pub(super) async fn apply(
    conn: &mut PgConnection,
    change: &VerifierChange,
) -> sqlx::Result<Outcome> {
    let VerifierChange::Remove(id) = change;
    let sql = "delete from verifier where agent_id = $1 and name = $2";
    let removed = sqlx::query(sql)
        .bind(agent_column(id))
        .bind(id.name.as_str())
        .execute(conn)
        .await?;
    Ok(Outcome::applied_or(
        removed.rows_affected(),
        Outcome::NotFound,
    ))
}
