//! Whether the role may do what servers do all the time.
//!
//! Owns which rights on which tables that is. Must not know what the statements say. Somebody may
//! take a right away while a server runs, and many a table is written so rarely that the server
//! would go on to call itself ready.

use std::sync::Arc;

use sqlx::postgres::PgConnection;

use crate::store::error::StoreError;

use super::lane::{Lane, ask};

/// The rights that tokens, codes, revocations and introspections need.
const NEEDED: &[(&str, &str)] = &[
    ("agent", "select"),
    ("audit_event", "insert"),
    ("audit_event", "select"),
    ("batch", "insert"),
    ("batch", "select"),
    ("credential", "select"),
    ("org", "select"),
    ("partner", "select"),
    ("process", "delete"),
    ("process", "insert"),
    ("process", "select"),
    ("process", "update"),
    ("quota", "insert"),
    ("quota", "select"),
    ("quota", "update"),
    ("revision", "select"),
    ("revision", "update"),
    ("revoked_key", "select"),
    ("revoked_token", "insert"),
    ("revoked_token", "select"),
    ("scope", "select"),
    ("signing_key", "select"),
    ("spent_assertion", "insert"),
    ("spent_assertion", "select"),
    ("spent_code", "delete"),
    ("spent_code", "insert"),
    ("spent_code", "select"),
    ("store_default", "select"),
    ("store_generation", "select"),
    ("store_generation", "update"),
    ("token_event", "insert"),
    ("token_event", "select"),
    ("token_terms", "select"),
];

/// The role lost rights that a server needs.
#[derive(Debug, thiserror::Error)]
#[error("the role of the database may not {}: grant it that", .0.join(", nor "))]
struct RightsLost(Vec<String>);

/// Demands all needed rights of the role, in one query.
pub(super) async fn demand(lane: &Lane) -> Result<(), StoreError> {
    let lost = ask!(lane, lost).await?;
    if lost.is_empty() {
        Ok(())
    } else {
        Err(StoreError::Unavailable(Arc::new(RightsLost(lost))))
    }
}

async fn lost(conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let (tables, rights): (Vec<&str>, Vec<&str>) = NEEDED.iter().copied().unzip();
    let sql = "select n.wanted || ' on ' || n.name
               from unnest($1::text[], $2::text[]) with ordinality as n (name, wanted, place)
               where not has_table_privilege(n.name, n.wanted)
               order by n.place";
    sqlx::query_scalar(sql)
        .bind(tables)
        .bind(rights)
        .fetch_all(conn)
        .await
}
