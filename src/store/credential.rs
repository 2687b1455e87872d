//! Credentials as operators read them: the live ones, and those that ended lately. Must not know
//! SQL, or what verifies a secret.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::Invalid;
use crate::domain::credential::{CredentialKind, CredentialLabel};
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::partner::federation::Federation;
use crate::domain::partner::terms::PartnerId;
use crate::domain::time::Timestamp;

use super::error::StoreError;
use super::row::Broken;

/// How many seconds an ended credential is kept: 90 days.
pub(crate) const ENDED_CREDENTIAL_TTL: i64 = 90 * 86_400;

/// The agents' credentials, as operators read them.
#[async_trait]
pub trait ReadCredentials: Send + Sync {
    /// Credentials of this agent, the newest first.
    async fn credentials(
        &self,
        agent_id: &AgentId,
        query: CredentialQuery,
    ) -> Result<Vec<CredentialRecord>, StoreError>;
}

/// Which credentials of an agent are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CredentialQuery {
    /// The time at which a credential is live, or has ended.
    pub now: Timestamp,
    /// If given, credentials that ended after this time are read too, and not only live ones.
    pub ended_after: Option<Timestamp>,
    /// If given, only older credentials than the one at this position are read.
    pub before: Option<i64>,
    /// The most credentials that are read.
    pub limit: i64,
}

/// What operators may see of a credential, whether it is live or has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialRecord {
    /// Its id.
    pub credential_id: CredentialId,
    /// Its position among the credentials of its agent: a newer one has a greater position.
    pub position: i64,
    /// What it is checked with.
    pub kind: CredentialKind,
    /// What is trusted of a partner, if a partner's tokens prove it.
    pub federation: Option<Arc<Federation>>,
    /// What the operator calls it.
    pub label: Option<CredentialLabel>,
    /// The first characters of a generated secret, the thumbprints of public keys, the subject of a
    /// partner's tokens, or empty.
    pub prefix: Box<str>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it, as events name an actor; unknown for credentials of earlier releases.
    pub created_by: Option<Box<str>>,
    /// From when on it is refused; `None` if it has no end.
    pub expires_at: Option<Timestamp>,
    /// When it ended; `None` while it is live.
    pub ended_at: Option<Timestamp>,
    /// Who ended it; `None` while it is live, and if it expired by itself.
    pub ended_by: Option<Box<str>>,
    /// When it last opened a token, as far as the ledger has come.
    pub last_used_at: Option<Timestamp>,
}

/// The columns of a credential: id, position, label, prefix, when and by whom it was made, its end,
/// when and by whom it was ended, its last use, its kind, its partner and what is trusted of it.
pub(in crate::store) type CredentialColumns = (
    Uuid,
    i64,
    Option<String>,
    String,
    i64,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<String>,
    Option<i64>,
    Option<String>,
    Option<Uuid>,
    Option<String>,
);

/// The column of a kind. A release that knows only secrets leaves the column empty.
pub(in crate::store) fn kind_column(kind: CredentialKind) -> Option<&'static str> {
    (kind != CredentialKind::Secret).then(|| kind.as_str())
}

/// The kind in a column.
pub(in crate::store) fn kind_of_row(column: Option<&str>) -> Result<CredentialKind, Invalid> {
    column.map_or(Ok(CredentialKind::Secret), CredentialKind::parse)
}

/// What is trusted of a partner, in its columns.
pub(in crate::store) fn federation_of_row(
    partner_id: Option<Uuid>,
    text: Option<String>,
) -> Result<Option<Arc<Federation>>, Broken> {
    let Some((partner_id, text)) = partner_id.zip(text) else {
        return Ok(None);
    };
    let read = Federation::of_text(PartnerId(partner_id), &text);
    let read = read.ok_or("a federated credential has no terms")?;
    Ok(Some(Arc::new(read)))
}

impl CredentialQuery {
    /// The columns of the query: `now`, the time after which a credential ended, the position and
    /// the limit. Nothing ended between `now` and `now`.
    pub(in crate::store) fn columns(self) -> (i64, i64, i64, i64) {
        (
            self.now.0,
            self.ended_after.unwrap_or(self.now).0,
            self.before.unwrap_or(i64::MAX),
            self.limit,
        )
    }
}

impl CredentialRecord {
    /// The credential of a row.
    pub(in crate::store) fn of_row(row: CredentialColumns) -> Result<Self, Broken> {
        let (
            id,
            position,
            label,
            prefix,
            created_at,
            created_by,
            expires_at,
            ended_at,
            ended_by,
            used_at,
            kind,
            partner_id,
            federation,
        ) = row;
        let label = label.as_deref().map(CredentialLabel::parse).transpose()?;
        Ok(Self {
            credential_id: CredentialId(id),
            position,
            kind: kind_of_row(kind.as_deref())?,
            federation: federation_of_row(partner_id, federation)?,
            label,
            prefix: prefix.into(),
            created_at: Timestamp(created_at),
            created_by: created_by.map(Into::into),
            expires_at: expires_at.map(Timestamp),
            ended_at: ended_at.map(Timestamp),
            ended_by: ended_by.map(Into::into),
            last_used_at: used_at.map(Timestamp),
        })
    }
}
