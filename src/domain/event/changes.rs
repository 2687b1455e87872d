//! What a change did to each member of an agent, a scope, an organisation or a partner.
//!
//! Must not know which change it was.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::domain::about::{Description, Owner};
use crate::domain::agent::{Audience, Profile, RedirectUri, UserId};
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;
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
            .filter(|(_, value)| *value != json!([]) && *value != json!({}))
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
fn members(profile: &Profile) -> [(&'static str, Value); 11] {
    let (about, terms) = (&profile.about, &profile.terms);
    let labels = about.labels.iter();
    let labels = labels.map(|(key, value)| (key.to_owned(), value.into()));
    [
        ("audiences", texts(&terms.audiences, Audience::as_str)),
        (
            "description",
            about.description.as_ref().map(Description::as_str).into(),
        ),
        (
            "expiresAt",
            profile.expires_at.map(Timestamp::to_rfc3339).into(),
        ),
        ("labels", Value::Object(labels.collect())),
        ("name", profile.name.as_str().into()),
        ("owner", about.owner.as_ref().map(Owner::as_str).into()),
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
    use crate::domain::about::{About, Labels, parse_label};
    use crate::domain::agent::{AgentName, Terms};
    use crate::domain::quota::PlanName;

    fn profile() -> Profile {
        Profile {
            name: AgentName::parse("\u{fb33} \u{1f600}").unwrap(),
            about: About::default(),
            terms: Arc::new(Terms {
                scopes: vec![Scope::parse("db:read").unwrap()],
                ttl: None,
                plan: PlanName::free(),
                audiences: vec![],
                redirect_uris: vec![],
                user_ids: vec![],
            }),
            expires_at: None,
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
        to.about = About {
            description: Some(Description::parse("two\nlines").unwrap()),
            owner: Some(Owner::parse("Payments").unwrap()),
            labels: Labels::new([parse_label("env=prod").unwrap()]).unwrap(),
        };
        to.expires_at = Some(Timestamp(0));
        assert_eq!(
            Changes::of_profile(&from, &to).to_json(),
            json!({
                "audiences": { "from": [], "to": ["https://a.example"] },
                "description": { "from": null, "to": "two\nlines" },
                "expiresAt": { "from": null, "to": "1970-01-01T00:00:00Z" },
                "labels": { "from": {}, "to": { "env": "prod" } },
                "owner": { "from": null, "to": "Payments" },
                "redirectUris": { "from": [], "to": ["https://a.example/cb"] },
                "ttl": { "from": null, "to": 900 },
                "userIds": { "from": [], "to": ["u"] }
            })
        );
    }
}
