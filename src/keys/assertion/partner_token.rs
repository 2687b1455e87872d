//! Tokens of partners as client assertions (RFC 7523 §3): whose they are, for whom, and how old.
//!
//! Owns the checks of the text. Must not know which agent trusts the partner.

use serde_json::Value;

use crate::domain::time::Timestamp;

use super::{Assertion, FailedCheck, MAX_CLIENT_SKEW};

/// The `typ` of a platform's token: what platforms write, what SPIFFE allows besides,
/// and what rfc7523bis recommends. An access token (`at+jwt`) or a logout token (`logout+jwt`) of the
/// same issuer proves nobody.
const PLATFORM_TYPES: [&str; 3] = ["jwt", "jose", "client-authentication+jwt"];

/// What a partner's token must be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PartnerDemands<'d> {
    /// The audiences of which it has one.
    pub audiences: &'d [&'d str],
    /// The algorithms that the partner signs with; `None` means every one.
    pub algorithms: Option<&'d [&'d str]>,
    /// How many seconds old it may be.
    pub max_age: i64,
    /// The time, by the store's clock.
    pub now: Timestamp,
}

impl Assertion {
    /// The issuer that the token names, if it names a partner: an https URL, which no agent's id is.
    pub(crate) fn partner(&self) -> Option<&str> {
        self.claim("iss")
            .filter(|issuer| issuer.starts_with("https://"))
    }

    /// Checks all of a partner's token but its signature and what a credential pins. Returns when it
    /// expires.
    pub(crate) fn check_of_partner(
        &self,
        demands: &PartnerDemands<'_>,
    ) -> Result<Timestamp, FailedCheck> {
        let demand = |holds: bool, check| if holds { Ok(()) } else { Err(check) };
        demand(self.has_plain_header(), "header")?;
        let algorithm = self.algorithm().ok_or("algorithm")?.as_str();
        let fits = demands
            .algorithms
            .is_none_or(|all| all.contains(&algorithm));
        demand(fits, "algorithm")?;
        demand(self.has_type_of(&PLATFORM_TYPES), "type")?;
        demand(self.names_one_of(demands.audiences), "audience")?;
        let now = demands.now.0;
        let latest = now.saturating_add(MAX_CLIENT_SKEW);
        let exp = self.time("exp").flatten().ok_or("expiry")?;
        demand(now < exp, "expiry")?;
        let nbf = self.time("nbf").ok_or("time")?;
        demand(nbf.is_none_or(|begins| begins <= latest), "time")?;
        match self.time("iat").ok_or("time")? {
            Some(iat) => {
                demand(iat <= latest, "time")?;
                demand(now.saturating_sub(demands.max_age) <= iat, "age")?;
            }
            // Nothing tells its age, so its end has to be near.
            None => demand(exp <= now.saturating_add(demands.max_age), "age")?,
        }
        Ok(Timestamp(exp))
    }

    fn names_one_of(&self, audiences: &[&str]) -> bool {
        match self.claims().get("aud") {
            Some(Value::String(aud)) => audiences.contains(&aud.as_str()),
            Some(Value::Array(all)) => {
                let mut all = all.iter().filter_map(Value::as_str);
                all.any(|aud| audiences.contains(&aud))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;

    fn checked(header: &Value, claims: &Value) -> Result<Timestamp, FailedCheck> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let token = format!("{}.{}.AA", part(header), part(claims));
        let demands = PartnerDemands {
            audiences: &["https://as.example", "b"],
            algorithms: Some(&["ES256"]),
            max_age: 600,
            now: Timestamp(1_000),
        };
        Assertion::read(&token).unwrap().check_of_partner(&demands)
    }

    fn claims() -> Value {
        json!({ "iss": "https://k8s.example", "aud": ["x", "b"], "iat": 900, "nbf": 900, "exp": 4_500 })
    }

    #[test]
    fn a_token_of_a_partner_is_for_this_server_and_young_enough() {
        let header = json!({ "alg": "ES256", "kid": "1" });
        assert_eq!(checked(&header, &claims()), Ok(Timestamp(4_500)));
        for (name, value, expected) in [
            ("aud", json!("https://as.example"), Ok(Timestamp(4_500))),
            ("aud", json!("https://as.example/"), Err("audience")),
            ("aud", json!(["x"]), Err("audience")),
            ("aud", json!([["b"]]), Err("audience")),
            ("aud", Value::Null, Err("audience")),
            ("exp", json!(1_001), Ok(Timestamp(1_001))),
            ("exp", json!(1_000), Err("expiry")),
            ("exp", json!("never"), Err("expiry")),
            ("iat", json!(400), Ok(Timestamp(4_500))),
            ("iat", json!(399), Err("age")),
            ("iat", json!(1_030), Ok(Timestamp(4_500))),
            ("iat", json!(1_031), Err("time")),
            ("iat", json!("1"), Err("time")),
            ("iat", json!(i64::MIN), Err("age")),
            ("nbf", json!(1_031), Err("time")),
        ] {
            let mut with = claims();
            with[name] = value;
            assert_eq!(checked(&header, &with), expected, "{with}");
        }
        let mut undated = claims();
        undated.as_object_mut().unwrap().remove("iat");
        assert_eq!(checked(&header, &undated), Err("age"));
        undated["exp"] = json!(1_600);
        assert_eq!(checked(&header, &undated), Ok(Timestamp(1_600)));
        for (header, check) in [
            (json!({ "alg": "none" }), "algorithm"),
            (json!({ "alg": "HS256" }), "algorithm"),
            (json!({ "alg": "RS256" }), "algorithm"),
            (json!({ "alg": "ES256", "crit": [] }), "header"),
            (json!({ "alg": "ES256", "kid": 1 }), "header"),
            (json!({ "alg": "ES256", "typ": "at+jwt" }), "type"),
            (json!({ "alg": "ES256", "typ": "logout+jwt" }), "type"),
            (
                json!({ "alg": "ES256", "typ": "application/secevent+jwt" }),
                "type",
            ),
            (json!({ "alg": "ES256", "typ": "" }), "type"),
            (json!({ "alg": "ES256", "typ": null }), "type"),
        ] {
            assert_eq!(checked(&header, &claims()), Err(check), "{header}");
        }
        for typ in [
            "JWT",
            "jwt",
            "application/JWT",
            "JOSE",
            "client-authentication+jwt",
        ] {
            let header = json!({ "alg": "ES256", "typ": typ });
            assert_eq!(checked(&header, &claims()), Ok(Timestamp(4_500)), "{typ}");
        }
    }
}
