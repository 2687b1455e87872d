//! Events in the rows of the table `audit_event`: how they are written there, and how they are read
//! back. Earlier releases know an event's details as a short text only; this release writes that
//! text too, and beside it the whole details.
//!
//! Must not know SQL.

use std::borrow::Cow;
use std::sync::Arc;

use uuid::Uuid;

use crate::domain::Invalid;
use crate::domain::agent::Epoch;
use crate::domain::canonical::{NotCanonical, SafeInteger};
use crate::domain::id::{AgentId, CredentialId, Jti, Kid};
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;

use super::Event;
use super::changes::Changes;
use super::decoded_terms::DecodedTerms;
use super::facts::{CredentialFacts, TokenTerms};
use super::kind::EventKind;
use super::logged::{Detail, LoggedEvent};
use super::request::RequestRef;
use super::source::EventSource;

/// The text of an update that also killed the agent's tokens.
const TOKENS_REVOKED: &str = "tokens revoked";

impl Event {
    /// The detail in the row of a change: a scope's name, a key's id. Never a secret.
    pub fn row_text(&self) -> String {
        match self {
            Self::AgentUpdated {
                tokens_revoked: true,
                ..
            } => TOKENS_REVOKED.to_owned(),
            Self::CredentialRotated(credential) | Self::CredentialRehashed(credential) => {
                credential.credential_id.to_string()
            }
            Self::ScopeAdded { scope, .. }
            | Self::ScopeChanged { scope, .. }
            | Self::ScopeDeleted { scope, .. } => scope.to_string(),
            Self::KeyAnnounced(kid)
            | Self::KeyActivated(kid)
            | Self::KeyRemoved(kid)
            | Self::KeyRevoked(kid) => kid.0.clone(),
            Self::StoreKeyCreated { purpose, .. } => purpose.clone(),
            _ => String::new(),
        }
    }

    /// The details in the row of a change, in canonical JSON; `None` if there are none.
    pub fn data(&self) -> Result<Option<Detail>, NotCanonical> {
        let members = self.detail_json();
        members.map(|members| Detail::new(&members)).transpose()
    }
}

/// A row of `audit_event`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// The event's id.
    pub id: i64,
    /// When it happened, in unix seconds.
    pub at: i64,
    /// The name of its kind.
    pub kind: Cow<'static, str>,
    /// Who caused it.
    pub actor: Arc<str>,
    /// The agent that it concerns.
    pub agent_id: Option<Arc<str>>,
    /// The token that it concerns.
    pub jti: Option<Uuid>,
    /// When that token expires, in unix seconds.
    pub expires_at: Option<i64>,
    /// The agent's epoch, which an issued token carries.
    pub epoch: Option<i64>,
    /// The text of [`Event::row_text`]; of an issued token, its scopes and, if it is about a user,
    /// the user in quotation marks.
    pub detail: Arc<str>,
    /// The credential that it concerns, or with which the actor authenticated.
    pub credential_id: Option<Uuid>,
    /// The organisation that it concerns.
    pub org_id: Option<String>,
    /// Where the request came from: the bytes of an [`EventSource`].
    pub source: Option<Vec<u8>>,
    /// The request that asked for it: the bytes of a [`RequestRef`].
    pub request: Option<Vec<u8>>,
    /// The reason that the actor gave.
    pub reason: Option<String>,
    /// The text of [`Event::data`]; `None` in the rows of earlier releases, and if the event has no
    /// details.
    pub data: Option<Arc<str>>,
    /// What the terms of an issued token tell, if they were decoded already. They are those that the
    /// other members tell.
    pub decoded: Option<DecodedTerms>,
}

impl EventRow {
    /// The event as it is listed. What the row does not hold is absent.
    pub fn logged(&self) -> Result<LoggedEvent, Invalid> {
        let told = match (&self.decoded, &self.data) {
            (Some(terms), _) => self.of_terms(terms)?,
            (None, Some(data)) => self.of_columns(Some(Detail::parse(data)?))?,
            (None, None) => self.of_text()?,
        };
        let source = self.source.as_deref().map(EventSource::from_bytes);
        let request_id = self.request.as_deref().map(RequestRef::from_bytes);
        Ok(LoggedEvent {
            credential_id: self.credential_id.map(CredentialId).or(told.credential_id),
            org_id: self.org_id.clone(),
            reason: self.reason.clone(),
            request_id: request_id.transpose()?,
            source: source.transpose()?,
            ..told
        })
    }

    /// What the event of a token with these terms tells.
    fn of_terms(&self, terms: &DecodedTerms) -> Result<LoggedEvent, Invalid> {
        Ok(LoggedEvent {
            agent_id: Some(terms.agent_id.clone()),
            detail: Some(terms.detail.clone()),
            exp: self.expires_at.map(Timestamp),
            jti: self.jti.map(Jti),
            scope: Some(Arc::clone(&terms.scope)),
            ..self.common(EventKind::TokenIssued)?
        })
    }

    /// What an event with this detail tells, if its columns tell the rest.
    fn of_columns(&self, detail: Option<Detail>) -> Result<LoggedEvent, Invalid> {
        let kind = EventKind::parse_row_text(&self.kind)?;
        Ok(LoggedEvent {
            agent_id: self.agent_id.as_deref().map(AgentId::parse).transpose()?,
            detail,
            exp: self.expires_at.map(Timestamp),
            jti: self.jti.map(Jti),
            // Both the scopes of a token and its user are in the text.
            scope: (kind == EventKind::TokenIssued)
                .then(|| self.terms(Timestamp(self.at)).scope.into()),
            ..self.common(kind)?
        })
    }

    /// What an event tells whose details are in the text, or that has none.
    fn of_text(&self) -> Result<LoggedEvent, Invalid> {
        let Some(event) = self.event()? else {
            return self.of_columns(None);
        };
        let detail = event.detail_json().map(|members| Detail::new(&members));
        let scope = match &event {
            Event::TokenIssued { terms, .. } => Some(terms.scope.as_str().into()),
            _ => None,
        };
        let (jti, exp) = event.token().unzip();
        Ok(LoggedEvent {
            agent_id: event.agent_id().cloned(),
            credential_id: event.credential_id(),
            detail: detail.transpose()?,
            exp,
            jti,
            scope,
            ..self.common(event.kind())?
        })
    }

    /// What the row of every event tells.
    fn common(&self, kind: EventKind) -> Result<LoggedEvent, Invalid> {
        Ok(LoggedEvent {
            actor: Arc::clone(&self.actor),
            agent_id: None,
            at: Timestamp(self.at),
            credential_id: None,
            detail: None,
            epoch: self.epoch.map(SafeInteger::new).transpose()?,
            exp: None,
            id: SafeInteger::new(self.id)?,
            jti: None,
            kind,
            org_id: None,
            reason: None,
            request_id: None,
            scope: None,
            source: None,
        })
    }

    /// What happened, as far as the text tells it. `None` for a kind that no release wrote as text.
    fn event(&self) -> Result<Option<Event>, Invalid> {
        let kind = EventKind::parse_row_text(&self.kind)?;
        Ok(Some(match kind {
            EventKind::TokenIssued => {
                let (jti, expires_at) = self.token()?;
                Event::TokenIssued {
                    agent_id: self.agent()?,
                    jti,
                    expires_at,
                    epoch: self.epoch.map(Epoch),
                    terms: self.terms(expires_at),
                }
            }
            EventKind::TokenRevoked => {
                let (jti, expires_at) = self.token()?;
                let agent_id = self.agent_id.as_deref().map(AgentId::parse).transpose()?;
                Event::TokenRevoked {
                    jti,
                    agent_id,
                    expires_at,
                }
            }
            EventKind::AgentCreated => Event::AgentCreated {
                agent_id: self.agent()?,
                credential_id: None,
                changed: Changes::default(),
            },
            EventKind::AgentUpdated => Event::AgentUpdated {
                agent_id: self.agent()?,
                tokens_revoked: &*self.detail == TOKENS_REVOKED,
                changed: Changes::default(),
            },
            EventKind::AgentSuspended => Event::AgentSuspended(self.agent()?, None),
            EventKind::AgentReactivated => Event::AgentReactivated(self.agent()?),
            EventKind::AgentDecommissioned => Event::AgentDecommissioned(self.agent()?, None),
            EventKind::AgentTokensRevoked => Event::AgentTokensRevoked(self.agent()?, None),
            EventKind::CredentialRotated => Event::CredentialRotated(self.secret()?),
            EventKind::CredentialRehashed => Event::CredentialRehashed(self.secret()?),
            EventKind::ScopeAdded => Event::ScopeAdded {
                scope: Scope::parse(&self.detail)?,
                high_risk: None,
            },
            EventKind::ScopeChanged => Event::ScopeChanged {
                scope: Scope::parse(&self.detail)?,
                high_risk: None,
                changed: Changes::default(),
            },
            EventKind::KeyAnnounced => Event::KeyAnnounced(Kid(self.detail.to_string())),
            EventKind::KeyActivated => Event::KeyActivated(Kid(self.detail.to_string())),
            EventKind::KeyRemoved => Event::KeyRemoved(Kid(self.detail.to_string())),
            EventKind::StoreKeyCreated => Event::StoreKeyCreated {
                purpose: self.detail.to_string(),
                key_id: None,
            },
            _ => return Ok(None),
        }))
    }

    fn agent(&self) -> Result<AgentId, Invalid> {
        let text = self.agent_id.as_deref();
        AgentId::parse(text.ok_or(Invalid("the row of an agent's event names the agent"))?)
    }

    fn token(&self) -> Result<(Jti, Timestamp), Invalid> {
        let token = self.jti.map(Jti).zip(self.expires_at.map(Timestamp));
        token.ok_or(Invalid("the row of a token's event names the token"))
    }

    fn secret(&self) -> Result<CredentialFacts, Invalid> {
        let id = Uuid::try_parse(&self.detail)
            .map_err(|_| Invalid("the row of a credential's event names the credential"))?;
        Ok(CredentialFacts::of_secret(self.agent()?, CredentialId(id)))
    }

    /// The terms of an issued token. A scope cannot contain a quotation mark (RFC 6749 §3.3), so
    /// the first one begins the user.
    fn terms(&self, expires_at: Timestamp) -> TokenTerms {
        let about_a_user = self
            .detail
            .split_once(" \"")
            .and_then(|(scope, rest)| Some((scope, rest.strip_suffix('"')?)));
        let (scope, user) = match about_a_user {
            Some((scope, user)) => (scope, Some(user.to_owned())),
            None => (&*self.detail, None),
        };
        TokenTerms {
            scope: scope.to_owned(),
            audience: None,
            // The row's time is the token's `iat`.
            ttl: expires_at.0.saturating_sub(self.at),
            user,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(kind: &str, detail: &str) -> EventRow {
        EventRow {
            id: 7,
            at: 1_000,
            kind: kind.to_owned().into(),
            actor: "operator".into(),
            agent_id: Some("a".into()),
            jti: Some(Uuid::from_u128(1)),
            expires_at: Some(1_600),
            epoch: Some(3),
            detail: detail.into(),
            credential_id: None,
            org_id: None,
            source: None,
            request: None,
            reason: None,
            data: None,
            decoded: None,
        }
    }

    fn detail(kind: &str, text: &str) -> String {
        let logged = row(kind, text).logged().unwrap();
        logged
            .detail
            .map_or_else(String::new, |detail| detail.as_str().to_owned())
    }

    #[test]
    fn a_token_of_an_earlier_release_is_read_from_its_row() {
        let mut own = row("token.issued", "db:read files:read");
        own.actor = "agent:a".into();
        assert_eq!(
            String::from_utf8(own.logged().unwrap().bytes()).unwrap(),
            "{\"actor\":\"agent:a\",\"agentId\":\"a\",\"at\":\"1970-01-01T00:16:40Z\",\"detail\":{\"ttl\":600},\
             \"epoch\":3,\"exp\":\"1970-01-01T00:26:40Z\",\"id\":7,\
             \"jti\":\"00000000-0000-0000-0000-000000000001\",\"kind\":\"token.issued\",\
             \"scope\":\"db:read files:read\",\"v\":1}"
        );
        let about_a_user = row("token.issued", "db:read files:read \"user one\"");
        let logged = about_a_user.logged().unwrap();
        assert_eq!(logged.scope.as_deref(), Some("db:read files:read"));
        assert_eq!(
            logged.detail.unwrap().as_str(),
            "{\"ttl\":600,\"user\":\"user one\"}"
        );
    }

    #[test]
    fn a_change_of_an_earlier_release_is_read_from_its_row() {
        let id = "00000000-0000-0000-0000-0000000000ff";
        for (kind, text, expected) in [
            ("token.revoked", "", ""),
            ("agent.created", "", "{\"changed\":{}}"),
            ("agent.updated", "", "{\"changed\":{}}"),
            (
                "agent.updated",
                "tokens revoked",
                "{\"changed\":{\"tokens\":{\"from\":\"live\",\"to\":\"revoked\"}}}",
            ),
            ("agent.suspended", "", ""),
            ("agent.reactivated", "", ""),
            ("agent.decommissioned", "", ""),
            ("agent.tokens_revoked", "", ""),
            ("credential.rotated", id, "{\"kind\":\"secret\"}"),
            ("credential.rehashed", id, "{\"kind\":\"secret\"}"),
            ("scope.added", "db:read", "{\"scope\":\"db:read\"}"),
            ("scope.updated", "db:read", "{\"scope\":\"db:read\"}"),
            ("key.announced", "k", "{\"kid\":\"k\"}"),
            ("key.activated", "k", "{\"kid\":\"k\"}"),
            ("key.removed", "k", "{\"kid\":\"k\"}"),
            ("store_key.created", "tag", "{\"kid\":\"tag\"}"),
        ] {
            assert_eq!(detail(kind, text), expected, "{kind}");
            // The row is what this release writes for the same event.
            let event = row(kind, text).event().unwrap().unwrap();
            assert_eq!(
                (event.kind().row_text(), event.row_text().as_str()),
                (kind, text)
            );
        }
        let rotated = row("credential.rotated", id).logged().unwrap();
        assert_eq!(rotated.credential_id.unwrap().to_string(), id);
        let changed = row("scope.updated", "db:read").logged().unwrap();
        assert_eq!(changed.kind.as_str(), "scope.changed");
    }

    #[test]
    fn a_row_that_no_release_wrote_is_refused() {
        let without = |change: fn(&mut EventRow)| {
            let mut row = row("token.issued", "db:read");
            change(&mut row);
            row.logged()
        };
        assert!(without(|_| ()).is_ok());
        assert!(without(|row| row.agent_id = None).is_err());
        assert!(without(|row| row.agent_id = Some("a b".into())).is_err());
        assert!(without(|row| row.jti = None).is_err());
        assert!(without(|row| row.expires_at = None).is_err());
        assert!(without(|row| row.id = i64::MAX).is_err());
        assert!(without(|row| row.epoch = Some(i64::MIN)).is_err());
        assert!(without(|row| row.kind = "token.gone".into()).is_err());
        assert!(row("credential.rotated", "x").event().is_err());
        assert!(row("scope.added", "").event().is_err());
    }

    #[test]
    fn a_row_with_data_needs_no_text() {
        let whole = EventRow {
            credential_id: Some(Uuid::from_u128(5)),
            org_id: Some("o".to_owned()),
            source: Some(vec![192, 0, 2]),
            request: Some([0; 16].to_vec()),
            reason: Some("why".to_owned()),
            data: Some("{\"expiresAt\":\"1970-01-01T00:10:00Z\"}".into()),
            epoch: None,
            jti: None,
            expires_at: None,
            ..row("agent.expired", "")
        };
        assert_eq!(
            String::from_utf8(whole.logged().unwrap().bytes()).unwrap(),
            "{\"actor\":\"operator\",\"agentId\":\"a\",\"at\":\"1970-01-01T00:16:40Z\",\
             \"credentialId\":\"00000000-0000-0000-0000-000000000005\",\
             \"detail\":{\"expiresAt\":\"1970-01-01T00:10:00Z\"},\"id\":7,\"kind\":\"agent.expired\",\"orgId\":\"o\",\
             \"reason\":\"why\",\"requestId\":\"0000000000000000-0\",\"source\":\"192.0.2.0/24\",\"v\":1}"
        );
        let broken: [fn(&mut EventRow); 4] = [
            |row| row.data = Some("[]".into()),
            |row| row.source = Some(vec![1]),
            |row| row.request = Some(vec![1]),
            |row| row.agent_id = Some("a b".into()),
        ];
        for change in broken {
            let mut row = whole.clone();
            change(&mut row);
            assert!(row.logged().is_err(), "{row:?}");
        }
    }

    proptest! {
        #[test]
        fn a_user_is_told_from_the_scopes(
            scope in "[!#-\\[\\]-~]{1,9}( [!#-\\[\\]-~]{1,9}){0,3}",
            user in proptest::option::of("[^\"\\\\\\x00-\\x1f]{1,20}"),
        ) {
            let user = user.filter(|user| !user.is_empty());
            let text = match &user {
                None => scope.clone(),
                Some(user) => format!("{scope} \"{user}\""),
            };
            let terms = row("token.issued", &text).terms(Timestamp(1_600));
            prop_assert_eq!(terms.scope, scope);
            prop_assert_eq!(terms.user, user);
        }

        #[test]
        fn no_row_makes_the_reader_panic(
            kind in 0..EventKind::ALL.len(),
            text in any::<String>(),
            at in any::<i64>(),
            expires_at in proptest::option::of(any::<i64>()),
            data in proptest::option::of(any::<String>()),
            source in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
        ) {
            let (request, data) = (source.clone(), data.map(Arc::from));
            let row = EventRow { at, expires_at, source, request, data, ..row(EventKind::ALL[kind].row_text(), &text) };
            let _ = row.logged().map(|logged| logged.bytes());
        }
    }
}
