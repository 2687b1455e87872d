//! What an update changes of a profile. Must not know whether it may.

use std::sync::Arc;

use crate::domain::agent::{AgentName, Audience, Profile, RedirectUri, UserId};
use crate::domain::quota::PlanName;
use crate::domain::scope::Scope;
use crate::domain::ttl::Ttl;

/// What to change of a profile; `None` leaves a value as it is.
#[derive(Debug, Clone, Default)]
pub struct ProfilePatch {
    /// Its label.
    pub name: Option<AgentName>,
    /// All its scopes.
    pub scopes: Option<Vec<Scope>>,
    /// Its lifetime; `Some(None)` takes the server's default again.
    pub ttl: Option<Option<Ttl>>,
    /// Its plan.
    pub plan: Option<PlanName>,
    /// All its audiences.
    pub audiences: Option<Vec<Audience>>,
    /// All its redirect URIs.
    pub redirect_uris: Option<Vec<RedirectUri>>,
    /// All its users.
    pub user_ids: Option<Vec<UserId>>,
}

impl ProfilePatch {
    pub(super) fn is_empty(&self) -> bool {
        // By name, so that a new member cannot be forgotten here.
        let Self { name, scopes, ttl, plan, audiences, redirect_uris, user_ids } = self;
        let texts = name.is_none() && scopes.is_none() && ttl.is_none() && plan.is_none();
        texts && audiences.is_none() && redirect_uris.is_none() && user_ids.is_none()
    }

    pub(super) fn apply(&self, profile: &Profile) -> Profile {
        let mut terms = (*profile.terms).clone();
        set(&mut terms.scopes, self.scopes.as_ref());
        set(&mut terms.ttl, self.ttl.as_ref());
        set(&mut terms.plan, self.plan.as_ref());
        set(&mut terms.audiences, self.audiences.as_ref());
        set(&mut terms.redirect_uris, self.redirect_uris.as_ref());
        set(&mut terms.user_ids, self.user_ids.as_ref());
        let name = self.name.as_ref().unwrap_or(&profile.name).clone();
        Profile { name, terms: Arc::new(terms) }
    }
}

fn set<T: Clone>(place: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        place.clone_from(value);
    }
}
