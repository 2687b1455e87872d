//! What an agent trusts of a partner: which subject and which claims its tokens have. Must not know
//! how a token is verified.

use serde_json::{Map, Value, json};

use crate::domain::Invalid;
use crate::domain::scope::Scope;

use super::pointer::ClaimPointer;
use super::terms::{PartnerId, RequiredClaims};

/// The longest subject in bytes.
pub(crate) const MAX_SUBJECT_BYTES: usize = 255;

/// The most claims that one credential pins.
pub(crate) const MAX_PINNED_CLAIMS: usize = 16;

/// The longest that pinned claims are together, in bytes of JSON.
const MAX_PINNED_BYTES: usize = 4_096;

/// The `sub` of a partner's tokens, or how it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectPattern(Box<str>);

impl SubjectPattern {
    /// Accepts a subject of 1–255 bytes without control characters. A `*` stands only at the end,
    /// behind `:` or `/` and at least two segments: `repo:acme/*` is one owner, `repo:*` anybody.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let rule = Invalid(
            "a subject is 1 to 255 bytes without control characters; a * stands only at its end, behind at least two \
             segments and : or /, like repo:acme/*",
        );
        let is_short = (1..=MAX_SUBJECT_BYTES).contains(&text.len());
        if !is_short || text.chars().any(char::is_control) {
            return Err(rule);
        }
        if let Some((start, rest)) = text.split_once('*') {
            let segments = start.split([':', '/']).filter(|one| !one.is_empty());
            let ends_segment = start.ends_with([':', '/']);
            if !rest.is_empty() || !ends_segment || segments.count() < 2 {
                return Err(rule);
            }
        }
        Ok(Self(text.into()))
    }

    /// The pattern.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the whole subject.
    pub fn is_exact(&self) -> bool {
        !self.0.ends_with('*')
    }

    /// Whether a token with this subject is meant.
    pub fn covers(&self, subject: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(start) => subject.len() > start.len() && subject.starts_with(start),
            None => *self.0 == *subject,
        }
    }
}

/// Claims with the values that a token must have, compared as JSON values: at most 16.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PinnedClaims(Vec<(ClaimPointer, Value)>);

impl PinnedClaims {
    /// Accepts at most 16 claims of 4096 bytes together. None is null, which is what a claim is that
    /// a platform has no value for, and none has a number that another number is read as.
    pub fn new(claims: Vec<(ClaimPointer, Value)>) -> Result<Self, Invalid> {
        let bytes = |(pointer, value): &(ClaimPointer, Value)| {
            let value = value.to_string().len();
            value.saturating_add(pointer.as_str().len())
        };
        let length: usize = claims.iter().map(bytes).sum();
        if claims.len() > MAX_PINNED_CLAIMS || length > MAX_PINNED_BYTES {
            return Err(Invalid(
                "a credential pins at most 16 claims, of 4096 bytes together",
            ));
        }
        if !claims.iter().all(|(_, value)| is_comparable(value)) {
            return Err(Invalid(
                "a pinned claim is no null, and has no number but whole ones from -2^63 to 2^64-1",
            ));
        }
        Ok(Self(claims))
    }

    /// The claims.
    pub fn as_slice(&self) -> &[(ClaimPointer, Value)] {
        &self.0
    }

    /// The claims as an object: each pointer with its value.
    pub fn to_json(&self) -> Map<String, Value> {
        let pair =
            |(pointer, value): &(ClaimPointer, Value)| (pointer.as_str().to_owned(), value.clone());
        self.0.iter().map(pair).collect()
    }
}

/// The longest lifetime of the tokens that a federated credential opens: 60–86400 seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FederatedTtl(i64);

impl FederatedTtl {
    /// The least number.
    pub(crate) const LEAST: i64 = 60;
    /// The greatest number.
    pub(crate) const MOST: i64 = 86_400;

    /// Accepts 60–86400 seconds.
    pub fn new(seconds: i64) -> Result<Self, Invalid> {
        if (Self::LEAST..=Self::MOST).contains(&seconds) {
            return Ok(Self(seconds));
        }
        Err(Invalid(
            "the lifetime of a federated credential's tokens is 60 to 86400 seconds",
        ))
    }

    /// Reads the seconds.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        // No number is a lifetime out of range.
        Self::new(text.parse().unwrap_or_default())
    }

    /// The seconds.
    pub fn secs(self) -> i64 {
        self.0
    }
}

/// What of a federated credential a token does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// The subject.
    Subject,
    /// A claim.
    Claim,
}

/// What an agent trusts of a partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Federation {
    /// The partner.
    pub partner_id: PartnerId,
    /// Whose tokens.
    pub subject: SubjectPattern,
    /// With which claims.
    pub claims: PinnedClaims,
    /// The scopes that such a token opens; `None` means all that the agent has.
    pub scopes: Option<Vec<Scope>>,
    /// How long the issued tokens live at most.
    pub ttl: Option<FederatedTtl>,
}

impl Federation {
    /// Whether it trusts a token with these claims.
    pub fn trusts(&self, claims: &Map<String, Value>) -> Result<(), Mismatch> {
        let subject = claims.get("sub").and_then(Value::as_str);
        if !subject.is_some_and(|subject| self.subject.covers(subject)) {
            return Err(Mismatch::Subject);
        }
        let mut pinned = self.claims.0.iter();
        if pinned.all(|(pointer, value)| claim_at(claims, pointer.as_str()) == Some(value)) {
            Ok(())
        } else {
            Err(Mismatch::Claim)
        }
    }

    /// The first claim that the partner requires and nothing here pins. An exact subject pins `/sub`.
    pub fn unpinned<'r>(&self, required: &'r RequiredClaims) -> Option<&'r ClaimPointer> {
        required.as_slice().iter().find(|claim| {
            let is_subject = claim.as_str() == "/sub" && self.subject.is_exact();
            let is_pinned = self.claims.0.iter().any(|(pointer, _)| pointer == *claim);
            !is_subject && !is_pinned
        })
    }

    /// The stored form of all but the partner.
    pub fn to_text(&self) -> String {
        let scopes = self.scopes.as_ref();
        let scopes = scopes.map(|all| all.iter().map(Scope::as_str).collect::<Vec<_>>());
        json!({
            "subject": self.subject.as_str(),
            "claims": self.claims.to_json(),
            "scopes": scopes,
            "ttl": self.ttl.map(FederatedTtl::secs),
        })
        .to_string()
    }

    /// Reads the stored form. `None` for anything that this server never stored.
    pub fn of_text(partner_id: PartnerId, text: &str) -> Option<Self> {
        let stored: Value = serde_json::from_str(text).ok()?;
        let claims = stored.get("claims")?.as_object()?;
        let claim = |(pointer, value): (&String, &Value)| {
            Some((ClaimPointer::parse(pointer).ok()?, value.clone()))
        };
        let claims = claims.iter().map(claim).collect::<Option<Vec<_>>>()?;
        let scopes = match stored.get("scopes")? {
            Value::Null => None,
            scopes => {
                let scope = |scope: &Value| Scope::parse(scope.as_str()?).ok();
                let scopes = scopes.as_array()?.iter().map(scope);
                Some(scopes.collect::<Option<Vec<_>>>()?)
            }
        };
        let ttl = match stored.get("ttl")? {
            Value::Null => None,
            ttl => Some(FederatedTtl::new(ttl.as_i64()?).ok()?),
        };
        Some(Self {
            partner_id,
            subject: SubjectPattern::parse(stored.get("subject")?.as_str()?).ok()?,
            claims: PinnedClaims::new(claims).ok()?,
            scopes,
            ttl,
        })
    }
}

/// Whether a claim with this value has no other one.
fn is_comparable(value: &Value) -> bool {
    fn is_exact(value: &Value) -> bool {
        match value {
            Value::Number(number) => number.is_i64() || number.is_u64(),
            Value::Array(all) => all.iter().all(is_exact),
            Value::Object(all) => all.values().all(is_exact),
            Value::Null | Value::Bool(_) | Value::String(_) => true,
        }
    }
    !value.is_null() && is_exact(value)
}

/// The claim that a JSON Pointer names (RFC 6901).
fn claim_at<'c>(claims: &'c Map<String, Value>, pointer: &str) -> Option<&'c Value> {
    let path = pointer.strip_prefix('/')?;
    let (first, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
    let name = first.replace("~1", "/").replace("~0", "~");
    claims.get(&name)?.pointer(rest)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn federation(subject: &str, claims: &[(&str, Value)]) -> Federation {
        let claim = |(pointer, value): &(&str, Value)| {
            (ClaimPointer::parse(pointer).unwrap(), value.clone())
        };
        Federation {
            partner_id: PartnerId(Uuid::nil()),
            subject: SubjectPattern::parse(subject).unwrap(),
            claims: PinnedClaims::new(claims.iter().map(claim).collect()).unwrap(),
            scopes: None,
            ttl: None,
        }
    }

    fn trusts(federation: &Federation, claims: &Value) -> Result<(), Mismatch> {
        federation.trusts(claims.as_object().unwrap())
    }

    #[test]
    fn a_subject_is_exact_or_the_whole_beginning_of_segments() {
        for (pattern, covered, others) in [
            (
                "repo:acme/*",
                "repo:acme/x:ref:refs/heads/main",
                vec!["repo:acme-evil/x", "repo:acme/", "repo:acme", "Repo:acme/x"],
            ),
            (
                "system:serviceaccount:prod:*",
                "system:serviceaccount:prod:a",
                vec!["system:serviceaccount:prod-2:a"],
            ),
            (
                "spiffe://acme/ns/*",
                "spiffe://acme/ns/a",
                vec!["spiffe://acme/nsa", "spiffe://acme.evil/ns/a"],
            ),
            (
                "repo:acme/x",
                "repo:acme/x",
                vec!["repo:acme/x ", "repo:acme/xy", "repo:acme"],
            ),
        ] {
            let pattern = SubjectPattern::parse(pattern).unwrap();
            assert!(pattern.covers(covered), "{pattern:?}");
            for other in others {
                assert!(!pattern.covers(other), "{pattern:?} {other}");
            }
        }
        let long = "a".repeat(256);
        for bad in [
            "",
            "*",
            "repo:*",
            "repo:acme*",
            "repo:acme/*x",
            "repo:*/x",
            "a/*/b/*",
            "repo:acme/**",
            "spiffe://*",
            "::*",
            "a:/*",
            "a\n",
            &long,
        ] {
            assert!(SubjectPattern::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn claims_are_compared_as_json_values_at_their_pointers() {
        let pinned = [
            ("/repository_owner_id", json!("42")),
            ("/kubernetes.io/namespace", json!("prod")),
            ("/a~1b/0", json!(1)),
            ("/n", json!(true)),
        ];
        let federation = federation("s", &pinned);
        let good = json!({
            "sub": "s", "repository_owner_id": "42", "kubernetes.io": {"namespace": "prod"}, "a/b": [1], "n": true,
        });
        assert_eq!(trusts(&federation, &good), Ok(()));
        for (name, value) in [
            ("repository_owner_id", json!(42)),
            ("repository_owner_id", json!("421")),
            ("repository_owner_id", json!(["42"])),
            ("kubernetes.io", json!({"namespace": "prod2"})),
            ("kubernetes.io", json!("prod")),
            ("a/b", json!([1.0])),
            ("a/b", json!([])),
            ("n", json!(false)),
        ] {
            let mut bad = good.clone();
            bad[name] = value;
            assert_eq!(trusts(&federation, &bad), Err(Mismatch::Claim), "{bad}");
        }
        for name in ["repository_owner_id", "n"] {
            let mut without = good.clone();
            without.as_object_mut().unwrap().remove(name);
            assert_eq!(
                trusts(&federation, &without),
                Err(Mismatch::Claim),
                "{name}"
            );
        }
        for subject in [json!("t"), json!(1), Value::Null] {
            let mut other = good.clone();
            other["sub"] = subject;
            assert_eq!(trusts(&federation, &other), Err(Mismatch::Subject));
        }
    }

    #[test]
    fn a_pinned_claim_has_one_value() {
        let new = |value| PinnedClaims::new(vec![(ClaimPointer::parse("/a").unwrap(), value)]);
        for good in [
            json!(u64::MAX),
            json!(i64::MIN),
            json!([null, {"b": 1}]),
            json!(false),
            json!(""),
        ] {
            assert!(new(good.clone()).is_ok(), "{good}");
        }
        let huge: Value = serde_json::from_str("18446744073709551616").unwrap();
        for bad in [Value::Null, json!(1.5), json!({"b": [0.1]}), huge] {
            assert!(new(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_partner_requires_is_pinned() {
        let claim = |text: &str| ClaimPointer::parse(text).unwrap();
        let required = RequiredClaims::new(vec![claim("/sub"), claim("/id")]).unwrap();
        let pinned = [("/id", json!(1))];
        assert_eq!(federation("a:b", &pinned).unpinned(&required), None);
        let open = federation("a:b:*", &pinned);
        assert_eq!(open.unpinned(&required), Some(&claim("/sub")));
        assert_eq!(
            federation("a", &[]).unpinned(&required),
            Some(&claim("/id"))
        );
    }

    #[test]
    fn a_federation_is_read_back_as_it_was_stored() {
        let some = Federation {
            scopes: Some(vec![Scope::parse("db:read").unwrap()]),
            ttl: FederatedTtl::new(60).ok(),
            ..federation("a:b:*", &[("/x", json!({"y": [1, "2", null]}))])
        };
        for one in [some, federation("s", &[])] {
            assert_eq!(
                Federation::of_text(one.partner_id, &one.to_text()),
                Some(one)
            );
        }
        for bad in [
            "",
            "{}",
            r#"{"subject":"*","claims":{},"scopes":null,"ttl":null}"#,
        ] {
            assert_eq!(Federation::of_text(PartnerId(Uuid::nil()), bad), None);
        }
        for bad in ["59", "86401", "", "x"] {
            assert!(FederatedTtl::parse(bad).is_err(), "{bad}");
        }
    }
}
