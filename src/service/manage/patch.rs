//! What an update changes in a profile, and what the agent's live tokens keep. Must not know
//! whether the update is allowed.

use std::sync::Arc;

use crate::domain::about::{About, Description, LabelText, Labels, Owner};
use crate::domain::agent::{
    Agent, AgentName, AgentStatus, Audience, LiveTokens, Profile, RedirectUri, UserId,
};
use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::quota::PlanName;
use crate::domain::rejection::Rejection;
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;
use crate::domain::ttl::Ttl;

/// The changes to the labels.
#[derive(Debug, Clone)]
pub enum LabelsPatch {
    /// These are all labels.
    Replace(Labels),
    /// Each of these keys gets this value, or is removed.
    Merge(Vec<(LabelText, Option<LabelText>)>),
}

impl LabelsPatch {
    fn apply(&self, labels: &Labels) -> Result<Labels, Rejection> {
        let merged = match self {
            Self::Replace(labels) => return Ok(labels.clone()),
            Self::Merge(changes) => labels.merged(changes),
        };
        merged.map_err(|rule| Rejection::of_field("/labels", rule.0))
    }
}

/// The changes to a profile. `None` leaves a value as it is.
#[derive(Debug, Clone, Default)]
pub struct ProfilePatch {
    /// If it is given, it must be the agent's own id: an id never changes.
    pub agent_id: Option<AgentId>,
    /// If it is given, it must be the agent's own organization, which never changes.
    pub org_id: Option<OrgId>,
    /// Its name.
    pub name: Option<AgentName>,
    /// Its description; `Some(None)` removes it.
    pub description: Option<Option<Description>>,
    /// Its owner; `Some(None)` removes it.
    pub owner: Option<Option<Owner>>,
    /// Its labels.
    pub labels: Option<LabelsPatch>,
    /// All its scopes.
    pub scopes: Option<Vec<Scope>>,
    /// Its lifetime; `Some(None)` returns to the server's default.
    pub ttl: Option<Option<Ttl>>,
    /// Its plan.
    pub plan: Option<PlanName>,
    /// All its audiences.
    pub audiences: Option<Vec<Audience>>,
    /// All its redirect URIs.
    pub redirect_uris: Option<Vec<RedirectUri>>,
    /// All its users.
    pub user_ids: Option<Vec<UserId>>,
    /// When it expires; `Some(None)` means never.
    pub expires_at: Option<Option<Timestamp>>,
    /// Whether the agent's live tokens are kept or killed.
    pub tokens: LiveTokens,
}

impl ProfilePatch {
    /// The patch that makes any profile this one.
    pub(super) fn replacing(profile: Profile) -> Self {
        let Profile {
            name,
            about,
            terms,
            expires_at,
        } = profile;
        let terms = Arc::unwrap_or_clone(terms);
        Self {
            agent_id: None,
            org_id: None,
            name: Some(name),
            description: Some(about.description),
            owner: Some(about.owner),
            labels: Some(LabelsPatch::Replace(about.labels)),
            scopes: Some(terms.scopes),
            ttl: Some(terms.ttl),
            plan: Some(terms.plan),
            audiences: Some(terms.audiences),
            redirect_uris: Some(terms.redirect_uris),
            user_ids: Some(terms.user_ids),
            expires_at: Some(expires_at),
            tokens: LiveTokens::Keep,
        }
    }

    /// Rejects a change of the id.
    pub(super) fn demand_own_id(&self, agent_id: &AgentId) -> Result<(), Rejection> {
        match &self.agent_id {
            Some(new) if new != agent_id => Err(Rejection::of_field(
                "/agentId",
                "an agent's id never changes",
            )),
            _ => Ok(()),
        }
    }

    /// Rejects a change of the organization.
    pub(super) fn demand_own_org(&self, org_id: &OrgId) -> Result<(), Rejection> {
        match &self.org_id {
            Some(new) if new != org_id => Err(Rejection::of_field(
                "/orgId",
                "an agent never changes its organization",
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn apply(&self, profile: &Profile) -> Result<Profile, Rejection> {
        let mut terms = (*profile.terms).clone();
        set(&mut terms.scopes, self.scopes.as_ref());
        set(&mut terms.ttl, self.ttl.as_ref());
        set(&mut terms.plan, self.plan.as_ref());
        set(&mut terms.audiences, self.audiences.as_ref());
        set(&mut terms.redirect_uris, self.redirect_uris.as_ref());
        set(&mut terms.user_ids, self.user_ids.as_ref());
        let mut changed = Profile {
            terms: Arc::new(terms),
            ..profile.clone()
        };
        let About {
            description,
            owner,
            labels,
        } = &mut changed.about;
        set(description, self.description.as_ref());
        set(owner, self.owner.as_ref());
        if let Some(patch) = &self.labels {
            *labels = patch.apply(labels)?;
        }
        set(&mut changed.name, self.name.as_ref());
        set(&mut changed.expires_at, self.expires_at.as_ref());
        Ok(changed)
    }
}

/// A warning of what live tokens keep although the agent may do less from now on. `None` if nothing
/// is taken away or there are no live tokens.
pub(super) fn narrowed_warning(
    agent: &Agent,
    profile: &Profile,
    default_ttl: Ttl,
) -> Option<String> {
    let (old, new) = (&agent.profile.terms, &profile.terms);
    let secs = |ttl: Option<Ttl>| ttl.unwrap_or(default_ttl).secs();
    // An empty list of audiences allows any.
    let audiences = !new.audiences.is_empty()
        && (old.audiences.is_empty() || lacks(&new.audiences, &old.audiences));
    let kept = [
        ("scopes", lacks(&new.scopes, &old.scopes)),
        ("lifetime", secs(new.ttl) < secs(old.ttl)),
        ("audiences", audiences),
        (
            "redirect URIs",
            lacks(&new.redirect_uris, &old.redirect_uris),
        ),
        ("user ids", lacks(&new.user_ids, &old.user_ids)),
    ];
    let kept: Vec<&str> = kept
        .iter()
        .filter(|(_, narrowed)| *narrowed)
        .map(|(name, _)| *name)
        .collect();
    // A stopped agent has no live tokens.
    if kept.is_empty() || agent.status != AgentStatus::Active {
        return None;
    }
    Some(format!(
        "less is allowed now ({}), but tokens that live already keep what they were given until they expire; \
         --revoke-tokens (over HTTP revokeTokens=true) beside such a change ends them at once, as `agent revoke-tokens {}` does now",
        kept.join(", "),
        agent.agent_id
    ))
}

/// Whether an agent expires earlier than before. Its live tokens might outlive it.
pub(super) fn brings_end_forward(before: &Profile, after: &Profile) -> bool {
    match (before.expires_at, after.expires_at) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(before), Some(after)) => after < before,
    }
}

fn lacks<T: PartialEq>(new: &[T], old: &[T]) -> bool {
    old.iter().any(|item| !new.contains(item))
}

fn set<T: Clone>(place: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        place.clone_from(value);
    }
}
