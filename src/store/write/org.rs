//! What can be changed about organizations, and the event of each change. Must not know SQL.

use serde_json::Value;

use crate::domain::event::Event;
use crate::domain::event::changes::Changes;
use crate::domain::event::facts::OrgFacts;
use crate::domain::org::{Org, OrgId, OrgName, OrgStatus};
use crate::domain::scope::Scope;

/// What can be changed about an organization. Each variant lists the outcomes that it can have
/// besides `Applied`.
#[derive(Debug, Clone)]
pub enum OrgChange {
    /// A new organization. `Conflict` if the id is taken.
    Create(Box<Org>),
    /// Another name and other scopes; raises the version. `NotFound`; `TargetChanged` if the version
    /// is no longer that of `before`; `Conflict` if one of its agents holds another scope.
    Update {
        /// The organization as it was when the change was decided.
        before: Box<Org>,
        /// Its name.
        name: OrgName,
        /// What its agents may be given.
        scopes: Option<Vec<Scope>>,
    },
    /// Active → suspended; raises epoch and version, and the version of the catalogue. `NotFound`,
    /// `Unchanged`.
    Suspend(OrgId),
    /// Suspended → active; raises the version, and that of the catalogue, never the epoch.
    /// `NotFound`, `Unchanged`.
    Reactivate(OrgId),
    /// Kills all live tokens of its agents, but keeps the status; raises epoch and version, and the
    /// version of the catalogue. `NotFound`.
    RevokeTokens(OrgId),
}

impl OrgChange {
    /// Whether this change may kill tokens.
    pub(crate) fn kills(&self) -> bool {
        matches!(self, Self::Suspend(_) | Self::RevokeTokens(_))
    }

    /// The status after the change, if the change sets it.
    pub(crate) fn status(&self) -> Option<OrgStatus> {
        match self {
            Self::Suspend(_) => Some(OrgStatus::Suspended),
            Self::Reactivate(_) => Some(OrgStatus::Active),
            Self::Create(_) | Self::Update { .. } | Self::RevokeTokens(_) => None,
        }
    }

    /// The audit event of the change.
    pub(super) fn event(&self) -> Event {
        match self {
            Self::Create(org) => {
                let made = Changes::default()
                    .with("name", Value::Null, org.name.as_str())
                    .with("scopes", Value::Null, scopes_json(org.scopes.as_deref()));
                Event::OrgCreated(facts(org, made))
            }
            Self::Update {
                before,
                name,
                scopes,
            } => {
                let (old, new) = (before.scopes.as_deref(), scopes.as_deref());
                let changed = Changes::default()
                    .with("name", before.name.as_str(), name.as_str())
                    .with("scopes", scopes_json(old), scopes_json(new));
                Event::OrgUpdated(facts(before, changed))
            }
            Self::Suspend(org_id) => Event::OrgSuspended(of_state(org_id)),
            Self::Reactivate(org_id) => Event::OrgReactivated(of_state(org_id)),
            Self::RevokeTokens(org_id) => Event::OrgTokensRevoked(of_state(org_id)),
        }
    }
}

fn facts(org: &Org, changed: Changes) -> OrgFacts {
    OrgFacts {
        org_id: org.org_id.to_string(),
        changed,
    }
}

fn of_state(org_id: &OrgId) -> OrgFacts {
    OrgFacts {
        org_id: org_id.to_string(),
        changed: Changes::default(),
    }
}

fn scopes_json(scopes: Option<&[Scope]>) -> Value {
    scopes.map_or(Value::Null, |scopes| {
        scopes.iter().map(Scope::as_str).collect()
    })
}
