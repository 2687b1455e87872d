//! One line of an import, as the file has it, and what may be wrong with it.

use crate::domain::Invalid;

/// One agent as the file has it. It may hold a secret, so it has no `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// The id to keep.
    pub client_id: String,
    /// Its label; the id when absent.
    pub name: Option<String>,
    /// Its secret in clear.
    pub secret: Option<String>,
    /// Or what a bcrypt or argon2 library made of it.
    pub secret_hash: Option<String>,
    /// The scopes that it may ask for.
    pub scopes: Vec<String>,
    /// Its own token lifetime in seconds.
    pub ttl: Option<String>,
    /// Its plan; `free` when absent.
    pub plan: Option<String>,
    /// The audiences that it may ask for.
    pub audiences: Vec<String>,
    /// Where authorization codes may be sent.
    pub redirect_uris: Vec<String>,
    /// The users on whose behalf it may act.
    pub user_ids: Vec<String>,
    /// `active` or `suspended`; active when absent.
    pub status: Option<String>,
    /// `true` when its client sends the secret in HTTP Basic without form-encoding it first.
    pub raw_basic: Option<String>,
}

/// Which rule of which field a row breaks.
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
