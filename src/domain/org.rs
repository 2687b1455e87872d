//! Organisations. Every agent belongs to one organisation; today a store holds only the first. Must
//! not know what a caller asks for.

use std::fmt;
use std::sync::Arc;

use super::Invalid;

/// The organisation that every store begins with. It owns each agent that was made without another
/// one.
pub(crate) const DEFAULT_ORG: &str = "default";

/// An organisation's id, with the alphabet and the length of an agent's id. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
// Nearly every agent is in the first organisation, whose id therefore uses no memory.
pub struct OrgId(Option<Arc<str>>);

impl OrgId {
    /// Accepts 1–128 characters of `[A-Za-z0-9._~:-]`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._~:-".contains(&b);
        if text.is_empty() || text.len() > 128 || !text.bytes().all(allowed) {
            return Err(Invalid(
                "an organization id is 1 to 128 characters of A-Z a-z 0-9 . _ ~ : -",
            ));
        }
        Ok(Self((text != DEFAULT_ORG).then(|| text.into())))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or(DEFAULT_ORG)
    }
}

impl fmt::Display for OrgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which organisations' data a caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Its own organisation's.
    Own,
    /// All of it: the caller has an admin scope and is in the first organisation.
    All,
}

impl Reach {
    /// The reach of a caller in the organisation `own`. `is_admin`: its token has an admin scope.
    pub(crate) fn of(own: &str, is_admin: bool) -> Self {
        if is_admin && own == DEFAULT_ORG {
            Self::All
        } else {
            Self::Own
        }
    }

    /// Whether a caller in the organisation `own` reaches what belongs to the organisation `other`.
    pub(crate) fn covers(self, own: &str, other: &str) -> bool {
        self == Self::All || own == other
    }

    /// The reach of a caller in the organisation `own` as a text, for what is bound to it. Callers
    /// that see the same organisations have the same text.
    pub(crate) fn name(self, own: &str) -> &str {
        match self {
            Self::Own => own,
            // No organisation has this id, since an id has no asterisk.
            Self::All => "*",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_id_is_that_of_the_first_organisation() {
        assert_eq!(OrgId::parse(DEFAULT_ORG), Ok(OrgId::default()));
        assert_eq!(OrgId::default().as_str(), DEFAULT_ORG);
        assert_eq!(OrgId::parse("acme").unwrap().to_string(), "acme");
        for bad in ["", "*", "a b", &"x".repeat(129)] {
            assert!(OrgId::parse(bad).is_err(), "{bad:?}");
        }
    }
}
