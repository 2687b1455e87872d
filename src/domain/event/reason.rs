//! Why a request was refused, in one word, and how refusals are counted.
//!
//! Must not know what the client is told: that is a `Refusal`, which tells less.

use std::borrow::Cow;

use crate::domain::id::AgentId;

use super::source::EventSource;

/// Why a request was refused, as counts of refusals tell it to an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalReason {
    /// No agent has this `client_id`.
    UnknownClient,
    /// The secret is none of this client's.
    WrongSecret,
    /// The request has no credentials, or a Bearer token that is not valid.
    NoCredentials,
    /// A check of a client assertion failed. Holds the check's name, a word in lower case.
    Assertion(&'static str),
    /// The agent is suspended.
    Suspended,
    /// The agent is expired.
    Expired,
    /// The agent is decommissioned.
    Decommissioned,
    /// The agent's organisation is suspended.
    OrgSuspended,
    /// The client exceeds the request rate.
    Rate,
    /// A scope is not allowed.
    Scope,
    /// An audience is not allowed.
    Audience,
    /// The month's tokens are used up.
    Quota,
    /// The authorization code is not valid.
    Code,
    /// The request is malformed.
    Malformed,
    /// The server cannot decide now.
    Unavailable,
    /// One of the reasons above, in counts that have no room left for it.
    Other,
}

impl RefusalReason {
    /// The word.
    pub fn as_str(self) -> Cow<'static, str> {
        match self {
            Self::UnknownClient => "unknown_client".into(),
            Self::WrongSecret => "wrong_secret".into(),
            Self::NoCredentials => "no_credentials".into(),
            Self::Assertion(check) => format!("assertion_{check}").into(),
            Self::Suspended => "suspended".into(),
            Self::Expired => "expired".into(),
            Self::Decommissioned => "decommissioned".into(),
            Self::OrgSuspended => "org_suspended".into(),
            Self::Rate => "rate".into(),
            Self::Scope => "scope".into(),
            Self::Audience => "audience".into(),
            Self::Quota => "quota".into(),
            Self::Code => "code".into(),
            Self::Malformed => "malformed".into(),
            Self::Unavailable => "unavailable".into(),
            Self::Other => "other".into(),
        }
    }
}

/// How many requests were refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalCount {
    /// The agent, if one was named that exists.
    pub agent_id: Option<AgentId>,
    /// The reason.
    pub reason: RefusalReason,
    /// Where the requests came from, if that is known and may be told.
    pub source: Option<EventSource>,
    /// How many.
    pub count: i64,
}

#[cfg(test)]
mod tests {
    use super::RefusalReason::*;
    use super::*;

    #[test]
    fn a_reason_is_a_word_that_programs_compare() {
        let all = [
            UnknownClient,
            WrongSecret,
            NoCredentials,
            Assertion("expired"),
            Suspended,
            Expired,
            Decommissioned,
            OrgSuspended,
            Rate,
            Scope,
            Audience,
            Quota,
            Code,
            Malformed,
            Unavailable,
            Other,
        ];
        assert_eq!(
            all.map(RefusalReason::as_str).join(" "),
            "unknown_client wrong_secret no_credentials assertion_expired suspended expired decommissioned \
             org_suspended rate scope audience quota code malformed unavailable other"
        );
    }
}
