//! Events of issued tokens in the rows of the table `token_event`: what such a row tells, and how
//! terms that have no row of their own are written in it.
//!
//! Must not know SQL, or which terms have a row of their own.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::agent::Audience;
use crate::domain::grant::Grant;

use super::decoded_terms::DecodedTerms;
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
    /// The epoch of the agent's organization, which the token carries; `None` in the first one.
    #[serde(default, rename = "orgEpoch", skip_serializing_if = "Option::is_none")]
    pub org_epoch: Option<i64>,
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
            org_epoch: grant.org().map(|(_, epoch)| epoch.0),
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
        let (agent_id, told) = self.agent_id.map(Arc::from).zip(told).unzip();
        let credential_id = told.as_ref().and_then(|terms| terms.credential);
        let expires_at = told.as_ref().map(|terms| self.at.saturating_add(terms.ttl));
        let detail = told.as_ref().map(InlineTerms::row_text);
        let data = told.and_then(InlineTerms::data);
        EventRow {
            id: self.id,
            at: self.at,
            kind: EventKind::TokenIssued.row_text().into(),
            actor: format!("agent:{}", agent_id.as_deref().unwrap_or_default()).into(),
            agent_id,
            jti: Some(self.jti),
            expires_at,
            epoch: Some(self.epoch),
            detail: detail.unwrap_or_default().into(),
            credential_id,
            org_id: None,
            source: self.source,
            request: self.request,
            reason: None,
            data: data.map(Arc::from),
            decoded: None,
        }
    }
}

/// The events of tokens that have the same terms.
#[derive(Debug)]
pub(crate) struct DecodedTermsRows {
    /// The event of a token with these terms, issued at the time 0.
    model: EventRow,
    ttl: i64,
}

impl DecodedTermsRows {
    /// The events of tokens of this agent with these terms.
    pub(crate) fn new(agent_id: String, terms: InternedTerms) -> Self {
        let ttl = terms.ttl;
        let row = TokenRow {
            id: 0,
            at: 0,
            jti: Uuid::nil(),
            epoch: 0,
            request: None,
            source: None,
            agent_id: Some(agent_id),
            inline: None,
            interned: Some(terms),
        };
        let mut model = row.event_row();
        // Terms that cannot be decoded are refused with each event that has them.
        model.decoded = model.logged().ok().and_then(DecodedTerms::of);
        Self { model, ttl }
    }

    /// The event that [`TokenRow::event_row`] makes of this row with these terms. `None` if the row
    /// itself tells something of its terms.
    pub(crate) fn event_row(&self, row: TokenRow) -> Option<EventRow> {
        if row.agent_id.is_some() || row.inline.is_some() || row.interned.is_some() {
            return None;
        }
        let is_told = self.model.agent_id.is_some();
        Some(EventRow {
            id: row.id,
            at: row.at,
            jti: Some(row.jti),
            expires_at: is_told.then(|| row.at.saturating_add(self.ttl)),
            epoch: Some(row.epoch),
            request: row.request,
            source: row.source,
            ..self.model.clone()
        })
    }
}

impl InternedTerms {
    fn inline(&self) -> Option<InlineTerms<'_>> {
        Some(InlineTerms {
            aud: serde_json::from_str(&self.audience).ok()?,
            credential: Some(self.credential_id),
            scope: self.scope.as_str().into(),
            // Only the search for killed tokens reads it, from its column.
            org_epoch: None,
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

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn any_audience() -> impl Strategy<Value = String> {
        prop_oneof![
            proptest::collection::vec(any::<String>(), 0..3)
                .prop_map(|list| serde_json::to_string(&list).unwrap()),
            any::<String>(),
        ]
    }

    proptest! {
        #[test]
        fn terms_that_are_decoded_once_tell_what_each_row_does(
            (id, at, epoch, ttl) in (any::<i64>(), any::<i64>(), any::<i64>(), any::<i64>()),
            agent_id in prop_oneof!["[a-z]{1,9}", any::<String>()],
            scope in prop_oneof!["[a-z]{1,9}( [a-z]{1,9}){0,3}( \"[a-z]\")?", any::<String>()],
            audience in any_audience(),
            request in option::of(proptest::collection::vec(any::<u8>(), 16..18)),
            source in option::of(proptest::collection::vec(any::<u8>(), 3..5)),
        ) {
            let (jti, credential_id) = (Uuid::from_u128(7), Uuid::from_u128(9));
            let terms = InternedTerms { credential_id, scope, audience, ttl };
            let whole = TokenRow {
                id,
                at,
                jti,
                epoch,
                request,
                source,
                agent_id: Some(agent_id.clone()),
                inline: None,
                interned: Some(terms.clone()),
            };
            let lean = TokenRow { agent_id: None, interned: None, ..whole.clone() };
            let (shared, whole) = (DecodedTermsRows::new(agent_id, terms), whole.event_row());
            let lean = shared.event_row(lean).unwrap();
            prop_assert_eq!(lean.logged(), whole.logged());
            prop_assert_eq!(EventRow { decoded: None, ..lean }, whole);
        }
    }
}
