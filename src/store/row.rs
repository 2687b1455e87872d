//! Rows as both backends hold them: values that are text in a database and a type in the domain.
//!
//! Owns the stored form of lists, keys, revocations and events; that of agents is in `agent_row`. Must not know SQL. A value that breaks its type's rule
//! is a fault of the store, never a refusal.

use std::error::Error;
use std::sync::Arc;

use crate::domain::agent::Epoch;
use crate::domain::event::row::EventRow;
use crate::domain::event::token_row::{InternedTerms, TokenRow};
use crate::domain::id::{AgentId, Jti, Kid};
use crate::domain::org::{OrgEpoch, OrgId};
use crate::domain::time::Timestamp;

use super::key::{KeyRecord, KeyState, Sealed};
use super::revocation::{
    IssuedToken, KilledAgent, KilledOrg, Revocations, RevokedKey, RevokedToken,
};

/// A stored value that breaks the rule of its column.
pub(in crate::store) type Broken = Box<dyn Error + Send + Sync>;

/// A list as JSON text.
pub(in crate::store) fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    items
        .map(serde_json::Value::from)
        .collect::<serde_json::Value>()
        .to_string()
}

/// Rows as JSON, for a statement that reads its rows from JSON.
pub(in crate::store) fn json(rows: &impl serde::Serialize) -> Result<String, Broken> {
    Ok(serde_json::to_string(rows)?)
}

/// The columns of a signing key.
pub(in crate::store) struct KeyRow {
    pub kid: String,
    pub public_jwk: String,
    pub private_key: Vec<u8>,
    pub state: String,
    pub announced_at: i64,
    pub signs_from: i64,
    pub signs_until: Option<i64>,
    pub published_until: Option<i64>,
    pub seal: Option<Vec<u8>>,
}

impl KeyRow {
    pub(super) fn parse(self) -> Result<KeyRecord, Broken> {
        Ok(KeyRecord {
            kid: Kid(self.kid),
            public_jwk: self.public_jwk,
            private_key: Sealed(self.private_key),
            state: KeyState::parse(&self.state).ok_or("a key is announced, signing or retiring")?,
            announced_at: Timestamp(self.announced_at),
            signs_from: Timestamp(self.signs_from),
            signs_until: self.signs_until.map(Timestamp),
            published_until: self.published_until.map(Timestamp),
            seal: self.seal,
        })
    }
}

/// A row of the revocation list: its version, an individually revoked token, a killed agent, a killed organization, or a revoked key. All
/// rows come from one statement, so that the version covers exactly the rows that come with it.
pub(in crate::store) struct RevocationRow {
    pub version: i64,
    pub jti: Option<uuid::Uuid>,
    pub agent_id: Option<String>,
    /// When the token expires, or when the agent was killed or the key revoked.
    pub at: i64,
    pub epoch: i64,
    pub longest_ttl: i64,
    pub kid: Option<String>,
    pub org_id: Option<String>,
}

/// Builds the list from its rows, which come in version order.
pub(in crate::store) fn revocations(
    rows: impl Iterator<Item = Result<RevocationRow, Broken>>,
) -> Result<Revocations, Broken> {
    let mut list = Revocations::default();
    for row in rows {
        let row = row?;
        let (version, at) = (row.version, Timestamp(row.at));
        if let Some(id) = row.org_id {
            list.orgs.push(KilledOrg {
                org_id: OrgId::parse(&id)?,
                epoch: OrgEpoch(row.epoch),
                killed_at: at,
                version,
            });
            continue;
        }
        match (row.jti, row.agent_id, row.kid) {
            (Some(jti), _, _) => list.tokens.push(RevokedToken {
                jti: Jti(jti),
                expires_at: at,
                version,
            }),
            (None, Some(id), _) => list.agents.push(KilledAgent {
                agent_id: AgentId::parse(&id)?,
                epoch: Epoch(row.epoch),
                killed_at: at,
                longest_ttl: row.longest_ttl,
                version,
            }),
            (None, None, Some(kid)) => list.keys.push(RevokedKey {
                kid: Kid(kid),
                revoked_at: at,
                version,
            }),
            (None, None, None) => list.version = version,
        }
    }
    Ok(list)
}

/// The columns of a `token.issued` event that identify the token.
pub(in crate::store) fn issued(
    (jti, agent_id, expires_at): (uuid::Uuid, String, i64),
) -> Result<IssuedToken, Broken> {
    Ok(IssuedToken {
        jti: Jti(jti),
        agent_id: AgentId::parse(&agent_id)?,
        expires_at: Timestamp(expires_at),
    })
}

/// The columns of an event, in the order of [`EventRow`].
pub(in crate::store) type EventColumns = (
    i64,
    i64,
    String,
    String,
    Option<String>,
    Option<uuid::Uuid>,
    Option<i64>,
    Option<i64>,
    String,
    Option<uuid::Uuid>,
    Option<String>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<String>,
    Option<String>,
);

/// An event from its columns. What they mean is checked where the event is read from its row.
pub(in crate::store) fn event(columns: EventColumns) -> EventRow {
    let (id, at, kind, actor, agent_id, jti, expires_at, epoch, detail, ..) = columns;
    let (.., credential_id, org_id, source, request, reason, data) = columns;
    EventRow {
        id,
        at,
        kind: kind.into(),
        actor: actor.into(),
        agent_id: agent_id.map(Arc::from),
        jti,
        expires_at,
        epoch,
        detail: detail.into(),
        credential_id,
        org_id,
        source,
        request,
        reason,
        data: data.map(Arc::from),
        decoded: None,
    }
}

/// The columns of a token's event, in the order of [`TokenRow`], and of its row of `token_terms`.
pub(in crate::store) type TokenColumns = (
    i64,
    i64,
    uuid::Uuid,
    i64,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<String>,
    Option<String>,
    Option<uuid::Uuid>,
    Option<String>,
    Option<String>,
    Option<i64>,
);

/// A token's event from its columns.
pub(in crate::store) fn token_event(columns: TokenColumns) -> EventRow {
    let (id, at, jti, epoch, request, source, agent_id, inline, ..) = columns;
    let (.., credential_id, scope, audience, ttl) = columns;
    let terms = credential_id.zip(scope).zip(audience).zip(ttl);
    let interned = terms.map(|(((credential_id, scope), audience), ttl)| InternedTerms {
        credential_id,
        scope,
        audience,
        ttl,
    });
    let row = TokenRow {
        id,
        at,
        jti,
        epoch,
        request,
        source,
        agent_id,
        inline,
        interned,
    };
    row.event_row()
}
