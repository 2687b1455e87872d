//! The kinds of events: their names, and the numbers that stand for them in stores.
//!
//! Must not know what an event of a kind says.

use crate::domain::Invalid;

/// The only kind whose name was another one in the rows of earlier releases.
const SCOPE_UPDATED: &str = "scope.updated";

macro_rules! kinds {
    ($($name:ident $code:literal $text:literal)*) => {
        /// What kind of thing happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventKind {
            $(#[doc = concat!("`", $text, "`")] $name,)*
        }

        impl EventKind {
            /// Every kind, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name, as it is listed, exported and hashed.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The number in stores.
            pub fn code(self) -> i16 {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// The kind with this number.
            pub fn from_code(code: i16) -> Result<Self, Invalid> {
                match code {
                    $($code => Ok(Self::$name),)*
                    _ => Err(Invalid("a kind of event is a number of the table of kinds")),
                }
            }
        }
    };
}

// Stores hold the numbers. A number keeps its kind for ever: a kind that goes leaves its number
// unused, and a new kind takes the next number that no release has used.
kinds! {
    TokenIssued            1 "token.issued"
    TokenRevoked           2 "token.revoked"
    AuthRefused            3 "auth.refused"
    AgentCreated           4 "agent.created"
    AgentUpdated           5 "agent.updated"
    AgentSuspended         6 "agent.suspended"
    AgentReactivated       7 "agent.reactivated"
    AgentDecommissioned    8 "agent.decommissioned"
    AgentTokensRevoked     9 "agent.tokens_revoked"
    AgentExpiring         10 "agent.expiring"
    AgentExpired          11 "agent.expired"
    CredentialCreated     12 "credential.created"
    CredentialRotated     13 "credential.rotated"
    CredentialEnded       14 "credential.ended"
    CredentialRehashed    15 "credential.rehashed"
    CredentialExpiring    16 "credential.expiring"
    ScopeAdded            17 "scope.added"
    ScopeChanged          18 "scope.changed"
    ScopeDeleted          19 "scope.deleted"
    QuotaThreshold        20 "quota.threshold"
    KeyAnnounced          21 "key.announced"
    KeyActivated          22 "key.activated"
    KeyRemoved            23 "key.removed"
    KeyRevoked            24 "key.revoked"
    StoreKeyCreated       25 "store_key.created"
    KeyResealed           26 "key.resealed"
    OrgCreated            27 "org.created"
    OrgUpdated            28 "org.updated"
    OrgSuspended          29 "org.suspended"
    OrgReactivated        30 "org.reactivated"
    OrgTokensRevoked      31 "org.tokens_revoked"
    PartnerCreated        32 "partner.created"
    PartnerUpdated        33 "partner.updated"
    PartnerSuspended      34 "partner.suspended"
    PartnerReactivated    35 "partner.reactivated"
    PartnerDeleted        36 "partner.deleted"
    AuditExported         37 "audit.exported"
    AuditPruned           38 "audit.pruned"
    StoreRestored         39 "store.restored"
    IdempotencyReplayed   40 "idempotency.replayed"
    VerifierRemoved       41 "verifier.removed"
}

impl EventKind {
    /// The kind with this name.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let named = Self::ALL.iter().find(|kind| kind.as_str() == text);
        named.copied().ok_or(Invalid("a kind of event is unknown"))
    }

    /// The kinds that a filter selects: a kind's name, or its first part and `.*` for all kinds
    /// that begin with it. A filter that selects nothing is an error.
    pub fn select(filter: &str) -> Result<Vec<Self>, Invalid> {
        let Some(family) = filter.strip_suffix(".*") else {
            return Self::parse(filter).map(|kind| vec![kind]);
        };
        let of_family = |kind: &&Self| {
            let first = kind.as_str().split_once('.').map(|(first, _)| first);
            first == Some(family)
        };
        let kinds: Vec<Self> = Self::ALL.iter().filter(of_family).copied().collect();
        if kinds.is_empty() {
            return Err(Invalid("a kind of event is unknown"));
        }
        Ok(kinds)
    }

    /// The name in the rows that hold kinds as text.
    pub fn row_text(self) -> &'static str {
        match self {
            Self::ScopeChanged => SCOPE_UPDATED,
            _ => self.as_str(),
        }
    }

    /// The kind of a row that holds it as text.
    pub fn parse_row_text(text: &str) -> Result<Self, Invalid> {
        if text == SCOPE_UPDATED {
            return Ok(Self::ScopeChanged);
        }
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::EventKind::*;
    use super::*;

    #[test]
    fn a_kind_is_found_by_its_number_and_by_its_names() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_code(kind.code()), Ok(*kind));
            assert_eq!(EventKind::parse(kind.as_str()), Ok(*kind));
            assert_eq!(EventKind::parse_row_text(kind.row_text()), Ok(*kind));
        }
        let numbers: HashSet<i16> = EventKind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(numbers.len(), EventKind::ALL.len());
        for code in [i16::MIN, -1, 0, 42, i16::MAX] {
            assert!(EventKind::from_code(code).is_err(), "{code}");
        }
    }

    /// Stores hold these numbers, so this test changes only by a longer list.
    #[test]
    fn a_number_keeps_its_kind_for_ever() {
        let names: Vec<&str> = (1..=41)
            .map(|code| EventKind::from_code(code).unwrap().as_str())
            .collect();
        assert_eq!(
            names.join(" "),
            "token.issued token.revoked auth.refused agent.created agent.updated agent.suspended \
             agent.reactivated agent.decommissioned agent.tokens_revoked agent.expiring agent.expired \
             credential.created credential.rotated credential.ended credential.rehashed credential.expiring \
             scope.added scope.changed scope.deleted quota.threshold key.announced key.activated key.removed \
             key.revoked store_key.created key.resealed org.created org.updated org.suspended \
             org.reactivated org.tokens_revoked partner.created partner.updated partner.suspended \
             partner.reactivated partner.deleted audit.exported audit.pruned store.restored \
             idempotency.replayed verifier.removed"
        );
    }

    #[test]
    fn a_filter_selects_one_kind_or_a_family() {
        assert_eq!(EventKind::select("key.removed"), Ok(vec![KeyRemoved]));
        assert_eq!(
            EventKind::select("scope.*"),
            Ok(vec![ScopeAdded, ScopeChanged, ScopeDeleted])
        );
        assert_eq!(EventKind::select("store_key.*"), Ok(vec![StoreKeyCreated]));
        assert_eq!(EventKind::select("agent.*").unwrap().len(), 8);
        for filter in [
            "",
            "*",
            ".*",
            "agent",
            "agent.",
            "agent.*.*",
            "agent.s*",
            "Agent.*",
            "nobody.*",
            "key.gone",
            "agent.created.*",
            "scope.updated",
            "store.*_key",
        ] {
            assert!(EventKind::select(filter).is_err(), "{filter}");
        }
    }
}
