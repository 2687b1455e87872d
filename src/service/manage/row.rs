//! One line of an import as the file has it, and the error of a wrong line.

use crate::domain::Invalid;

/// One agent as the file has it. It may hold a secret, so it has no `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// The id, which the agent keeps.
    pub client_id: String,
    /// The agent's label; the id if absent.
    pub name: Option<String>,
    /// The agent's secret in clear.
    pub secret: Option<String>,
    /// The secret's hash, by a bcrypt or argon2 library. A row has either this or `secret`.
    pub secret_hash: Option<String>,
    /// The scopes that the agent may ask for.
    pub scopes: Vec<String>,
    /// The agent's own token lifetime in seconds.
    pub ttl: Option<String>,
    /// The agent's plan; `free` if absent.
    pub plan: Option<String>,
    /// The audiences that the agent may ask for.
    pub audiences: Vec<String>,
    /// Where the agent's authorization codes may be sent.
    pub redirect_uris: Vec<String>,
    /// The users on whose behalf the agent may act.
    pub user_ids: Vec<String>,
    /// `active` or `suspended`; active if absent.
    pub status: Option<String>,
    /// `true` if the client sends the secret in HTTP Basic without form-encoding it.
    pub raw_basic: Option<String>,
}

/// Which field of a row breaks which rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct RowFault {
    pub(super) field: &'static str,
    pub(super) rule: String,
}

pub(super) fn broken(field: &'static str) -> impl Fn(Invalid) -> RowFault {
    move |rule| RowFault {
        field,
        rule: rule.0.to_owned(),
    }
}
