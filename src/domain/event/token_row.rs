//! Events of issued tokens in the rows of the table `token_event`: what such a row tells, and how
//! terms that have no row of their own are written in it.
//!
//! Must not know SQL, or which terms have a row of their own.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::agent::Audience;
use crate::domain::grant::Grant;

use super::kind::EventKind;
use super::row::EventRow;

/// The terms of a token as they stand in its own row (the column `inline`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InlineTerms<'a> {
    /// The audiences.
    pub aud: Vec<Cow<'a, str>>,
    /// The credential with which the agent authenticated, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Uuid>,
    /// The granted scopes, joined by spaces.
    pub scope: Cow<'a, str>,
    /// Seconds from `iat` to `exp`.
    pub ttl: i64,
    /// The user whom the token is about, if it is not about the agent itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Cow<'a, str>>,
}

impl<'a> From<&'a Grant> for InlineTerms<'a> {
    fn from(grant: &'a Grant) -> Self {
        Self {
            aud: grant
                .audience()
                .iter()
                .map(|one| Cow::Borrowed(Audience::as_str(one)))
                .collect(),
            credential: grant.credential().map(|credential| credential.0),
            scope: grant.scope().into(),
            ttl: grant.ttl(),
            user: grant.user().map(Cow::Borrowed),
        }
    }
}

/// The terms of a token as they stand in a row of `token_terms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InternedTerms {
    /// The credential with which the agent authenticated.
    pub credential_id: Uuid,
    /// The granted scopes, joined by spaces.
    pub scope: String,
    /// The audiences, as a JSON list.
    pub audience: String,
    /// Seconds from `iat` to `exp`.
    pub ttl: i64,
}

/// A row of `token_event`, with its terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenRow {
    /// The event's id.
    pub id: i64,
    /// When the token was issued, in unix seconds.
    pub at: i64,
    /// The token.
    pub jti: Uuid,
    /// The agent's epoch, which the token carries.
    pub epoch: i64,
    /// The request that asked for it: the bytes of a `RequestRef`.
    pub request: Option<Vec<u8>>,
    /// Where the request came from: the bytes of an `EventSource`.
    pub source: Option<Vec<u8>>,
    /// The agent; `None` if the row names terms that the store does not hold.
    pub agent_id: Option<String>,
    /// The terms in the row itself.
    pub inline: Option<String>,
    /// The terms that the row names, if it names any.
    pub interned: Option<InternedTerms>,
}

impl TokenRow {
    /// The same event as a row of all events. If the row does not tell its terms, this row lacks
    /// its agent, so that it is refused where it is read.
    pub(crate) fn event_row(self) -> EventRow {
        let told = match (&self.inline, &self.interned) {
            (Some(inline), _) => serde_json::from_str(inline).ok(),
            (None, Some(interned)) => interned.inline(),
            (None, None) => None,
        };
        let (agent_id, told) = self.agent_id.zip(told).unzip();
        let credential_id = told.as_ref().and_then(|terms| terms.credential);
        let expires_at = told.as_ref().map(|terms| self.at.saturating_add(terms.ttl));
        let detail = told.as_ref().map(InlineTerms::row_text);
        let data = told.and_then(InlineTerms::data);
        EventRow {
            id: self.id,
            at: self.at,
            kind: EventKind::TokenIssued.row_text().to_owned(),
            actor: format!("agent:{}", agent_id.as_deref().unwrap_or_default()),
            agent_id,
            jti: Some(self.jti),
            expires_at,
            epoch: Some(self.epoch),
            detail: detail.unwrap_or_default(),
            credential_id,
            org_id: None,
            source: self.source,
            request: self.request,
            reason: None,
            data,
        }
    }
}

impl InternedTerms {
    fn inline(&self) -> Option<InlineTerms<'_>> {
        Some(InlineTerms {
            aud: serde_json::from_str(&self.audience).ok()?,
            credential: Some(self.credential_id),
            scope: self.scope.as_str().into(),
            ttl: self.ttl,
            user: None,
        })
    }
}

impl InlineTerms<'_> {
    /// The text that earlier releases wrote for such an event: the scopes and, if there is one, the
    /// user in quotation marks. A scope cannot contain a quotation mark (RFC 6749 §3.3).
    fn row_text(&self) -> String {
        match &self.user {
            None => self.scope.to_string(),
            Some(user) => format!("{} \"{user}\"", self.scope),
        }
    }

    /// The members of the event's `detail`.
    fn data(self) -> Option<String> {
        #[derive(Serialize)]
        struct TokenDetail<'a> {
            aud: Vec<Cow<'a, str>>,
            ttl: i64,
            #[serde(skip_serializing_if = "Option::is_none")]
            user: Option<Cow<'a, str>>,
        }
        let (aud, ttl, user) = (self.aud, self.ttl, self.user);
        serde_json::to_string(&TokenDetail { aud, ttl, user }).ok()
    }
}
