//! Refusals: what a caller may be told. Typed, public and expected; must not know HTTP.

use super::quota::{Limit, PlanName, reached_message};

/// Why a request was refused. Each carries only fixed text or the server's own values, so that
/// nothing a caller sent is ever reflected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The request is malformed (RFC 6749 §5.2 `invalid_request`).
    InvalidRequest(&'static str),
    /// A required parameter, by its name, is absent or empty (RFC 6749 §5.2 `invalid_request`).
    MissingParameter(&'static str),
    /// A parameter, by its name, is no text (RFC 6749 §5.2 `invalid_request`).
    MistypedParameter(&'static str),
    /// A parameter, by its name, stands there more than once (RFC 6749 §3.2 `invalid_request`).
    RepeatedParameter(&'static str),
    /// A parameter, by its name, was sent with brackets behind the name, as some languages write lists
    /// (`invalid_request`).
    BracketedParameter(&'static str),
    /// A parameter, by its name, stands in the URI of a POST (`invalid_request`).
    ParameterInUri(&'static str),
    /// Any other `grant_type` than this endpoint serves (RFC 6749 §5.2).
    UnsupportedGrantType,
    /// Unknown id, wrong secret or no credentials: one refusal for all (contract D6).
    InvalidClient,
    /// The secret was right, the agent is suspended.
    AgentSuspended,
    /// The secret was right, the agent is decommissioned.
    AgentDecommissioned,
    /// The scope parameter breaks the grammar of RFC 6749 §3.3.
    MalformedScope,
    /// A requested scope does not exist or is not allowed to this agent (contract D4).
    ScopeNotAllowed,
    /// No scope was asked for and this agent is allowed none (contract D3).
    NoScopes,
    /// The audience is outside the agent's list, or more than a token carries (RFC 8707 §2).
    InvalidTarget,
    /// A parameter, by its name, holds no audience (RFC 8707 §2 `invalid_target`).
    MalformedTarget(&'static str),
    /// The authorization code is unknown, expired, spent, or was made for something else
    /// (RFC 6749 §5.2 `invalid_grant`).
    InvalidCode,
    /// The month's tokens are used up (contract D5).
    QuotaReached {
        /// The agent's plan.
        plan: PlanName,
        /// Its limit.
        limit: i64,
    },
    /// Over the request rate.
    SlowDown {
        /// Milliseconds until a request may pass again.
        retry_after_ms: u64,
    },
    /// No Bearer token was sent where one is needed (RFC 6750 §3.1: no error code).
    MissingToken,
    /// The Bearer token is malformed, expired, revoked or not for this server (RFC 6750 §3.1).
    InvalidToken,
    /// The Bearer token lacks this scope (RFC 6750 §3.1).
    InsufficientScope(&'static str),
    /// The Bearer token lacks a scope that a gateway demands. Which one is not said: it is text of the
    /// request, and whether it exists is nobody's business.
    DemandNotMet,
}

impl Refusal {
    /// Why, in one word for logs and counters. Whether a client is unknown or its secret wrong is told to nobody.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_)
            | Self::MissingParameter(_)
            | Self::MistypedParameter(_)
            | Self::RepeatedParameter(_)
            | Self::BracketedParameter(_)
            | Self::ParameterInUri(_)
            | Self::UnsupportedGrantType
            | Self::MalformedScope
            | Self::MalformedTarget(_) => "malformed",
            Self::InvalidClient => "invalid_client",
            Self::AgentSuspended => "suspended",
            Self::AgentDecommissioned => "decommissioned",
            Self::ScopeNotAllowed
            | Self::NoScopes
            | Self::InsufficientScope(_)
            | Self::DemandNotMet => "scope",
            Self::InvalidTarget => "audience",
            Self::InvalidCode => "code",
            Self::QuotaReached { .. } => "quota",
            Self::SlowDown { .. } => "rate",
            Self::MissingToken => "no_token",
            Self::InvalidToken => "invalid_token",
        }
    }

    /// The refusal of an agent whose plan allows `limit` tokens a month.
    pub fn quota(plan: &PlanName, limit: Limit) -> Self {
        // A plan without limit never refuses; should a store say otherwise, the largest number is shown.
        Self::QuotaReached {
            plan: plan.clone(),
            limit: limit.unwrap_or(i64::MAX),
        }
    }

    /// The sentence for people; those of contract §3 to the letter. Its characters keep to
    /// RFC 6749 §5.2 (`%x20-21 / %x23-5B / %x5D-7E`).
    pub fn message(&self) -> String {
        match self {
            Self::InvalidRequest(text) => (*text).to_owned(),
            Self::MissingParameter(name) => format!("The {name} parameter is required."),
            Self::MistypedParameter(name) => format!("The {name} parameter must be a string."),
            Self::RepeatedParameter(name) => format!("The {name} parameter is repeated."),
            Self::BracketedParameter(name) => {
                format!("The {name} parameter must be sent without brackets behind its name.")
            }
            Self::ParameterInUri(name) => {
                format!("The {name} parameter must not be sent in the URI.")
            }
            Self::UnsupportedGrantType => {
                "Only 'client_credentials' grant type is supported.".to_owned()
            }
            Self::InvalidClient => {
                "Client authentication failed. Invalid client_id or client_secret.".to_owned()
            }
            Self::AgentSuspended => {
                "Agent is currently suspended and cannot obtain tokens.".to_owned()
            }
            Self::AgentDecommissioned => {
                "Agent is decommissioned and cannot obtain tokens.".to_owned()
            }
            Self::MalformedScope => "The scope parameter is malformed.".to_owned(),
            Self::ScopeNotAllowed => "A requested scope is not allowed for this client.".to_owned(),
            Self::NoScopes => "This client is not allowed any scope.".to_owned(),
            Self::InvalidTarget => {
                "The requested audience is not allowed for this client.".to_owned()
            }
            Self::MalformedTarget(name) => format!("The {name} parameter is malformed."),
            Self::InvalidCode => "The authorization code is invalid, expired or used.".to_owned(),
            Self::QuotaReached { plan, limit } => reached_message(plan, *limit),
            Self::SlowDown { .. } => "Too many requests. Retry later.".to_owned(),
            Self::MissingToken => "A Bearer token is required.".to_owned(),
            Self::InvalidToken => "The access token is invalid, expired or revoked.".to_owned(),
            Self::InsufficientScope(_) | Self::DemandNotMet => {
                "The access token lacks the required scope or right.".to_owned()
            }
        }
    }
}
