//! Random agents for tests of dominance. Must not know the rules that are tested, but for
//! [`dominates`].

#[cfg(test)]
pub(super) mod kit {
    use std::sync::Arc;

    use proptest::prelude::*;
    use proptest::sample::subsequence;

    use crate::domain::Invalid;
    use crate::domain::agent::{Audience, RedirectUri, Terms, UserId};
    use crate::domain::dominance::{Holdings, ServerDefaults, excess};
    use crate::domain::id::AgentId;
    use crate::domain::quota::{PlanName, Plans};
    use crate::domain::scope::Scope;
    use crate::domain::time::Timestamp;
    use crate::domain::ttl::Ttl;

    /// An agent, with values of small sets, so that dominance is neither rare nor certain.
    #[derive(Debug, Clone, PartialEq)]
    pub(crate) struct Sample {
        pub agent_id: AgentId,
        pub org_id: &'static str,
        pub terms: Arc<Terms>,
        pub expires_at: Option<Timestamp>,
    }

    impl Sample {
        pub(crate) fn holdings(&self) -> Holdings<'_> {
            Holdings {
                agent_id: &self.agent_id,
                org_id: self.org_id,
                terms: &self.terms,
                expires_at: self.expires_at,
            }
        }
    }

    pub(crate) fn plan(name: &str) -> PlanName {
        PlanName::parse(name).unwrap()
    }

    /// Two plans with a limit, one without, and none with the name `gone`.
    pub(crate) fn plans() -> Plans {
        let limits = [
            ("small", Some(10)),
            ("large", Some(1_000)),
            ("endless", None),
        ];
        Plans(
            limits
                .map(|(name, limit)| (plan(name), limit))
                .into_iter()
                .collect(),
        )
    }

    pub(crate) fn defaults(plans: &Plans) -> ServerDefaults<'_> {
        ServerDefaults {
            ttl: Ttl::DEFAULT,
            plans,
        }
    }

    fn texts<T: std::fmt::Debug + Clone + 'static>(
        texts: &'static [&'static str],
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> impl Strategy<Value = Vec<T>> {
        let values: Vec<T> = texts.iter().map(|text| parse(text).unwrap()).collect();
        let most = values.len();
        subsequence(values, 0..=most)
    }

    /// The scopes of samples.
    const SCOPES: [&str; 5] = [
        "agents:read",
        "agents:write",
        "admin:orgs",
        "db:read",
        "db:write",
    ];

    pub(crate) fn samples(orgs: &'static [&'static str]) -> impl Strategy<Value = Sample> {
        let lists = (
            texts(&SCOPES, Scope::parse),
            texts(&["u1", "u2"], UserId::parse),
            texts(
                &["https://a.example/1", "https://a.example/2"],
                RedirectUri::parse,
            ),
            texts(&["one", "two", "three"], Audience::parse),
        );
        let scalars = (
            prop::sample::select(vec!["small", "large", "endless", "gone"]),
            prop::option::of(prop::sample::select(vec![300, 600, 900])),
            prop::option::of(prop::sample::select(vec![10, 20])),
            prop::sample::select(orgs.to_vec()),
        );
        (lists, scalars).prop_map(|(lists, (plan_name, ttl, expires_at, org_id))| Sample {
            agent_id: AgentId::parse("sample").unwrap(),
            org_id,
            terms: Arc::new(Terms {
                scopes: lists.0,
                user_ids: lists.1,
                redirect_uris: lists.2,
                audiences: lists.3,
                plan: plan(plan_name),
                ttl: ttl.map(|secs| Ttl::new(secs).unwrap()),
            }),
            expires_at: expires_at.map(Timestamp),
        })
    }

    /// Whether `other` dominates `agent`.
    pub(crate) fn dominates(other: &Sample, agent: &Sample) -> bool {
        excess(&agent.holdings(), &other.holdings(), &defaults(&plans())).is_empty()
    }
}
