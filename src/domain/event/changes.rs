//! What a change did to each member of an agent, a scope, an organisation or a partner.
//!
//! Must not know which change it was.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::domain::agent::{Audience, Profile, RedirectUri, UserId};
use crate::domain::scope::Scope;
use crate::domain::ttl::Ttl;

/// The members that changed, each with its value before and after. A member that was made has null
/// before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes(BTreeMap<&'static str, (Value, Value)>);

impl Changes {
    /// What turned a profile into the next one.
    pub fn of_profile(from: &Profile, to: &Profile) -> Self {
        let pairs = members(from).into_iter().zip(members(to));
        let changes = pairs.map(|((name, from), (_, to))| (name, from, to));
        changes.fold(Self::default(), |all, (name, from, to)| {
            all.with(name, from, to)
        })
    }

    /// What a new profile says. Members without a value are left out.
    pub fn of_new_profile(profile: &Profile) -> Self {
        members(profile)
            .into_iter()
            .filter(|(_, value)| *value != json!([]))
            .fold(Self::default(), |all, (name, value)| {
                all.with(name, Value::Null, value)
            })
    }

    /// The same changes and this one, unless both values are equal.
    #[must_use]
    pub fn with(
        mut self,
        name: &'static str,
        from: impl Into<Value>,
        to: impl Into<Value>,
    ) -> Self {
        let (from, to) = (from.into(), to.into());
        if from != to {
            self.0.insert(name, (from, to));
        }
        self
    }

    /// Whether nothing changed, or what changed is not known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The changes as they stand in an event: `{member: {"from", "to"}}`.
    pub fn to_json(&self) -> Value {
        let member = |(name, (from, to)): (&&str, &(Value, Value))| {
            ((*name).to_owned(), json!({ "from": from, "to": to }))
        };
        Value::Object(self.0.iter().map(member).collect::<Map<_, _>>())
    }
}

/// What an operator decides about an agent, under the names of the management API.
fn members(profile: &Profile) -> [(&'static str, Value); 7] {
    let terms = &profile.terms;
    [
        ("audiences", texts(&terms.audiences, Audience::as_str)),
        ("name", profile.name.as_str().into()),
        ("plan", terms.plan.as_str().into()),
        (
            "redirectUris",
            texts(&terms.redirect_uris, RedirectUri::as_str),
        ),
        ("scopes", texts(&terms.scopes, Scope::as_str)),
        ("ttl", terms.ttl.map(Ttl::secs).into()),
        ("userIds", texts(&terms.user_ids, UserId::as_str)),
    ]
}

fn texts<T>(items: &[T], text: impl Fn(&T) -> &str) -> Value {
    items.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::agent::{AgentName, Terms};
    use crate::domain::quota::PlanName;

    fn profile() -> Profile {
        Profile {
            name: AgentName::parse("\u{fb33} \u{1f600}").unwrap(),
            terms: Arc::new(Terms {
                scopes: vec![Scope::parse("db:read").unwrap()],
                ttl: None,
                plan: PlanName::free(),
                audiences: vec![],
                redirect_uris: vec![],
                user_ids: vec![],
            }),
        }
    }

    #[test]
    fn a_new_profile_has_nothing_before() {
        assert_eq!(
            Changes::of_new_profile(&profile()).to_json(),
            json!({
                "name": { "from": null, "to": "\u{fb33} \u{1f600}" },
                "plan": { "from": null, "to": "free" },
                "scopes": { "from": null, "to": ["db:read"] }
            })
        );
    }

    #[test]
    fn only_members_that_changed_are_told() {
        let (from, mut to) = (profile(), profile());
        assert!(Changes::of_profile(&from, &to).is_empty());
        let terms = Arc::make_mut(&mut to.terms);
        terms.ttl = Some(Ttl::new(900).unwrap());
        terms.audiences = vec![Audience::parse("https://a.example").unwrap()];
        terms.redirect_uris = vec![RedirectUri::parse("https://a.example/cb").unwrap()];
        terms.user_ids = vec![UserId::parse("u").unwrap()];
        assert_eq!(
            Changes::of_profile(&from, &to).to_json(),
            json!({
                "audiences": { "from": [], "to": ["https://a.example"] },
                "redirectUris": { "from": [], "to": ["https://a.example/cb"] },
                "ttl": { "from": null, "to": 900 },
                "userIds": { "from": [], "to": ["u"] }
            })
        );
    }
}
