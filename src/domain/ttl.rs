//! Token lifetimes (contract D1). Owns the bounds and the cap; must not know where they are
//! configured.

use super::Invalid;

/// The longest lifetime of a token that carries a high-risk scope, in seconds. No setting raises
/// it.
pub(crate) const HIGH_RISK_CAP: i64 = 900;

/// The longest lifetime of any token, in seconds.
pub(crate) const MAX_TTL: i64 = 86_400;

/// The rule of a configured lifetime, as it is told to whoever breaks it.
pub(crate) const TTL_RULE: &str = "a token lifetime is 300 to 86400 seconds";

/// A configured token lifetime: 300 to 86,400 seconds inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ttl(i64);

impl Ttl {
    /// The server's default if the configuration names none: 600 s.
    pub const DEFAULT: Ttl = Ttl(600);

    /// Accepts 300 to 86,400 seconds inclusive.
    pub fn new(seconds: i64) -> Result<Self, Invalid> {
        if (300..=MAX_TTL).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(Invalid(TTL_RULE))
        }
    }

    /// In seconds.
    pub fn secs(self) -> i64 {
        self.0
    }
}

/// Whether any granted scope is high-risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Risk {
    /// No granted scope is high-risk.
    Ordinary,
    /// At least one granted scope is high-risk: the cap applies.
    High,
}

/// The lifetime of a token in seconds: `min(custom or default, 900 if high-risk)` (contract D1).
pub(crate) fn lifetime(custom: Option<Ttl>, default: Ttl, risk: Risk) -> i64 {
    let wanted = custom.unwrap_or(default).secs();
    match risk {
        Risk::Ordinary => wanted,
        Risk::High => wanted.min(HIGH_RISK_CAP),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive() {
        assert!(Ttl::new(299).is_err());
        assert!(Ttl::new(300).is_ok());
        assert!(Ttl::new(86_400).is_ok());
        assert!(Ttl::new(86_401).is_err());
        assert!(Ttl::new(i64::MIN).is_err());
    }

    #[test]
    fn a_high_risk_scope_caps_at_fifteen_minutes_and_never_lengthens() {
        let t = |s| Some(Ttl::new(s).unwrap());
        assert_eq!(lifetime(None, Ttl::DEFAULT, Risk::High), 600);
        assert_eq!(lifetime(t(86_400), Ttl::DEFAULT, Risk::Ordinary), 86_400);
        assert_eq!(lifetime(t(86_400), Ttl::DEFAULT, Risk::High), 900);
        assert_eq!(lifetime(t(300), Ttl::DEFAULT, Risk::High), 300);
    }
}
