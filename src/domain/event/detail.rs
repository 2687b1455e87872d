//! What an event says besides its kind: whom it concerns, and the object `detail` of each kind.
//!
//! Must not know how an event is written as bytes.

use serde_json::{Map, Value, json};

use crate::domain::agent::Audience;
use crate::domain::id::{AgentId, CredentialId, Jti};
use crate::domain::org::OrgId;
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;

use super::Event;
use super::changes::Changes;
use super::facts::{CredentialFacts, TokenTerms};
use super::reason::RefusalCount;

/// What one `auth.refused` event may hold of counts, in bytes of JSON: with its other members, it
/// stays below the limit of a detail.
const MAX_COUNTS_BYTES: usize = 16_000;

/// The counts in as many parts as `auth.refused` events are needed to tell them, so that no detail
/// is too large.
pub(crate) fn split(counts: Vec<RefusalCount>) -> Vec<Vec<RefusalCount>> {
    let mut parts: Vec<Vec<RefusalCount>> = Vec::new();
    let mut room = 0;
    for count in counts {
        // One more byte for the comma.
        let length = count_json(&count).to_string().len().saturating_add(1);
        match parts.last_mut() {
            Some(part) if length <= room => part.push(count),
            _ => {
                parts.push(vec![count]);
                room = MAX_COUNTS_BYTES;
            }
        }
        room = room.saturating_sub(length);
    }
    parts
}

impl Event {
    /// The agent that it concerns.
    pub fn agent_id(&self) -> Option<&AgentId> {
        match self {
            Self::TokenRevoked { agent_id, .. } => agent_id.as_ref(),
            Self::TokenIssued { agent_id, .. }
            | Self::AgentCreated { agent_id, .. }
            | Self::AgentUpdated { agent_id, .. }
            | Self::AgentSuspended(agent_id, _)
            | Self::AgentReactivated(agent_id)
            | Self::AgentDecommissioned(agent_id, _)
            | Self::AgentTokensRevoked(agent_id, _)
            | Self::AgentExpiring(agent_id, _)
            | Self::AgentExpired(agent_id, _)
            | Self::QuotaThreshold { agent_id, .. } => Some(agent_id),
            _ => self.credential().map(|credential| &credential.agent_id),
        }
    }

    /// The credential that it concerns: not the one with which the actor authenticated.
    pub fn credential_id(&self) -> Option<CredentialId> {
        match self {
            Self::AgentCreated { credential_id, .. } => *credential_id,
            _ => self.credential().map(|credential| credential.credential_id),
        }
    }

    /// The organisation that it concerns. Events about an agent do not know the organisation; the
    /// store adds it.
    pub fn org_id(&self) -> Option<&str> {
        match self {
            Self::AuthRefused { org_id, .. } => org_id.as_deref(),
            Self::OrgCreated(org)
            | Self::OrgUpdated(org)
            | Self::OrgSuspended(org)
            | Self::OrgReactivated(org)
            | Self::OrgTokensRevoked(org) => Some(&org.org_id),
            Self::PartnerCreated(partner)
            | Self::PartnerUpdated(partner)
            | Self::PartnerSuspended(partner)
            | Self::PartnerReactivated(partner)
            | Self::PartnerDeleted(partner) => {
                // Whoever changes a partner of the first organisation belongs to that.
                let org_id = Some(&partner.org_id).filter(|org_id| !org_id.is_default());
                org_id.map(OrgId::as_str)
            }
            _ => None,
        }
    }

    /// The token that it concerns, and when that token expires.
    pub fn token(&self) -> Option<(Jti, Timestamp)> {
        match self {
            Self::TokenIssued {
                jti, expires_at, ..
            }
            | Self::TokenRevoked {
                jti, expires_at, ..
            } => Some((*jti, *expires_at)),
            _ => None,
        }
    }

    fn credential(&self) -> Option<&CredentialFacts> {
        match self {
            Self::CredentialCreated(credential)
            | Self::CredentialRotated(credential)
            | Self::CredentialEnded(credential)
            | Self::CredentialRehashed(credential)
            | Self::CredentialExpiring(credential) => Some(credential),
            _ => None,
        }
    }

    /// The members of `detail`, as fixed for each kind; `None` if there are none.
    pub fn detail_json(&self) -> Option<Map<String, Value>> {
        let members = match self {
            Self::TokenIssued { terms, .. } => terms.detail_json(),
            Self::TokenRevoked { .. } | Self::AgentReactivated(_) => Map::new(),
            Self::AuthRefused {
                from, to, counts, ..
            } => object([
                ("from", from.to_rfc3339().into()),
                ("to", to.to_rfc3339().into()),
                ("counts", counts.iter().map(count_json).collect()),
            ]),
            Self::AgentCreated { changed, .. } => object([("changed", changed.to_json())]),
            Self::AgentUpdated {
                changed,
                tokens_revoked,
                ..
            } => object([("changed", with_tokens(changed, *tokens_revoked).to_json())]),
            Self::AgentSuspended(_, version)
            | Self::AgentDecommissioned(_, version)
            | Self::AgentTokensRevoked(_, version) => {
                let version = version.map(|version| ("revocationVersion", version.into()));
                object(version)
            }
            Self::AgentExpiring(_, at) | Self::AgentExpired(_, at) => {
                object([("expiresAt", at.to_rfc3339().into())])
            }
            Self::ScopeAdded { scope, high_risk } | Self::ScopeDeleted { scope, high_risk } => {
                scope_json(scope, *high_risk, None)
            }
            Self::ScopeChanged {
                scope,
                high_risk,
                changed,
            } => scope_json(scope, *high_risk, Some(changed)),
            Self::QuotaThreshold {
                month,
                percent,
                issued,
                limit,
                ..
            } => object([
                ("month", month.to_string().into()),
                ("percent", (*percent).into()),
                ("issued", (*issued).into()),
                ("limit", (*limit).into()),
            ]),
            _ => self.rare_detail(),
        };
        (!members.is_empty()).then_some(members)
    }

    /// The details of credentials, keys, organisations and partners, and of what concerns the store
    /// as a whole.
    fn rare_detail(&self) -> Map<String, Value> {
        match self {
            Self::KeyAnnounced(kid)
            | Self::KeyActivated(kid)
            | Self::KeyRemoved(kid)
            | Self::KeyRevoked(kid) => object([("kid", kid.0.as_str().into())]),
            Self::StoreKeyCreated { purpose, key_id } => {
                // A key of the store is named by both, as where it is sealed.
                let kid = key_id
                    .iter()
                    .fold(purpose.clone(), |purpose, id| format!("{purpose}:{id}"));
                object([("kid", kid.into())])
            }
            Self::KeyResealed { keys } => object([("keys", (*keys).into())]),
            Self::OrgCreated(org)
            | Self::OrgUpdated(org)
            | Self::OrgSuspended(org)
            | Self::OrgReactivated(org)
            | Self::OrgTokensRevoked(org) => object(changed_member(&org.changed)),
            Self::PartnerCreated(partner)
            | Self::PartnerUpdated(partner)
            | Self::PartnerSuspended(partner)
            | Self::PartnerReactivated(partner)
            | Self::PartnerDeleted(partner) => object(
                [("partnerId", partner.partner_id.as_str().into())]
                    .into_iter()
                    .chain(changed_member(&partner.changed)),
            ),
            Self::AuditExported { filter } => object([("filter", filter.clone().into())]),
            Self::AuditPruned { to_id } => object([("toId", (*to_id).into())]),
            Self::StoreRestored { generation } => object([("generation", (*generation).into())]),
            Self::IdempotencyReplayed { path } => object([("path", path.as_str().into())]),
            Self::VerifierRemoved { verifier } => object([("verifier", verifier.as_str().into())]),
            _ => self.credential().map(credential_json).unwrap_or_default(),
        }
    }
}

impl TokenTerms {
    /// The members of `detail` of a `token.issued` event. Tokens of equal terms have equal details.
    pub fn detail_json(&self) -> Map<String, Value> {
        let audience = self.audience.as_deref().map(|audiences| {
            let texts: Value = audiences.iter().map(Audience::as_str).collect();
            ("aud", texts)
        });
        let user = self.user.as_deref().map(|user| ("user", user.into()));
        object(
            [("ttl", self.ttl.into())]
                .into_iter()
                .chain(audience)
                .chain(user),
        )
    }
}

fn object(members: impl IntoIterator<Item = (&'static str, Value)>) -> Map<String, Value> {
    let owned = members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    owned.collect()
}

fn changed_member(changed: &Changes) -> Option<(&'static str, Value)> {
    (!changed.is_empty()).then(|| ("changed", changed.to_json()))
}

/// The changes of an update, with the agent's tokens as one more member if they were killed.
fn with_tokens(changed: &Changes, tokens_revoked: bool) -> Changes {
    if tokens_revoked {
        changed.clone().with("tokens", "live", "revoked")
    } else {
        changed.clone()
    }
}

fn scope_json(
    scope: &Scope,
    high_risk: Option<bool>,
    changed: Option<&Changes>,
) -> Map<String, Value> {
    object(
        [("scope", scope.as_str().into())]
            .into_iter()
            .chain(high_risk.map(|high_risk| ("highRisk", high_risk.into())))
            .chain(changed.and_then(changed_member)),
    )
}

fn credential_json(credential: &CredentialFacts) -> Map<String, Value> {
    let end = |(credential_id, ends_at): &(CredentialId, Timestamp)| json!({ "credentialId": credential_id.to_string(), "endsAt": ends_at.to_rfc3339() });
    let expires_at = credential.expires_at.map(Timestamp::to_rfc3339);
    let ends: Vec<Value> = credential.ends.iter().map(end).collect();
    let trusts = credential.trusts.as_ref();
    object(
        [("kind", credential.kind.as_str().into())]
            .into_iter()
            .chain(trusts.map(|one| ("partnerId", one.partner_id.clone().into())))
            .chain(trusts.map(|one| ("subject", one.subject.clone().into())))
            .chain(expires_at.map(|at| ("expiresAt", at.into())))
            .chain((!ends.is_empty()).then(|| ("ends", ends.into()))),
    )
}

fn count_json(count: &RefusalCount) -> Value {
    let agent_id = count.agent_id.as_ref().map(AgentId::as_str);
    let source = count.source.map(|source| source.to_string());
    let members = [
        ("reason", count.reason.as_str().into()),
        ("count", count.count.into()),
    ];
    object(
        members
            .into_iter()
            .chain(agent_id.map(|id| ("agentId", id.into())))
            .chain(source.map(|source| ("source", source.into()))),
    )
    .into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use uuid::Uuid;

    use super::*;
    use crate::domain::agent::Epoch;
    use crate::domain::canonical::canonicalize_object;
    use crate::domain::credential::CredentialKind;
    use crate::domain::event::facts::TrustFacts;
    use crate::domain::event::facts::{OrgFacts, PartnerFacts};
    use crate::domain::event::kind::EventKind;
    use crate::domain::event::logged::MAX_DETAIL_BYTES;
    use crate::domain::event::reason::RefusalReason;
    use crate::domain::event::row::EventRow;
    use crate::domain::event::source::SourcePrecision;
    use crate::domain::id::Kid;

    fn agent() -> AgentId {
        AgentId::parse("a").unwrap()
    }

    fn scope() -> Scope {
        Scope::parse("db:read").unwrap()
    }

    fn credential(id: u128) -> CredentialId {
        CredentialId(Uuid::from_u128(id))
    }

    fn terms() -> TokenTerms {
        TokenTerms {
            scope: "db:read".to_owned(),
            audience: Some(vec![Audience::parse("https://b.example").unwrap()]),
            ttl: 600,
            user: None,
        }
    }

    fn count(agent_id: Option<AgentId>) -> RefusalCount {
        RefusalCount {
            agent_id,
            reason: RefusalReason::WrongSecret,
            source: SourcePrecision::Prefix.cut([192, 0, 2, 7].into()),
            count: 3,
        }
    }

    fn changes() -> Changes {
        Changes::default().with("name", "old", "new")
    }

    fn changed() -> Value {
        json!({ "name": { "from": "old", "to": "new" } })
    }

    /// One event of each kind, with the detail that the kind demands.
    fn table() -> Vec<(Event, Value)> {
        let rows = [of_tokens(), of_agents(), of_credentials(), of_scopes()];
        let more = [of_keys(), of_owners(), of_the_store()];
        rows.into_iter().chain(more).flatten().collect()
    }

    fn of_tokens() -> Vec<(Event, Value)> {
        let (jti, expires_at) = (Jti(Uuid::from_u128(9)), Timestamp(600));
        let issued = Event::TokenIssued {
            agent_id: agent(),
            jti,
            expires_at,
            epoch: Some(Epoch(1)),
            terms: terms(),
        };
        let revoked = Event::TokenRevoked {
            jti,
            agent_id: None,
            expires_at,
        };
        let refused = Event::AuthRefused {
            from: Timestamp(0),
            to: Timestamp(60),
            counts: vec![count(Some(agent()))],
            org_id: None,
        };
        let counts = json!([
            { "agentId": "a", "reason": "wrong_secret", "source": "192.0.2.0/24", "count": 3 }
        ]);
        let (from, to) = ("1970-01-01T00:00:00Z", "1970-01-01T00:01:00Z");
        let threshold = Event::QuotaThreshold {
            agent_id: agent(),
            month: Timestamp(0).month(),
            percent: 80,
            issued: 8_000,
            limit: 10_000,
        };
        vec![
            (issued, json!({ "aud": ["https://b.example"], "ttl": 600 })),
            (revoked, Value::Null),
            (refused, json!({ "from": from, "to": to, "counts": counts })),
            (
                threshold,
                json!({ "month": "1970-01", "percent": 80, "issued": 8_000, "limit": 10_000 }),
            ),
        ]
    }

    fn of_agents() -> Vec<(Event, Value)> {
        let created = Event::AgentCreated {
            agent_id: agent(),
            credential_id: Some(credential(1)),
            changed: changes(),
        };
        let updated = Event::AgentUpdated {
            agent_id: agent(),
            tokens_revoked: false,
            changed: changes(),
        };
        let version = json!({ "revocationVersion": 7 });
        let expires = json!({ "expiresAt": "1970-01-01T00:10:00Z" });
        vec![
            (created, json!({ "changed": changed() })),
            (updated, json!({ "changed": changed() })),
            (
                Event::AgentSuspended(agent(), None).killed_in(7),
                version.clone(),
            ),
            (Event::AgentReactivated(agent()).killed_in(7), Value::Null),
            (
                Event::AgentDecommissioned(agent(), None).killed_in(7),
                version.clone(),
            ),
            (
                Event::AgentTokensRevoked(agent(), None).killed_in(7),
                version,
            ),
            (
                Event::AgentExpiring(agent(), Timestamp(600)),
                expires.clone(),
            ),
            (Event::AgentExpired(agent(), Timestamp(600)), expires),
        ]
    }

    fn of_credentials() -> Vec<(Event, Value)> {
        let facts = CredentialFacts {
            expires_at: Some(Timestamp(86_400)),
            ends: vec![(credential(2), Timestamp(60))],
            ..CredentialFacts::of_secret(agent(), credential(1))
        };
        let ends = json!([
            { "credentialId": "00000000-0000-0000-0000-000000000002", "endsAt": "1970-01-01T00:01:00Z" }
        ]);
        let told = json!({ "kind": "secret", "expiresAt": "1970-01-02T00:00:00Z", "ends": ends });
        let with = |kind| CredentialFacts {
            kind,
            ..CredentialFacts::of_secret(agent(), credential(1))
        };
        let key = with(CredentialKind::PublicKey);
        let federated = CredentialFacts {
            trusts: Some(TrustFacts {
                partner_id: "p".to_owned(),
                subject: "repo:acme/*".to_owned(),
            }),
            ..with(CredentialKind::Federated)
        };
        vec![
            (
                Event::CredentialCreated(key),
                json!({ "kind": "publicKey" }),
            ),
            (Event::CredentialRotated(facts.clone()), told.clone()),
            (
                Event::CredentialEnded(federated),
                json!({ "kind": "federated", "partnerId": "p", "subject": "repo:acme/*" }),
            ),
            (Event::CredentialRehashed(facts.clone()), told.clone()),
            (Event::CredentialExpiring(facts), told),
        ]
    }

    fn of_scopes() -> Vec<(Event, Value)> {
        let added = Event::ScopeAdded {
            scope: scope(),
            high_risk: Some(true),
        };
        let changed = Event::ScopeChanged {
            scope: scope(),
            high_risk: Some(false),
            changed: Changes::default().with("highRisk", true, false),
        };
        let deleted = Event::ScopeDeleted {
            scope: scope(),
            high_risk: Some(false),
        };
        let change = json!({ "highRisk": { "from": true, "to": false } });
        vec![
            (added, json!({ "scope": "db:read", "highRisk": true })),
            (
                changed,
                json!({ "scope": "db:read", "highRisk": false, "changed": change }),
            ),
            (deleted, json!({ "scope": "db:read", "highRisk": false })),
        ]
    }

    fn of_keys() -> Vec<(Event, Value)> {
        let kid = json!({ "kid": "k-1" });
        let store_key = Event::StoreKeyCreated {
            purpose: "tag".to_owned(),
            key_id: Some("0".to_owned()),
        };
        let key = || Kid("k-1".to_owned());
        vec![
            (Event::KeyAnnounced(key()), kid.clone()),
            (Event::KeyActivated(key()), kid.clone()),
            (Event::KeyRemoved(key()), kid.clone()),
            (Event::KeyRevoked(key()), kid),
            (store_key, json!({ "kid": "tag:0" })),
            (Event::KeyResealed { keys: 4 }, json!({ "keys": 4 })),
        ]
    }

    fn of_owners() -> Vec<(Event, Value)> {
        let org = |changed| OrgFacts {
            org_id: "o".to_owned(),
            changed,
        };
        let partner = |changed| PartnerFacts {
            partner_id: "p".to_owned(),
            org_id: OrgId::default(),
            changed,
        };
        let org_changed = json!({ "changed": changed() });
        let partner_changed = json!({ "partnerId": "p", "changed": changed() });
        let named = json!({ "partnerId": "p" });
        let none = Changes::default;
        vec![
            (Event::OrgCreated(org(changes())), org_changed.clone()),
            (Event::OrgUpdated(org(changes())), org_changed),
            (Event::OrgSuspended(org(none())), Value::Null),
            (Event::OrgReactivated(org(none())), Value::Null),
            (Event::OrgTokensRevoked(org(none())), Value::Null),
            (
                Event::PartnerCreated(partner(changes())),
                partner_changed.clone(),
            ),
            (Event::PartnerUpdated(partner(changes())), partner_changed),
            (Event::PartnerSuspended(partner(none())), named.clone()),
            (Event::PartnerReactivated(partner(none())), named.clone()),
            (Event::PartnerDeleted(partner(none())), named),
        ]
    }

    fn of_the_store() -> Vec<(Event, Value)> {
        let exported = Event::AuditExported {
            filter: object([("kind", json!(["agent.*"]))]),
        };
        let replayed = Event::IdempotencyReplayed {
            path: "/api/v1/agents".to_owned(),
        };
        let removed = Event::VerifierRemoved {
            verifier: "gw".to_owned(),
        };
        let restored = Event::StoreRestored { generation: 2 };
        vec![
            (exported, json!({ "filter": { "kind": ["agent.*"] } })),
            (Event::AuditPruned { to_id: 41 }, json!({ "toId": 41 })),
            (restored, json!({ "generation": 2 })),
            (replayed, json!({ "path": "/api/v1/agents" })),
            (removed, json!({ "verifier": "gw" })),
        ]
    }

    #[test]
    fn every_kind_has_the_detail_that_is_fixed_for_it() {
        let mut kinds = HashSet::new();
        for (event, expected) in table() {
            let detail = event.detail_json().map_or(Value::Null, Value::Object);
            assert_eq!(detail, expected, "{}", event.kind().as_str());
            kinds.insert(event.kind());
        }
        assert_eq!(kinds, EventKind::ALL.iter().copied().collect());
    }

    #[test]
    fn every_kind_is_read_from_the_row_that_it_writes() {
        for (event, expected) in table() {
            let (jti, expires_at) = event.token().unzip();
            let row = EventRow {
                id: 7,
                at: 1_000,
                kind: event.kind().row_text().into(),
                actor: "operator".into(),
                agent_id: event.agent_id().map(|id| id.as_str().into()),
                jti: jti.map(|jti| jti.0),
                expires_at: expires_at.map(|at| at.0),
                epoch: None,
                detail: event.row_text().into(),
                credential_id: event.credential_id().map(|id| id.0),
                org_id: event.org_id().map(str::to_owned),
                source: None,
                request: None,
                reason: None,
                data: event.data().unwrap().map(|data| data.as_str().into()),
                decoded: None,
            };
            let name = event.kind().as_str();
            let logged = row
                .logged()
                .unwrap_or_else(|rule| panic!("{name}: {rule:?}"));
            assert_eq!(logged.kind, event.kind());
            assert_eq!(logged.org_id.as_deref(), event.org_id(), "{name}");
            let told = logged.detail.map_or(Value::Null, |detail| {
                serde_json::from_str(detail.as_str()).unwrap()
            });
            assert_eq!(told, expected, "{name}");
        }
    }

    #[test]
    fn an_event_names_whom_it_concerns() {
        for (event, _) in table() {
            let name = event.kind().as_str();
            let about_an_agent = ["agent", "credential", "quota"]
                .iter()
                .any(|first| name.split('.').next() == Some(first));
            let named = event.agent_id() == Some(&agent());
            assert_eq!(named, about_an_agent || name == "token.issued", "{name}");
            let about_a_credential = name.starts_with("credential.") || name == "agent.created";
            assert_eq!(
                event.credential_id().is_some(),
                about_a_credential,
                "{name}"
            );
            assert_eq!(event.org_id().is_some(), name.starts_with("org."), "{name}");
            assert_eq!(
                event.token().is_some(),
                name.starts_with("token."),
                "{name}"
            );
        }
    }

    #[test]
    fn an_update_that_kills_tokens_says_so_among_its_changes() {
        let event = Event::AgentUpdated {
            agent_id: agent(),
            tokens_revoked: true,
            changed: Changes::default(),
        };
        let detail = event.killed_in(7).detail_json().map(Value::Object);
        assert_eq!(
            detail,
            Some(json!({ "changed": { "tokens": { "from": "live", "to": "revoked" } } }))
        );
    }

    #[test]
    fn a_token_about_a_user_names_the_user() {
        let about_a_user = TokenTerms {
            audience: None,
            user: Some("u-1".to_owned()),
            ..terms()
        };
        assert_eq!(
            Value::Object(about_a_user.detail_json()),
            json!({ "ttl": 600, "user": "u-1" })
        );
    }

    #[test]
    fn ten_thousand_counts_are_told_whole_in_details_that_fit() {
        let counts: Vec<RefusalCount> = (0..10_000)
            .map(|i| count(AgentId::parse(&format!("{i:a<128}")).ok()))
            .collect();
        let mut told = Vec::new();
        for counts in split(counts.clone()) {
            let event = Event::AuthRefused {
                from: Timestamp(0),
                to: Timestamp(60),
                counts: counts.clone(),
                org_id: None,
            };
            let detail = event.detail_json().unwrap();
            assert!(canonicalize_object(&detail).unwrap().len() <= MAX_DETAIL_BYTES);
            told.extend(counts);
        }
        assert_eq!(told, counts);
        assert!(split(vec![]).is_empty());
    }
}
