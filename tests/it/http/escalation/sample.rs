//! Random agents for the search, and whether one of them has more than another one. Dominance is
//! written here anew, so that a fault in the server's own comparison is found.

use std::sync::Arc;

use sealwright::testing::domain::about::About;
use sealwright::testing::domain::agent::{
    Agent, AgentName, Audience, Profile, RedirectUri, Terms, UserId,
};
use sealwright::testing::domain::quota::PlanName;
use sealwright::testing::domain::scope::Scope;
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::domain::ttl::Ttl;
use serde_json::{Map, Value, json};

use crate::harness::app::ISSUER;

pub const SCOPES: [&str; 6] = [
    "agents:read",
    "agents:write",
    "tokens:read",
    "db:read",
    "db:write",
    "admin:orgs",
];
pub const AUDIENCES: [&str; 3] = [ISSUER, "https://a.example", "orders"];
pub const REDIRECT_URIS: [&str; 2] = ["https://app.example/cb", "https://evil.example/cb"];
pub const USERS: [&str; 3] = ["user_1", "user_2", "user_3"];

const TTLS: [Option<i64>; 4] = [None, Some(300), Some(3_600), Some(86_400)];
const DAY: i64 = 86_400;

/// The lifetime of the tokens of an agent without a `ttl` of its own.
const DEFAULT_TTL: i64 = 600;

/// A source of random numbers that gives the same ones for the same seed (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    /// Once in `n` throws.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }

    pub fn any<T: Copy>(&mut self, from: &[T]) -> T {
        *self.pick(from)
    }

    /// Each of these with a chance of one half.
    pub fn some<T: Clone>(&mut self, from: &[T]) -> Vec<T> {
        from.iter().filter(|_| self.one_in(2)).cloned().collect()
    }
}

/// What is decided about an agent.
#[derive(Debug, Clone)]
pub struct Sample {
    pub scopes: Vec<&'static str>,
    ttl: Option<i64>,
    plan: &'static str,
    pub audiences: Vec<&'static str>,
    redirect_uris: Vec<&'static str>,
    user_ids: Vec<&'static str>,
    expires_at: Option<Timestamp>,
}

impl Sample {
    pub fn random(dice: &mut Dice, now: Timestamp) -> Self {
        let mut sample = Self {
            scopes: vec![],
            ttl: None,
            plan: "free",
            audiences: vec![],
            redirect_uris: vec![],
            user_ids: vec![],
            expires_at: None,
        };
        for member in 0..7 {
            sample.redraw(member, dice, now);
        }
        sample
    }

    /// A part of what this agent has.
    pub fn part(&self, dice: &mut Dice) -> Self {
        let mut sample = self.clone();
        for values in [
            &mut sample.scopes,
            &mut sample.redirect_uris,
            &mut sample.user_ids,
        ] {
            *values = dice.some(values);
        }
        sample
    }

    /// What this agent could give away, more or less: a part of what it has, of which a member or two
    /// are drawn anew.
    pub fn like(&self, dice: &mut Dice, now: Timestamp) -> Self {
        let mut sample = self.part(dice);
        for member in 0..7 {
            if dice.one_in(8) {
                sample.redraw(member, dice, now);
            }
        }
        sample
    }

    fn redraw(&mut self, member: usize, dice: &mut Dice, now: Timestamp) {
        match member {
            0 => {
                self.scopes = dice.some(&SCOPES);
                if !dice.one_in(3) {
                    self.scopes.retain(|scope| *scope != "admin:orgs");
                }
            }
            1 => self.ttl = dice.any(&TTLS),
            2 => self.plan = dice.any(&["free", "unlimited"]),
            3 => self.audiences = dice.some(&AUDIENCES),
            4 => self.redirect_uris = dice.some(&REDIRECT_URIS),
            5 => self.user_ids = dice.some(&USERS),
            _ => {
                let days = dice.any(&[None, Some(1), Some(2)]);
                self.expires_at = days.map(|days| Timestamp(now.0 + days * DAY));
            }
        }
    }

    pub fn profile(&self) -> Profile {
        let terms = Terms {
            scopes: parsed(&self.scopes, |text| Scope::parse(text).unwrap()),
            ttl: self.ttl.map(|seconds| Ttl::new(seconds).unwrap()),
            plan: PlanName::parse(self.plan).unwrap(),
            audiences: parsed(&self.audiences, |text| Audience::parse(text).unwrap()),
            redirect_uris: parsed(&self.redirect_uris, |uri| RedirectUri::parse(uri).unwrap()),
            user_ids: parsed(&self.user_ids, |user| UserId::parse(user).unwrap()),
        };
        Profile {
            name: AgentName::parse("An agent").unwrap(),
            about: About::default(),
            terms: Arc::new(terms),
            expires_at: self.expires_at,
        }
    }

    /// The sample as the body of a request.
    pub fn body(&self) -> Map<String, Value> {
        let body = json!({
            "name": "An agent", "scopes": self.scopes, "ttl": self.ttl, "plan": self.plan,
            "audiences": self.audiences, "redirectUris": self.redirect_uris, "userIds": self.user_ids,
            "expiresAt": self.expires_at.map(Timestamp::to_rfc3339),
        });
        let members = body.as_object().unwrap().clone();
        members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect()
    }
}

fn parsed<T>(texts: &[&str], parse: impl Fn(&str) -> T) -> Vec<T> {
    texts.iter().map(|text| parse(text)).collect()
}

/// The members in which the agent has more than `bound`.
pub fn excess(agent: &Agent, bound: &Agent) -> Vec<&'static str> {
    let (has, may) = (&agent.profile.terms, &bound.profile.terms);
    let end = |agent: &Agent| agent.profile.expires_at.map_or(i64::MAX, |end| end.0);
    let limit = |terms: &Terms| u8::from(terms.plan.as_str() == "unlimited");
    let audiences = may.audiences.is_empty()
        || (!has.audiences.is_empty() && is_subset(&has.audiences, &may.audiences));
    let members = [
        ("scopes", is_subset(&has.scopes, &may.scopes)),
        ("userIds", is_subset(&has.user_ids, &may.user_ids)),
        (
            "redirectUris",
            is_subset(&has.redirect_uris, &may.redirect_uris),
        ),
        ("audiences", audiences),
        ("plan", limit(has) <= limit(may)),
        ("ttl", ttl(has) <= ttl(may)),
        ("expiresAt", end(agent) <= end(bound)),
        ("orgId", agent.org_id == bound.org_id),
    ];
    let exceeded = members.into_iter().filter(|(_, fits)| !fits);
    exceeded.map(|(member, _)| member).collect()
}

/// What the claims of a token have that an agent like `bound` lacks.
pub fn excess_of_claims(claims: &Value, bound: &Agent) -> Vec<&'static str> {
    let terms = &bound.profile.terms;
    let named = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
    let scopes = named("scope");
    let scopes = scopes.split(' ').filter(|scope| !scope.is_empty());
    let may_have = |scope: &str| terms.scopes.iter().any(|had| had.as_str() == scope);
    let audiences = match &claims["aud"] {
        Value::Array(audiences) => audiences.clone(),
        one => vec![one.clone()],
    };
    let may_reach = |audience: &Value| {
        *audience == ISSUER
            || terms.audiences.is_empty()
            || terms.audiences.iter().any(|had| *audience == had.as_str())
    };
    let is_itself = claims["sub"] == claims["client_id"];
    let may_act_for = terms
        .user_ids
        .iter()
        .any(|user| claims["sub"] == user.as_str());
    let [issued, end] = ["iat", "exp"].map(|name| claims[name].as_i64().unwrap());
    let last = bound.profile.expires_at.map_or(i64::MAX, |end| end.0);
    let members = [
        ("scope", scopes.into_iter().all(may_have)),
        ("aud", audiences.iter().all(may_reach)),
        ("sub", is_itself || may_act_for),
        ("ttl", end - issued <= ttl(terms)),
        ("exp", end <= last),
    ];
    let exceeded = members.into_iter().filter(|(_, fits)| !fits);
    exceeded.map(|(member, _)| member).collect()
}

fn ttl(terms: &Terms) -> i64 {
    terms.ttl.map_or(DEFAULT_TTL, Ttl::secs)
}

fn is_subset<T: PartialEq>(part: &[T], whole: &[T]) -> bool {
    part.iter().all(|value| whole.contains(value))
}
