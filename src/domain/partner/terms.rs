//! The single values that an operator decides about a partner. Must not know what they are used for.

use std::fmt;

use uuid::Uuid;

use crate::domain::Invalid;
use crate::domain::agent::Audience;

use super::pointer::ClaimPointer;

/// The most audiences of one partner.
pub(crate) const MAX_PARTNER_AUDIENCES: usize = 4;

/// The most claims that a partner requires.
pub(crate) const MAX_REQUIRED_CLAIMS: usize = 8;

/// The algorithms with which a partner may sign (RFC 7518 §3.1, RFC 8037 §3.1).
pub(crate) const PARTNER_ALGORITHMS: [&str; 9] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];

/// The id of a partner: a UUID, which the server draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartnerId(pub Uuid);

impl PartnerId {
    /// Accepts a UUID in hyphenated form.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let id = Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
        id.map(Self).ok_or(Invalid("a partner's id is a UUID"))
    }

    /// The id as the position in a list; `None` if the bytes are no id.
    pub(crate) fn from_position(bytes: &[u8]) -> Option<Self> {
        Uuid::from_slice(bytes).ok().map(Self)
    }
}

impl fmt::Display for PartnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// What operators call a partner. It need not be unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerName(Box<str>);

impl PartnerName {
    /// Accepts 1–200 characters without control characters.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.trim().is_empty()
            || text.chars().count() > 200
            || text.chars().any(char::is_control)
        {
            return Err(Invalid(
                "a name is 1 to 200 characters without control characters",
            ));
        }
        Ok(Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The audiences of which a partner's token has one: 1–4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerAudiences(Vec<Audience>);

impl PartnerAudiences {
    /// Accepts 1–4 audiences.
    pub fn new(audiences: Vec<Audience>) -> Result<Self, Invalid> {
        if (1..=MAX_PARTNER_AUDIENCES).contains(&audiences.len()) {
            return Ok(Self(audiences));
        }
        Err(Invalid(
            "a partner has 1 to 4 audiences; without the list, the issuer of this server is the audience",
        ))
    }

    /// The audiences.
    pub fn as_slice(&self) -> &[Audience] {
        &self.0
    }
}

/// The claims that each credential of a partner pins: 1–8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredClaims(Vec<ClaimPointer>);

impl RequiredClaims {
    /// Accepts 1–8 pointers.
    pub fn new(claims: Vec<ClaimPointer>) -> Result<Self, Invalid> {
        if (1..=MAX_REQUIRED_CLAIMS).contains(&claims.len()) {
            return Ok(Self(claims));
        }
        Err(Invalid("a partner requires 1 to 8 claims"))
    }

    /// The claims.
    pub fn as_slice(&self) -> &[ClaimPointer] {
        &self.0
    }
}

/// An algorithm of [`PARTNER_ALGORITHMS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AlgorithmName(&'static str);

impl AlgorithmName {
    /// Accepts a name of the list.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let known = PARTNER_ALGORITHMS.into_iter().find(|known| *known == text);
        known.map(Self).ok_or(Invalid(
            "an algorithm is one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA",
        ))
    }

    /// The name in `alg`.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

/// The algorithms with which a partner's tokens are signed: at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerAlgorithms(Vec<AlgorithmName>);

impl PartnerAlgorithms {
    /// Accepts at least one algorithm.
    pub fn new(algorithms: Vec<AlgorithmName>) -> Result<Self, Invalid> {
        if algorithms.is_empty() {
            return Err(Invalid(
                "a partner has at least one algorithm; without the list, every algorithm that its keys have",
            ));
        }
        Ok(Self(algorithms))
    }

    /// The algorithms.
    pub fn as_slice(&self) -> &[AlgorithmName] {
        &self.0
    }
}

/// How many seconds old a partner's token may be: 60–86400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxAge(i64);

impl MaxAge {
    /// The least number.
    pub(crate) const LEAST: i64 = 60;

    /// The greatest number.
    pub(crate) const MOST: i64 = 86_400;

    /// Without another choice: an hour.
    pub const DEFAULT: Self = Self(3_600);

    /// Accepts 60–86400 seconds.
    pub fn new(seconds: i64) -> Result<Self, Invalid> {
        if (Self::LEAST..=Self::MOST).contains(&seconds) {
            return Ok(Self(seconds));
        }
        Err(Invalid("a token's greatest age is 60 to 86400 seconds"))
    }

    /// Reads the seconds.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        // No number is an age out of range.
        Self::new(text.parse().unwrap_or_default())
    }

    /// The seconds.
    pub fn secs(self) -> i64 {
        self.0
    }
}

/// The state of a partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartnerStatus {
    /// Its tokens prove who an agent is.
    Active,
    /// Its tokens prove nothing.
    Suspended,
}

impl PartnerStatus {
    /// Both states.
    pub(crate) const ALL: [Self; 2] = [Self::Active, Self::Suspended];

    /// The word in stores and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let known = Self::ALL.into_iter().find(|one| one.as_str() == text);
        known.ok_or(Invalid("the status of a partner is active or suspended"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_their_range_are_refused() {
        for good in [60, 86_400] {
            assert_eq!(MaxAge::new(good).unwrap().secs(), good);
        }
        for bad in ["59", "86401", "", "x", "-1", "99999999999999999999"] {
            assert!(MaxAge::parse(bad).is_err(), "{bad}");
        }
        assert!(PartnerAudiences::new(vec![]).is_err() && RequiredClaims::new(vec![]).is_err());
        let audience = |n: usize| Audience::parse(&format!("a{n}")).unwrap();
        assert!(PartnerAudiences::new((0..4).map(audience).collect()).is_ok());
        assert!(PartnerAudiences::new((0..5).map(audience).collect()).is_err());
        let claim = |n: usize| ClaimPointer::parse(&format!("/{n}")).unwrap();
        assert!(RequiredClaims::new((0..8).map(claim).collect()).is_ok());
        assert!(RequiredClaims::new((0..9).map(claim).collect()).is_err());
        assert!(PartnerAlgorithms::new(vec![]).is_err());
        for bad in ["none", "HS256", "rs256", ""] {
            assert!(AlgorithmName::parse(bad).is_err(), "{bad}");
        }
        let id = "0190a5f2-0000-7000-8000-000000000001";
        assert_eq!(PartnerId::parse(id).unwrap().to_string(), id);
        for bad in ["", "a b", "0190a5f2000070008000000000000001"] {
            assert!(PartnerId::parse(bad).is_err(), "{bad}");
        }
        for bad in ["", " ", "a\n"] {
            assert!(PartnerName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
