//! Refusals: what a client may be told. They are typed, public and expected; must not know HTTP.

use super::event::reason::RefusalReason;
use super::quota::{Limit, PlanName, QuotaWindow, reached_message};
use super::time::Timestamp;

/// Why a request was refused. Each refusal carries only fixed text or the server's own values, so
/// that text from the client is never reflected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The request is malformed (RFC 6749 §5.2 `invalid_request`).
    InvalidRequest(&'static str),
    /// A required parameter is absent or empty (RFC 6749 §5.2 `invalid_request`). Holds its name.
    MissingParameter(&'static str),
    /// The value of a parameter is not text (RFC 6749 §5.2 `invalid_request`). Holds its name.
    MistypedParameter(&'static str),
    /// A parameter was sent more than once (RFC 6749 §3.2 `invalid_request`). Holds its name.
    RepeatedParameter(&'static str),
    /// A parameter was sent with brackets behind its name, as some languages write lists
    /// (`invalid_request`). Holds its name.
    BracketedParameter(&'static str),
    /// A parameter was sent in the URI of a POST (`invalid_request`). Holds its name.
    ParameterInUri(&'static str),
    /// The `grant_type` is another one than this endpoint serves (RFC 6749 §5.2).
    UnsupportedGrantType,
    /// There is no authorization endpoint for browsers (RFC 6749 §4.1.2.1).
    UnsupportedResponseType,
    /// Unknown id, wrong secret or no credentials: all have this one refusal (contract D6).
    InvalidClient,
    /// The secret was right, but the agent is suspended.
    AgentSuspended,
    /// The secret was right, but the agent is expired. The client is told the same as that of a
    /// suspended agent.
    AgentExpired,
    /// The secret was right, but the agent is decommissioned.
    AgentDecommissioned,
    /// The scope parameter breaks the grammar of RFC 6749 §3.3.
    MalformedScope,
    /// A requested scope does not exist or is not allowed to this agent (contract D4).
    ScopeNotAllowed,
    /// No scope was asked for and this agent is allowed none (contract D3).
    NoScopes,
    /// The audience is outside the agent's list, or longer than a token can carry (RFC 8707 §2).
    InvalidTarget,
    /// The value of a parameter is not a valid audience (RFC 8707 §2 `invalid_target`). Holds its
    /// name.
    MalformedTarget(&'static str),
    /// The authorization code is unknown, expired, spent, or was made for something else
    /// (RFC 6749 §5.2 `invalid_grant`).
    InvalidCode,
    /// The month's tokens are used up (contract D5).
    QuotaReached {
        /// The agent's plan.
        plan: PlanName,
        /// Its limit, and when the month ends.
        window: QuotaWindow,
    },
    /// The client exceeds the request rate.
    SlowDown {
        /// Milliseconds until a request may pass again.
        retry_after_ms: u64,
    },
    /// A Bearer token is required, but none was sent (RFC 6750 §3.1: no error code).
    MissingToken,
    /// The Bearer token is malformed, expired, revoked or not for this server (RFC 6750 §3.1).
    InvalidToken,
    /// The Bearer token lacks this scope (RFC 6750 §3.1).
    InsufficientScope(&'static str),
    /// The Bearer token lacks a scope that a gateway demands. The refusal does not name that scope:
    /// the name is text of the request, and the caller must not learn whether such a scope exists.
    DemandNotMet,
}

impl Refusal {
    /// The reason, for logs and counters. Client authentication knows more about
    /// [`Self::InvalidClient`] than this value tells.
    pub fn reason(&self) -> RefusalReason {
        match self {
            Self::InvalidRequest(_)
            | Self::MissingParameter(_)
            | Self::MistypedParameter(_)
            | Self::RepeatedParameter(_)
            | Self::BracketedParameter(_)
            | Self::ParameterInUri(_)
            | Self::UnsupportedGrantType
            | Self::UnsupportedResponseType
            | Self::MalformedScope
            | Self::MalformedTarget(_) => RefusalReason::Malformed,
            Self::InvalidClient | Self::MissingToken | Self::InvalidToken => {
                RefusalReason::NoCredentials
            }
            Self::AgentSuspended => RefusalReason::Suspended,
            Self::AgentExpired => RefusalReason::Expired,
            Self::AgentDecommissioned => RefusalReason::Decommissioned,
            Self::ScopeNotAllowed
            | Self::NoScopes
            | Self::InsufficientScope(_)
            | Self::DemandNotMet => RefusalReason::Scope,
            Self::InvalidTarget => RefusalReason::Audience,
            Self::InvalidCode => RefusalReason::Code,
            Self::QuotaReached { .. } => RefusalReason::Quota,
            Self::SlowDown { .. } => RefusalReason::Rate,
        }
    }

    /// The refusal of an agent whose plan allows `limit` tokens a month, all of which it had got
    /// at `now`.
    pub fn quota(plan: &PlanName, limit: Limit, now: Timestamp) -> Self {
        // A plan without limit never refuses. If a store says otherwise, the largest number is
        // shown.
        let limit = limit.unwrap_or(i64::MAX);
        Self::QuotaReached {
            plan: plan.clone(),
            window: QuotaWindow::new(limit, limit, now),
        }
    }

    /// The message for people; the messages of contract §3 are exact. Only characters that
    /// RFC 6749 §5.2 allows appear in it (`%x20-21 / %x23-5B / %x5D-7E`).
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
            Self::UnsupportedResponseType => {
                "There is no authorization endpoint for browsers here: machines get their tokens at the token endpoint."
                    .to_owned()
            }
            Self::InvalidClient => {
                "Client authentication failed. Invalid client_id or client_secret.".to_owned()
            }
            Self::AgentSuspended | Self::AgentExpired => {
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
            Self::QuotaReached { plan, window } => reached_message(plan, window.limit),
            Self::SlowDown { .. } => "Too many requests. Retry later.".to_owned(),
            Self::MissingToken => "A Bearer token is required.".to_owned(),
            Self::InvalidToken => "The access token is invalid, expired or revoked.".to_owned(),
            Self::InsufficientScope(_) | Self::DemandNotMet => {
                "The access token lacks the required scope or right.".to_owned()
            }
        }
    }
}
