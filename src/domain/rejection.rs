//! What an operator is told if a request cannot be done. What a client is told is a `Refusal`.
//!
//! Owns the codes (management API) and their sentences. Must not know statuses, exit codes, or who
//! makes the request.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

/// Why an operator's request is not done. HTTP and the command line each show it in their own form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The reason, as programs compare it.
    pub code: RejectionCode,
    /// The reason, as people read it: the code's sentence, or a more precise one with names and
    /// numbers.
    pub message: Cow<'static, str>,
    /// Every part of the input that breaks a rule; empty unless the code is
    /// [`RejectionCode::ValidationError`] or [`RejectionCode::Forbidden`].
    pub errors: Vec<FieldError>,
    /// What programs may want to know besides: the name and the value of each fact.
    pub facts: Vec<(&'static str, Value)>,
}

/// A part of an operator's input that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The part of the input: a JSON Pointer (`/scopes/1`), or the name of a parameter.
    pub field: Cow<'static, str>,
    /// The rule that it breaks.
    pub reason: Cow<'static, str>,
}

impl FieldError {
    /// The error that `field` breaks this rule.
    pub fn new(field: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            field: field.into(),
            reason: reason.into(),
        }
    }
}

/// The class of a rejection, from which a status or an exit code is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The input breaks a rule, independent of what is stored.
    Invalid,
    /// Only another caller may do this.
    Forbidden,
    /// What the request names does not exist.
    NotFound,
    /// The request conflicts with what is stored.
    Conflict,
    /// The request is another one than was sent under this name before.
    Reused,
    /// What is stored has another version than the request demands.
    Outdated,
}

/// The reason for a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectionCode {
    /// The input breaks a rule.
    ValidationError,
    /// The idempotency key was sent with another body before.
    IdempotencyKeyReused,
    /// An equal request is under way.
    IdempotencyInProgress,
    /// The caller needs an admin scope for this.
    Forbidden,
    /// What is to be changed has another version than the request demands, or does not exist.
    VersionMismatch,
    /// No agent has this id.
    AgentNotFound,
    /// An agent has this id already.
    AgentExists,
    /// An agent and a user would have the same id: a token about a user must not look like a
    /// token of an agent.
    IdOfUser,
    /// The agent is decommissioned, which cannot be undone.
    AgentDecommissioned,
    /// The agent would have more live secrets than the configuration allows.
    TooManyCredentials,
    /// The agent has no credential with this id.
    CredentialNotFound,
    /// Other requests changed the agent again and again meanwhile.
    AgentKeptChanging,
    /// The catalogue has no such scope.
    ScopeNotFound,
    /// The catalogue has this scope already.
    ScopeExists,
    /// No organization has this id.
    OrgNotFound,
    /// An organization has this id already.
    OrgExists,
    /// The organization `default` has neither an end nor bounds.
    OrgBuiltIn,
    /// Agents of the organization hold other scopes.
    OrgScopesInUse,
    /// Other requests changed the organization again and again meanwhile.
    OrgKeptChanging,
    /// No partner has this id.
    PartnerNotFound,
    /// A partner of the organization has this issuer already.
    PartnerExists,
    /// The organization would have more partners than the configuration allows.
    TooManyPartners,
    /// Agents hold live credentials of the partner.
    PartnerInUse,
    /// Other requests changed the partner again and again meanwhile.
    PartnerKeptChanging,
    /// No event has this id, or it was pruned.
    EventNotFound,
    /// The event, or any event, is not in the tamper-evident log yet.
    NotLoggedYet,
    /// The scope is high-risk for another reason than the operator's mark.
    ScopeStaysHighRisk,
    /// Agents hold the scope.
    ScopeInUse,
    /// The scope opens a part of this server.
    ScopeBuiltIn,
    /// A signing key is announced already.
    KeyAnnounced,
    /// No verifier of this name has reported in the last 24 hours.
    VerifierNotFound,
    /// Servers of an older release may run, which would not do what is asked for.
    UpgradeUnfinished,
}

impl RejectionCode {
    /// Every code.
    pub const ALL: [Self; 32] = [
        Self::ValidationError,
        Self::IdempotencyKeyReused,
        Self::IdempotencyInProgress,
        Self::Forbidden,
        Self::VersionMismatch,
        Self::AgentNotFound,
        Self::AgentExists,
        Self::IdOfUser,
        Self::AgentDecommissioned,
        Self::TooManyCredentials,
        Self::CredentialNotFound,
        Self::AgentKeptChanging,
        Self::ScopeNotFound,
        Self::ScopeExists,
        Self::OrgNotFound,
        Self::OrgExists,
        Self::OrgBuiltIn,
        Self::OrgScopesInUse,
        Self::OrgKeptChanging,
        Self::PartnerNotFound,
        Self::PartnerExists,
        Self::TooManyPartners,
        Self::PartnerInUse,
        Self::PartnerKeptChanging,
        Self::EventNotFound,
        Self::NotLoggedYet,
        Self::ScopeStaysHighRisk,
        Self::ScopeInUse,
        Self::ScopeBuiltIn,
        Self::KeyAnnounced,
        Self::VerifierNotFound,
        Self::UpgradeUnfinished,
    ];

    /// The table of codes: the word, the class, and the message if there is no more precise one.
    #[rustfmt::skip]
    fn row(self) -> (&'static str, Class, &'static str) {
        match self {
            Self::ValidationError => ("VALIDATION_ERROR", Class::Invalid, "the request is invalid"),
            Self::IdempotencyKeyReused => ("IDEMPOTENCY_KEY_REUSED", Class::Reused, "the idempotency key was used with another body"),
            Self::IdempotencyInProgress => ("IDEMPOTENCY_IN_PROGRESS", Class::Conflict, "an equal request is under way: try again in a moment"),
            Self::Forbidden => ("FORBIDDEN", Class::Forbidden, "the caller may not do this"),
            Self::VersionMismatch => ("VERSION_MISMATCH", Class::Outdated, "the version is another one than the request demands"),
            Self::AgentNotFound => ("AGENT_NOT_FOUND", Class::NotFound, "no agent has this id"),
            Self::AgentExists => ("AGENT_EXISTS", Class::Conflict, "an agent with this id exists already"),
            Self::IdOfUser => ("ID_OF_USER", Class::Conflict, "an agent and a user, now or earlier, would have the same id"),
            Self::AgentDecommissioned => ("AGENT_DECOMMISSIONED", Class::Conflict, "the agent is decommissioned, which is for ever"),
            Self::TooManyCredentials => ("TOO_MANY_CREDENTIALS", Class::Conflict, "the agent has as many live secrets as it may have"),
            Self::CredentialNotFound => ("CREDENTIAL_NOT_FOUND", Class::NotFound, "the agent has no credential with this id"),
            Self::AgentKeptChanging => ("AGENT_KEPT_CHANGING", Class::Conflict, "the agent kept changing under this update: try again"),
            Self::ScopeNotFound => ("SCOPE_NOT_FOUND", Class::NotFound, "the scope is not in the catalogue"),
            Self::ScopeExists => ("SCOPE_EXISTS", Class::Conflict, "the catalogue has this scope already"),
            Self::OrgNotFound => ("ORG_NOT_FOUND", Class::NotFound, "no organization has this id"),
            Self::OrgExists => ("ORG_EXISTS", Class::Conflict, "an organization with this id exists already"),
            Self::OrgBuiltIn => ("ORG_BUILT_IN", Class::Conflict, "the organization `default` is built in: it allows every scope and is never stopped"),
            Self::OrgScopesInUse => ("ORG_SCOPES_IN_USE", Class::Conflict, "agents of the organization hold other scopes"),
            Self::OrgKeptChanging => ("ORG_KEPT_CHANGING", Class::Conflict, "the organization, or its agents, kept changing under this update: try again"),
            Self::PartnerNotFound => ("PARTNER_NOT_FOUND", Class::NotFound, "no partner has this id"),
            Self::PartnerExists => ("PARTNER_EXISTS", Class::Conflict, "a partner of the organization has this issuer already"),
            Self::TooManyPartners => ("TOO_MANY_PARTNERS", Class::Conflict, "the organization has as many partners as it may have (limits.partners_per_org)"),
            Self::PartnerInUse => ("PARTNER_IN_USE", Class::Conflict, "agents hold live credentials of the partner"),
            Self::PartnerKeptChanging => ("PARTNER_KEPT_CHANGING", Class::Conflict, "the partner kept changing under this update: try again"),
            Self::EventNotFound => ("EVENT_NOT_FOUND", Class::NotFound, "no event has this id, or it is not kept any more"),
            Self::NotLoggedYet => ("NOT_LOGGED_YET", Class::NotFound, "it is not in the log yet: try again in a moment"),
            Self::ScopeStaysHighRisk => ("SCOPE_STAYS_HIGH_RISK", Class::Conflict, "the scope stays high-risk"),
            Self::ScopeInUse => ("SCOPE_IN_USE", Class::Conflict, "agents hold the scope"),
            Self::ScopeBuiltIn => ("SCOPE_BUILT_IN", Class::Conflict, "the scope is built in: it opens a part of this server"),
            Self::KeyAnnounced => ("KEY_ANNOUNCED", Class::Conflict, "a signing key is announced already"),
            Self::VerifierNotFound => ("VERIFIER_NOT_FOUND", Class::NotFound, "no such verifier has reported in the last 24 hours"),
            Self::UpgradeUnfinished => ("UPGRADE_UNFINISHED", Class::Conflict, "this store was upgraded, and a server of an earlier release would go on with a revoked key: stop such servers, and run `sealwright migrate --finish`"),
        }
    }

    /// The word that programs compare.
    pub fn as_str(self) -> &'static str {
        self.row().0
    }

    /// Its class.
    pub fn class(self) -> Class {
        self.row().1
    }
}

impl Rejection {
    /// The input breaks these rules.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        Self {
            errors,
            ..RejectionCode::ValidationError.into()
        }
    }

    /// One part of the input breaks a rule.
    pub fn of_field(
        field: impl Into<Cow<'static, str>>,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::invalid(vec![FieldError::new(field, reason)])
    }

    /// A rejection with this code and a more precise message than the code's sentence.
    pub fn with(code: RejectionCode, message: String) -> Self {
        Self {
            code,
            message: message.into(),
            ..code.into()
        }
    }

    /// The same rejection with these facts.
    #[must_use]
    pub fn and(self, facts: Vec<(&'static str, Value)>) -> Self {
        Self { facts, ..self }
    }

    /// The message as a full sentence.
    pub fn sentence(&self) -> String {
        let mut characters = self.message.chars();
        let first = characters.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(characters).chain(['.']).collect()
    }
}

impl From<RejectionCode> for Rejection {
    fn from(code: RejectionCode) -> Self {
        Self {
            code,
            message: code.row().2.into(),
            errors: vec![],
            facts: vec![],
        }
    }
}

impl fmt::Display for Rejection {
    /// Writes the rules that were broken, or the message if there are none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reasons = self.errors.iter().map(|error| &error.reason);
        let Some(first) = reasons.next() else {
            return f.write_str(&self.message);
        };
        f.write_str(first)?;
        reasons.try_for_each(|reason| write!(f, "; {reason}"))
    }
}

impl std::error::Error for Rejection {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_reads_as_its_message_or_as_every_rule_that_was_broken() {
        let found = Rejection::from(RejectionCode::AgentNotFound);
        assert_eq!(found.to_string(), "no agent has this id");
        assert_eq!(found.sentence(), "No agent has this id.");
        let errors = vec![
            FieldError::new("/scopes/0", "one rule"),
            FieldError::new("/plan", "another"),
        ];
        let found = Rejection::invalid(errors);
        assert_eq!(found.to_string(), "one rule; another");
        assert_eq!(
            (found.code.as_str(), found.code.class()),
            ("VALIDATION_ERROR", Class::Invalid)
        );
    }
}
