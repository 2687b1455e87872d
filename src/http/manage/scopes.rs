//! `/api/v1/scopes`: the catalogue of scopes. Only an admin of the first organisation changes it.

use std::sync::Arc;

use crate::api::scopes::ScopeJson;
use crate::domain::act::ChangeReason;
use crate::domain::catalogue::CatalogueEntry;
use crate::domain::rejection::RejectionCode;
use crate::domain::scope::Scope;
use crate::http::error::Failure;
use crate::http::state::State;
use crate::service::manage::ManageError;
use crate::service::manage::scopes::{ScopeDescription, ScopePatch};
use crate::service::manage::view::ScopeView;

use super::agent_changes::ActionBody;
use super::answer::{Makes, Reply};
use super::authority::demand_reach_over_all;
use super::body::{PatchMember, body};
use super::call::{Call, WriteCall};
use super::fields::{Fields, Input};
use super::keyed::KeyedReply;
use super::page::{MAX_PAGE, Page};

/// All scopes in the order of the catalogue. They have no pages.
pub(super) async fn list_scopes(
    state: Arc<State>,
    call: Call<()>,
) -> Result<Page<ScopeJson>, Failure> {
    let scopes = state.scopes.list(call.caller.limited_to()).await?;
    let scopes = scopes.into_iter().map(ScopeJson::from);
    Ok(Page::new(scopes.collect(), MAX_PAGE, None))
}

/// The scope that the path names. A text that no scope can be is simply unknown.
pub(super) struct OneScope(Option<Scope>);

impl OneScope {
    fn of(fields: &Fields<'_>) -> Self {
        let scope = fields.path_part("scope");
        Self(scope.and_then(|text| Scope::parse(text).ok()))
    }

    fn known(&self) -> Result<&Scope, Failure> {
        let unknown = || ManageError::from(RejectionCode::ScopeNotFound).into();
        self.0.as_ref().ok_or_else(unknown)
    }
}

impl Input for OneScope {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self::of(fields))
    }
}

/// One scope.
pub(super) async fn get_scope(
    state: Arc<State>,
    call: Call<OneScope>,
) -> Result<ScopeJson, Failure> {
    let (scope, own) = (call.input.known()?, call.caller.limited_to());
    Ok(state.scopes.show(scope, own).await?.into())
}

body! {
    /// A scope to be added.
    pub(super) struct NewScope {
        /// The scope.
        required scope("scope"): Scope,
        /// What it is for: 1 to 200 characters.
        required description("description"): ScopeDescription,
        /// Whether tokens with it live 15 minutes at most, whatever its name says.
        optional high_risk("highRisk"): bool,
        /// Why it is added: 1 to 200 characters, which stand in the event.
        optional reason("reason"): ChangeReason,
    }
}

impl Input for NewScope {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.body()
    }
}

/// Adds a scope at the end of the catalogue.
pub(super) async fn add_scope(
    state: Arc<State>,
    call: WriteCall<NewScope>,
) -> Result<KeyedReply<ScopeJson, Makes>, Failure> {
    demand_reach_over_all(&call.caller)?;
    let act = call.act(&state, call.input.reason.as_ref());
    let entry = CatalogueEntry {
        scope: call.input.scope.clone(),
        description: call.input.description.clone().into(),
        high_risk: call.input.high_risk.unwrap_or(false),
    };
    let request = call.request(&act);
    let render = |added: &ScopeView| added_reply(added.clone()).kept();
    let (scopes, render) = (&state.scopes, &render);
    call.once(&state, &act, |keeper| async move {
        let added = scopes.add(entry, request, keeper.with(render));
        Ok(added_reply(added.await?))
    })
    .await
}

fn added_reply(added: ScopeView) -> Reply<ScopeJson, Makes> {
    let scope = added.entry.scope.as_str().as_bytes();
    let scope: String = url::form_urlencoded::byte_serialize(scope).collect();
    let location = format!("/api/v1/scopes/{scope}");
    Reply::created(location, added.into())
}

body! {
    /// A change of a scope.
    struct ScopeChanges {
        /// What it is for: 1 to 200 characters.
        patch_required description("description"): ScopeDescription,
        /// The mark. `null` and `false` take it back, which is refused if the scope stays high-risk.
        patch high_risk("highRisk"): bool,
        /// Why it is changed: 1 to 200 characters, which stand in the event.
        optional reason("reason"): ChangeReason,
    }
}

/// A change of the scope that the path names.
pub(super) struct ScopeUpdate {
    scope: OneScope,
    patch: ScopePatch,
    reason: Option<ChangeReason>,
}

impl Input for ScopeUpdate {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (scope, changes) = (OneScope::of(fields), fields.action_body::<ScopeChanges>()?);
        let high_risk = match changes.high_risk {
            PatchMember::Absent => None,
            PatchMember::Null => Some(false),
            PatchMember::Value(mark) => Some(mark),
        };
        Some(Self {
            scope,
            patch: ScopePatch {
                description: changes.description.map(Into::into),
                high_risk,
            },
            reason: changes.reason,
        })
    }
}

/// Changes the description or the mark of a scope.
pub(super) async fn update_scope(
    state: Arc<State>,
    call: WriteCall<ScopeUpdate>,
) -> Result<Reply<ScopeJson>, Failure> {
    demand_reach_over_all(&call.caller)?;
    let act = call.act(&state, call.input.reason.as_ref());
    let (scope, patch) = (call.input.scope.known()?, call.input.patch.clone());
    let changed = state.scopes.update(scope, patch, call.request(&act));
    Ok(Reply::ok(changed.await?.into()))
}

/// The scope that the path names, and why it is deleted.
pub(super) struct ScopeDeletion {
    scope: OneScope,
    reason: Option<ChangeReason>,
}

impl Input for ScopeDeletion {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            scope: OneScope::of(fields),
            reason: fields.action_body::<ActionBody>()?.reason,
        })
    }
}

/// Deletes a scope that no agent holds.
pub(super) async fn delete_scope(
    state: Arc<State>,
    call: WriteCall<ScopeDeletion>,
) -> Result<Reply<ScopeJson>, Failure> {
    demand_reach_over_all(&call.caller)?;
    let act = call.act(&state, call.input.reason.as_ref());
    let scope = call.input.scope.known()?;
    let deleted = state.scopes.delete(scope, call.request(&act));
    Ok(Reply::ok(deleted.await?.into()))
}
