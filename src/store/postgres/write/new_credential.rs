//! The row of a new credential, on PostgreSQL. Must not know why it is made.

use sqlx::postgres::PgConnection;

use crate::domain::act::Actor;
use crate::domain::credential::{Credential, CredentialLabel};
use crate::domain::partner::federation::Federation;
use crate::store::credential::kind_column;

/// Adds a credential that `by` makes.
pub(super) async fn insert_credential(
    conn: &mut PgConnection,
    credential: &Credential,
    label: Option<&CredentialLabel>,
    by: &Actor,
) -> sqlx::Result<()> {
    let sql = "insert into credential (credential_id, agent_id, hash, tag, prefix, created_at, expires_at, raw_basic,
                                       label, created_by, kind, jwks, partner_id, federation)
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    let federation = credential.federation.as_deref();
    sqlx::query(sql)
        .bind(credential.credential_id.0)
        .bind(credential.agent_id.as_str())
        .bind(&*credential.hash.0)
        .bind(credential.tag.as_ref().map(|tag| &*tag.0))
        .bind(&credential.prefix)
        .bind(credential.created_at.0)
        .bind(credential.expires_at.map(|t| t.0))
        .bind(credential.raw_basic)
        .bind(label.map(CredentialLabel::as_str))
        .bind(by.to_string())
        .bind(kind_column(credential.kind()))
        .bind(credential.keys.as_ref().map(|keys| &*keys.0))
        .bind(federation.map(|one| one.partner_id.0))
        .bind(federation.map(Federation::to_text))
        .execute(conn)
        .await
        .map(drop)
}
