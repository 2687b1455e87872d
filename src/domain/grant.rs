//! The decision whether this agent may have this token. Only this file makes a [`Grant`].
//!
//! Must not know the clock, the store or how the agent proved itself.

use super::agent::{Agent, Audience, UserId};
use super::asked::{decide_audience, decide_scopes};
use super::assertion::AssertionRef;
use super::catalogue::Catalogue;
use super::code::{Code, CodeRef};
use super::event::request::RequestRef;
use super::event::source::EventSource;
use super::id::{AgentId, CredentialId, Jti};
use super::org::{OrgEpoch, OrgId};
use super::proof::ProvenBy;
use super::quota::{Limit, PlanName};
use super::refusal::Refusal;
use super::risk::RiskRules;
use super::scope::{Scope, join};
use super::scope_pattern::ScopePattern;
use super::time::Timestamp;
use super::ttl::{Risk, Ttl, lifetime};

/// What a client asked for. Its syntax is already checked.
#[derive(Debug, Clone, Default)]
pub struct TokenRequest {
    /// The scopes asked for, in the client's order; `None` if omitted or empty.
    pub scopes: Option<Vec<Scope>>,
    /// The audiences asked for; empty if the client named none.
    pub audience: Vec<Audience>,
}

/// The agent that asks for a token, and when it asks.
#[derive(Debug, Clone, Copy)]
pub struct Applicant<'a> {
    /// The agent.
    pub agent: &'a Agent,
    /// How many tokens a month its plan allows.
    pub limit: Limit,
    /// The time, by the store's clock. No token's `iat` may be later if the agent expires.
    pub now: Timestamp,
    /// How the agent proved itself.
    pub proof: ProvenBy<'a>,
}

/// The basis for a token, besides the agent's own authentication.
#[derive(Debug, Clone)]
pub enum Basis {
    /// Nothing more: the agent's own token (RFC 6749 §4.4).
    Own,
    /// An authorization code, which the token spends (RFC 6749 §4.1.3).
    Code(Code),
}

/// The server's own rules.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The lifetime of a token if its agent has no lifetime of its own.
    pub default_ttl: Ttl,
    /// The `aud` of a token if the request named no audience. An agent's list that lacks it
    /// overrides it.
    pub default_audience: Audience,
    /// Which scopes are high-risk (contract D2).
    pub risk: RiskRules,
    /// Which scopes a secret does not open.
    pub secretless: Vec<ScopePattern>,
}

/// A token that was decided and is not counted yet. Only [`decide`] makes one.
#[derive(Debug, Clone)]
pub struct Grant {
    jti: Jti,
    agent_id: AgentId,
    agent_version: i64,
    catalogue_version: i64,
    subject: String,
    scope: String,
    audience: Vec<Audience>,
    ttl: i64,
    latest_iat: Option<Timestamp>,
    risk: Risk,
    org: Option<(OrgId, OrgEpoch)>,
    plan: PlanName,
    limit: Limit,
    code: Option<CodeRef>,
    credential: Option<CredentialId>,
    assertion: Option<AssertionRef>,
    source: Option<EventSource>,
    request: Option<RequestRef>,
}

impl Grant {
    /// The token's id.
    pub fn jti(&self) -> Jti {
        self.jti
    }
    /// The agent that gets the token: the `client_id`.
    pub fn agent_id(&self) -> &AgentId {
        &self.agent_id
    }
    /// The agent's version on which the decision rests.
    pub fn agent_version(&self) -> i64 {
        self.agent_version
    }
    /// The catalogue's version on which the decision rests.
    pub fn catalogue_version(&self) -> i64 {
        self.catalogue_version
    }
    /// The `sub` claim.
    pub fn subject(&self) -> &str {
        &self.subject
    }
    /// The user whom the token is about, if it is not about the agent itself.
    pub fn user(&self) -> Option<&str> {
        (self.subject != self.agent_id.as_str()).then_some(self.subject.as_str())
    }
    /// The granted scopes, joined by spaces.
    pub fn scope(&self) -> &str {
        &self.scope
    }
    /// The `aud` claim, never empty.
    pub fn audience(&self) -> &[Audience] {
        &self.audience
    }
    /// Seconds from `iat` to `exp`.
    pub fn ttl(&self) -> i64 {
        self.ttl
    }
    /// The latest `iat` with which the token outlives neither its agent nor its proof, if one ends.
    pub fn latest_iat(&self) -> Option<Timestamp> {
        self.latest_iat
    }
    /// Whether any granted scope is high-risk.
    pub fn risk(&self) -> Risk {
        self.risk
    }
    /// The agent's organization and its epoch, which the token carries; `None` in the first one.
    pub fn org(&self) -> Option<&(OrgId, OrgEpoch)> {
        self.org.as_ref()
    }
    /// The agent's plan.
    pub fn plan(&self) -> &PlanName {
        &self.plan
    }
    /// How many tokens a month the plan allows.
    pub fn limit(&self) -> Limit {
        self.limit
    }
    /// The same grant, for an agent that authenticated with this credential. The commit that counts
    /// the token checks that the credential is still valid; otherwise it counts nothing.
    #[must_use]
    pub fn proven_by(self, credential: CredentialId) -> Self {
        let credential = Some(credential);
        Self { credential, ..self }
    }
    /// The credential with which the agent authenticated.
    pub fn credential(&self) -> Option<CredentialId> {
        self.credential
    }
    /// The same grant, for a token that costs this client assertion, if any.
    #[must_use]
    pub fn costing(self, assertion: Option<AssertionRef>) -> Self {
        Self { assertion, ..self }
    }
    /// The client assertion that the token costs.
    pub fn assertion(&self) -> Option<AssertionRef> {
        self.assertion
    }
    /// The same grant, for a request from this source with this id. Both are recorded.
    #[must_use]
    pub fn asked_by(self, source: Option<EventSource>, request: Option<RequestRef>) -> Self {
        Self {
            source,
            request,
            ..self
        }
    }
    /// Where the request came from.
    pub fn source(&self) -> Option<EventSource> {
        self.source
    }
    /// The request that asked for the token.
    pub fn request(&self) -> Option<RequestRef> {
        self.request
    }
    /// The authorization code that the token costs. One commit counts the token and spends the
    /// code.
    pub fn code(&self) -> Option<CodeRef> {
        self.code
    }
}

/// Decides about one token: agent status, then the code if there is one, then scope, then audience
/// (contract D6). The quota is decided where the token is counted, in the store's commit. The same
/// commit decides whether the code was spent before.
pub fn decide(
    applicant: &Applicant<'_>,
    catalogue: &Catalogue,
    policy: &Policy,
    basis: &Basis,
    request: &TokenRequest,
    jti: Jti,
) -> Result<Grant, Refusal> {
    let Applicant {
        agent,
        limit,
        now,
        proof,
    } = *applicant;
    proof.admit(now)?;
    agent.admit(|| now)?;
    let org = catalogue.org_claim(&agent.org_id)?;
    let (user, code) = match basis {
        Basis::Own => (None, None),
        Basis::Code(code) => (code.user(&agent.profile)?, Some(code.reference)),
    };
    let opens = |scope: &Scope| proof.opens(scope, &policy.secretless);
    let scopes = decide_scopes(agent, catalogue, opens, request.scopes.as_deref())?;
    let audience = decide_audience(agent, &policy.default_audience, &request.audience)?;
    let risk = catalogue.risk(&scopes, &policy.risk);
    let terms = &agent.profile.terms;
    let ttl = lifetime(terms.ttl, policy.default_ttl, risk);
    let ttl = proof.ttl().map_or(ttl, |most| ttl.min(most));
    // Contract D1: no token outlives its agent or a partner's proof. What has not ended has a second
    // left.
    let ends = [agent.profile.expires_at, proof.ends_at()];
    let end = ends.into_iter().flatten().min();
    let ttl = end.map_or(ttl, |end| ttl.min(end.0.saturating_sub(now.0)));
    Ok(Grant {
        jti,
        agent_id: agent.agent_id.clone(),
        agent_version: agent.version,
        catalogue_version: catalogue.version(),
        subject: user
            .map_or(agent.agent_id.as_str(), UserId::as_str)
            .to_owned(),
        scope: join(&scopes),
        audience,
        ttl,
        latest_iat: end.map(|end| end.saturating_add(-ttl)),
        risk,
        org,
        plan: terms.plan.clone(),
        limit,
        code,
        credential: None,
        assertion: None,
        source: None,
        request: None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::about::About;
    use super::super::agent::{AgentName, AgentStatus, Epoch, Profile, Terms};
    use super::super::catalogue::CatalogueEntry;
    use super::super::org::OrgId;
    use super::super::proof::OwnProof;
    use super::super::scope::parse_scope_list;
    use super::*;

    fn agent(status: AgentStatus, scopes: &[Scope], ttl: Option<Ttl>) -> Agent {
        Agent {
            agent_id: AgentId::parse("a").unwrap(),
            org_id: OrgId::default(),
            profile: Profile {
                name: AgentName::parse("a").unwrap(),
                about: About::default(),
                terms: Arc::new(Terms {
                    scopes: scopes.to_vec(),
                    ttl,
                    plan: PlanName::free(),
                    audiences: vec![],
                    redirect_uris: vec![],
                    user_ids: vec![],
                }),
                expires_at: None,
            },
            status,
            suspended_by: None,
            epoch: Epoch(0),
            version: 1,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        }
    }

    fn catalogue(names: &str) -> Catalogue {
        let entry = |scope| CatalogueEntry {
            scope,
            description: String::new(),
            high_risk: false,
        };
        Catalogue::new(
            1,
            parse_scope_list(names)
                .unwrap()
                .into_iter()
                .map(entry)
                .collect(),
        )
    }

    fn policy() -> Policy {
        Policy {
            default_ttl: Ttl::DEFAULT,
            default_audience: Audience::parse("https://issuer.example").unwrap(),
            risk: RiskRules::default(),
            secretless: vec![],
        }
    }

    fn ask(agent: &Agent, catalogue: &Catalogue, request: &TokenRequest) -> Result<Grant, Refusal> {
        let applicant = Applicant {
            agent,
            limit: Some(10_000),
            now: Timestamp(0),
            proof: ProvenBy::Own(OwnProof::Secret),
        };
        decide(
            &applicant,
            catalogue,
            &policy(),
            &Basis::Own,
            request,
            Jti(uuid::Uuid::nil()),
        )
    }

    #[test]
    fn scopes_come_in_catalogue_order_when_none_is_asked_for_and_in_request_order_when_some_are() {
        let allowed = parse_scope_list("c a b").unwrap();
        let agent = agent(AgentStatus::Active, &allowed, None);
        let catalogue = catalogue("a b c d");
        let all = ask(&agent, &catalogue, &TokenRequest::default()).unwrap();
        assert_eq!(all.scope(), "a b c");
        let scopes = Some(parse_scope_list("c a").unwrap());
        let some = ask(
            &agent,
            &catalogue,
            &TokenRequest {
                scopes,
                ..TokenRequest::default()
            },
        )
        .unwrap();
        assert_eq!(some.scope(), "c a");
    }

    #[test]
    fn a_scope_that_left_the_catalogue_is_not_allowed() {
        let allowed = parse_scope_list("a gone").unwrap();
        let agent = agent(AgentStatus::Active, &allowed, None);
        let scopes = Some(parse_scope_list("gone").unwrap());
        let refused = ask(
            &agent,
            &catalogue("a"),
            &TokenRequest {
                scopes,
                ..TokenRequest::default()
            },
        );
        assert_eq!(refused.unwrap_err(), Refusal::ScopeNotAllowed);
    }

    #[test]
    fn an_agent_without_scopes_gets_nothing() {
        let agent = agent(AgentStatus::Active, &[], None);
        let refused = ask(&agent, &catalogue("a"), &TokenRequest::default());
        assert_eq!(refused.unwrap_err(), Refusal::NoScopes);
    }

    #[test]
    fn a_token_ends_with_its_agent_and_an_expired_agent_gets_none() {
        let scopes = parse_scope_list("a").unwrap();
        let mut agent = agent(AgentStatus::Active, &scopes, None);
        let mut ttl = |end: Option<i64>| {
            agent.profile.expires_at = end.map(Timestamp);
            ask(&agent, &catalogue("a"), &TokenRequest::default()).map(|grant| grant.ttl())
        };
        for (end, left) in [
            (None, 600),
            (Some(601), 600),
            (Some(599), 599),
            (Some(1), 1),
        ] {
            assert_eq!(ttl(end), Ok(left), "{end:?}");
        }
        for end in [0, -1, i64::MIN] {
            assert_eq!(ttl(Some(end)), Err(Refusal::AgentExpired));
        }
        assert_eq!(ttl(Some(i64::MAX)), Ok(600));
        agent.profile.expires_at = Some(Timestamp(0));
        agent.status = AgentStatus::Suspended;
        let refused = ask(&agent, &catalogue("a"), &TokenRequest::default());
        assert_eq!(refused.unwrap_err(), Refusal::AgentSuspended);
    }

    #[test]
    fn an_audience_list_binds_what_is_asked_for() {
        let scopes = parse_scope_list("a").unwrap();
        let mut agent = agent(AgentStatus::Active, &scopes, None);
        Arc::make_mut(&mut agent.profile.terms).audiences =
            vec![Audience::parse("https://in").unwrap()];
        let request = |a: &str| TokenRequest {
            audience: vec![Audience::parse(a).unwrap()],
            ..TokenRequest::default()
        };
        assert!(ask(&agent, &catalogue("a"), &request("https://in")).is_ok());
        assert_eq!(
            ask(&agent, &catalogue("a"), &request("https://out")).unwrap_err(),
            Refusal::InvalidTarget
        );
        let aud = |agent: &Agent| {
            let grant = ask(agent, &catalogue("a"), &TokenRequest::default()).unwrap();
            grant
                .audience()
                .iter()
                .map(|one| one.as_str().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(aud(&agent), ["https://in"]);
        Arc::make_mut(&mut agent.profile.terms)
            .audiences
            .push(policy().default_audience);
        assert_eq!(aud(&agent), ["https://issuer.example"]);
    }

    proptest! {
        /// A grant never holds a scope that was not allowed, and a grant with a high-risk scope
        /// never outlives the cap, whatever was asked for.
        #[test]
        fn a_grant_never_exceeds_what_is_allowed(
            known in proptest::collection::btree_set("[a-c]:(read|write|delete)", 1..6),
            allowed in proptest::collection::btree_set("[a-c]:(read|write|delete)", 0..6),
            asked in proptest::option::of(proptest::collection::vec("[a-c]:(read|write|delete)", 0..4)),
            ttl in proptest::option::of(300i64..=86_400),
            status in 0usize..3,
            end in proptest::option::of(-1i64..2_000),
        ) {
            let scopes = |names: Vec<String>| names.iter().map(|n| Scope::parse(n).unwrap()).collect::<Vec<_>>();
            let catalogue = catalogue(&known.into_iter().collect::<Vec<_>>().join(" "));
            let allowed = scopes(allowed.into_iter().collect());
            let status = [AgentStatus::Active, AgentStatus::Suspended, AgentStatus::Decommissioned][status];
            let mut agent = agent(status, &allowed, ttl.map(|t| Ttl::new(t).unwrap()));
            agent.profile.expires_at = end.map(Timestamp);
            let asked = asked.map(scopes);
            let request = TokenRequest { scopes: asked.clone(), ..TokenRequest::default() };
            if let Ok(grant) = ask(&agent, &catalogue, &request) {
                prop_assert_eq!(status, AgentStatus::Active);
                let granted = parse_scope_list(grant.scope()).unwrap();
                prop_assert!(granted.iter().all(|s| allowed.contains(s) && catalogue.contains(s)));
                if catalogue.risk(&granted, &RiskRules::default()) == Risk::High {
                    prop_assert!(grant.ttl() <= 900);
                }
                prop_assert!(grant.ttl() >= 1 && grant.ttl() <= ttl.unwrap_or(600));
                // It is asked for at second 0.
                prop_assert!(end.is_none_or(|end| grant.ttl() <= end));
                prop_assert_eq!(grant.latest_iat().map(|iat| iat.0 + grant.ttl()), end);
                if let Some(asked) = asked.filter(|a| !a.is_empty()) {
                    prop_assert!(asked.iter().all(|s| granted.contains(s)));
                }
            }
        }
    }
}
