//! Organizations: groups of agents that see nothing of each other, each with a state of its own.
//! Every agent belongs to one organization. Must not know what a caller asks for.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::Invalid;
use super::scope::Scope;
use super::time::Timestamp;

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

    /// The id as the position in a list; `None` if the bytes are no id.
    pub(crate) fn from_position(bytes: &[u8]) -> Option<Self> {
        Self::parse(std::str::from_utf8(bytes).ok()?).ok()
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or(DEFAULT_ORG)
    }

    /// Whether this is the organization that every store begins with.
    pub fn is_default(&self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Display for OrgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An organization's name: 1–200 characters, without control characters. It need not be unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgName(Box<str>);

impl OrgName {
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

/// The state of an organization.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OrgStatus {
    /// Its agents get tokens.
    #[default]
    Active,
    /// None of its agents gets a token, and no token of theirs is alive.
    Suspended,
}

impl OrgStatus {
    /// The word in stores and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match text {
            "active" => Ok(Self::Active),
            "suspended" => Ok(Self::Suspended),
            _ => Err(Invalid(
                "the status of an organization is active or suspended",
            )),
        }
    }
}

/// Rises with each kill of the tokens of an organization's agents, to a number that no earlier
/// epoch had. It is 0 until the first kill. A token lives only while its `org_epoch` claim equals
/// its organization's epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrgEpoch(pub i64);

/// What decides whether an organization's agents get tokens, and which of their tokens are alive.
/// That of the first organization never changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrgStanding {
    /// Its state.
    pub status: OrgStatus,
    /// Its epoch.
    pub epoch: OrgEpoch,
}

/// An organization as a store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Org {
    /// Its id.
    pub org_id: OrgId,
    /// Its name.
    pub name: OrgName,
    /// What its agents may be given; `None` means every scope.
    pub scopes: Option<Vec<Scope>>,
    /// Its state.
    pub status: OrgStatus,
    /// Raised in the same commit as each suspension or mass revocation.
    pub epoch: OrgEpoch,
    /// Raised in the same commit as each change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Org {
    /// The places of those of `scopes` that its agents may not be given.
    pub(crate) fn forbidden(&self, scopes: &[Scope]) -> Vec<usize> {
        let Some(allowed) = &self.scopes else {
            return vec![];
        };
        let allowed: HashSet<&str> = allowed.iter().map(Scope::as_str).collect();
        let scopes = scopes.iter().enumerate();
        let forbidden = scopes.filter(|(_, scope)| !allowed.contains(scope.as_str()));
        forbidden.map(|(place, _)| place).collect()
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
        assert!(OrgId::default().is_default() && !OrgId::parse("acme").unwrap().is_default());
        assert_eq!(OrgId::parse("acme").unwrap().to_string(), "acme");
        for bad in ["", "*", "a b", &"x".repeat(129)] {
            assert!(OrgId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_organization_without_scopes_allows_every_scope() {
        let scopes = |names: &[&str]| -> Vec<Scope> {
            names.iter().map(|n| Scope::parse(n).unwrap()).collect()
        };
        let mut org = Org {
            org_id: OrgId::parse("acme").unwrap(),
            name: OrgName::parse("Acme").unwrap(),
            scopes: None,
            status: OrgStatus::Active,
            epoch: OrgEpoch::default(),
            version: 1,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        };
        let asked = scopes(&["db:read", "db:write", "x"]);
        assert!(org.forbidden(&asked).is_empty());
        org.scopes = Some(scopes(&["db:write"]));
        assert_eq!(org.forbidden(&asked), [0, 2]);
        org.scopes = Some(vec![]);
        assert_eq!(org.forbidden(&asked), [0, 1, 2]);
        assert!(org.forbidden(&[]).is_empty());
    }
}
