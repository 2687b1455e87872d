//! One line of an import as the file has it, how its values are read, and the error of a wrong line.
//! Must not know what is done with a line.

use crate::domain::Invalid;
use crate::domain::about::{About, Description, Labels, Owner, parse_label};
use crate::domain::scope::Scope;
use crate::domain::ttl::{TTL_RULE, Ttl};

/// One agent as the file has it. It may hold a secret, so it has no `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// The id, which the agent keeps.
    pub client_id: String,
    /// The agent's name; the id if absent.
    pub name: Option<String>,
    /// What the agent is for.
    pub description: Option<String>,
    /// Who answers for the agent.
    pub owner: Option<String>,
    /// The agent's labels, each as `key=value`.
    pub labels: Vec<String>,
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
    /// When the agent expires; never if absent.
    pub expires_at: Option<String>,
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

/// What the row says about its agent.
pub(super) fn about(row: &Row) -> Result<About, RowFault> {
    let labels = each(&row.labels, parse_label).and_then(Labels::new);
    Ok(About {
        description: optional(row.description.as_ref(), Description::parse)
            .map_err(broken("description"))?,
        owner: optional(row.owner.as_ref(), Owner::parse).map_err(broken("owner"))?,
        labels: labels.map_err(broken("labels"))?,
    })
}

/// A value that may be absent.
pub(super) fn optional<T>(
    text: Option<&String>,
    parse: impl Fn(&str) -> Result<T, Invalid>,
) -> Result<Option<T>, Invalid> {
    text.map(|text| parse(text)).transpose()
}

/// A lifetime in seconds.
pub(super) fn parse_ttl(text: &str) -> Result<Ttl, Invalid> {
    text.parse()
        .map_err(|_| Invalid(TTL_RULE))
        .and_then(Ttl::new)
}

/// Each scope once, in the order of their first places.
pub(super) fn once(scopes: Vec<Scope>) -> Vec<Scope> {
    let mut kept: Vec<Scope> = Vec::with_capacity(scopes.len());
    for scope in scopes {
        if !kept.contains(&scope) {
            kept.push(scope);
        }
    }
    kept
}

/// Every value of a list.
pub(super) fn each<T>(
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, Invalid>,
) -> Result<Vec<T>, Invalid> {
    texts.iter().map(|text| parse(text)).collect()
}
