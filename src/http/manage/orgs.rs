//! `/api/v1/orgs`: organizations. Only an admin of the first organization makes and changes them; an
//! admin of another one sees its own.

use std::sync::Arc;

use crate::api::orgs::OrgJson;
use crate::domain::act::ChangeReason;
use crate::domain::org::{OrgId, OrgName};
use crate::domain::rejection::RejectionCode;
use crate::domain::scope::Scope;
use crate::http::error::Failure;
use crate::http::state::State;
use crate::service::manage::ManageError;
use crate::service::manage::orgs::{NewOrg, OrgPatch, OrgView};

use super::agent_changes::ActionBody;
use super::answer::{Makes, Reply};
use super::authority::demand_reach_over_all;
use super::body::body;
use super::call::{Call, WriteCall};
use super::cursor::CursorScope;
use super::fields::{Fields, Input};
use super::keyed::KeyedReply;
use super::page::{Page, PageQuery};

/// A page of organizations; a position is the id of one.
pub(super) struct OrgsPage(PageQuery<OrgId>);

impl Input for OrgsPage {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let page = PageQuery::read(fields, "orgs", String::new(), OrgId::from_position);
        Some(Self(page))
    }
}

/// One page of organizations, in the order of their ids.
pub(super) async fn list_orgs(
    state: Arc<State>,
    call: Call<OrgsPage>,
) -> Result<Page<OrgJson>, Failure> {
    let OrgsPage(query) = &call.input;
    let (own, after) = (call.caller.limited_to(), query.after.as_ref());
    let page = state.orgs.list(own, after, query.limit).await?;
    let cursors = CursorScope::new(&state.cursors, &call.caller);
    let next = page
        .next
        .as_ref()
        .map(|id| query.cursor(cursors, id.as_str().as_bytes()));
    let orgs = page.orgs.into_iter().map(OrgJson::from).collect();
    Ok(Page::new(orgs, query.limit, next))
}

/// The organization that the path names. A text that no id can be is simply unknown.
pub(super) struct OneOrg(Option<OrgId>);

impl OneOrg {
    fn of(fields: &Fields<'_>) -> Self {
        let id = fields.path_part("id");
        Self(id.and_then(|text| OrgId::parse(text).ok()))
    }

    fn known(&self) -> Result<&OrgId, Failure> {
        let unknown = || ManageError::from(RejectionCode::OrgNotFound).into();
        self.0.as_ref().ok_or_else(unknown)
    }
}

impl Input for OneOrg {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self::of(fields))
    }
}

/// One organization.
pub(super) async fn get_org(
    state: Arc<State>,
    call: Call<OneOrg>,
) -> Result<Reply<OrgJson>, Failure> {
    let (org_id, own) = (call.input.known()?, call.caller.limited_to());
    Ok(shown(state.orgs.show(org_id, own).await?))
}

body! {
    /// An organization to be made.
    pub(super) struct OrgBody {
        /// Its id. Without it a UUID is drawn.
        optional org_id("orgId"): OrgId,
        /// Its name; need not be unique.
        required name("name"): OrgName,
        /// What its agents may be given, never an admin scope; every scope if it is left out.
        optional scopes("scopes"): Vec<Scope>,
        /// Why it is made: 1 to 200 characters, which stand in the event.
        optional reason("reason"): ChangeReason,
    }
}

impl Input for OrgBody {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.body()
    }
}

/// Makes an organization.
pub(super) async fn create_org(
    state: Arc<State>,
    call: WriteCall<OrgBody>,
) -> Result<KeyedReply<OrgJson, Makes>, Failure> {
    demand_reach_over_all(&call.caller)?;
    let (body, call) = call.split();
    let act = call.act(&state, body.reason.as_ref());
    let new = NewOrg {
        org_id: body.org_id,
        name: body.name,
        scopes: body.scopes,
    };
    let request = call.request(&act);
    let render = |made: &OrgView| created(&state, made.clone()).kept();
    let (state, render) = (&state, &render);
    call.once(state, &act, |keeper| async move {
        let made = state.orgs.create(new, request, keeper.with(render));
        Ok(created(state, made.await?))
    })
    .await
}

fn created(state: &State, made: OrgView) -> Reply<OrgJson, Makes> {
    let version = made.org.version;
    // Every route also answers below the issuer's path, whether or not a proxy strips it.
    let base = state.metadata.path_of_issuer().unwrap_or_default();
    let location = format!("{base}/api/v1/orgs/{}", made.org.org_id);
    Reply::created(location, made.into()).with_version(version)
}

body! {
    /// A change of an organization.
    struct OrgChanges {
        /// Its name.
        patch_required name("name"): OrgName,
        /// What its agents may be given, never an admin scope; `null` means every scope.
        patch scopes("scopes"): Vec<Scope>,
        /// Why it is changed: 1 to 200 characters, which stand in the event.
        optional reason("reason"): ChangeReason,
    }
}

/// A change of the organization that the path names.
pub(super) struct OrgUpdate {
    org: OneOrg,
    patch: OrgPatch,
    reason: Option<ChangeReason>,
}

impl Input for OrgUpdate {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (org, changes) = (OneOrg::of(fields), fields.body::<OrgChanges>()?);
        Some(Self {
            org,
            patch: OrgPatch {
                name: changes.name,
                scopes: changes.scopes.nullable(),
            },
            reason: changes.reason,
        })
    }
}

/// Changes the name of an organization, or what its agents may be given.
pub(super) async fn patch_org(
    state: Arc<State>,
    call: WriteCall<OrgUpdate>,
) -> Result<Reply<OrgJson>, Failure> {
    demand_reach_over_all(&call.caller)?;
    let act = call.act(&state, call.input.reason.as_ref());
    let org_id = known(&call, &call.input.org)?;
    let changed = state
        .orgs
        .update(org_id, &call.input.patch, call.request(&act));
    Ok(shown(changed.await?))
}

/// An action on the organization that the path names.
pub(super) struct OrgAction {
    org: OneOrg,
    reason: Option<ChangeReason>,
}

impl Input for OrgAction {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            org: OneOrg::of(fields),
            reason: fields.action_body::<ActionBody>()?.reason,
        })
    }
}

/// Stops an organization and kills the live tokens of its agents.
pub(super) async fn suspend_org(
    state: Arc<State>,
    call: WriteCall<OrgAction>,
) -> Result<Reply<OrgJson>, Failure> {
    demand_reach_over_all(&call.caller)?;
    let act = call.act(&state, call.input.reason.as_ref());
    let org_id = known(&call, &call.input.org)?;
    let changed = state.orgs.suspend(org_id, call.request(&act)).await?;
    after_change(&state, changed).await
}

/// Lets a suspended organization work again.
pub(super) async fn reactivate_org(
    state: Arc<State>,
    call: WriteCall<OrgAction>,
) -> Result<Reply<OrgJson>, Failure> {
    demand_reach_over_all(&call.caller)?;
    let act = call.act(&state, call.input.reason.as_ref());
    let org_id = known(&call, &call.input.org)?;
    let changed = state.orgs.reactivate(org_id, call.request(&act)).await?;
    after_change(&state, changed).await
}

/// Kills the live tokens of an organization's agents and leaves it active.
pub(super) async fn revoke_org_tokens(
    state: Arc<State>,
    call: WriteCall<OrgAction>,
) -> Result<Reply<OrgJson>, Failure> {
    demand_reach_over_all(&call.caller)?;
    let act = call.act(&state, call.input.reason.as_ref());
    let org_id = known(&call, &call.input.org)?;
    let changed = state.orgs.revoke_tokens(org_id, call.request(&act)).await?;
    after_change(&state, changed).await
}

/// The organization after its change. If tokens were killed, this process's revocation list has the
/// kill before the response is sent (contract D7).
async fn after_change(state: &State, view: OrgView) -> Result<Reply<OrgJson>, Failure> {
    let (version, is_kill) = (view.org.version, view.tokens_killed);
    let mut org = OrgJson::from(view);
    if is_kill {
        org.revocation_version = Some(state.list.read_own_kill().await?);
    }
    Ok(Reply::ok(org).with_version(version))
}

/// The organization that a request changes. A request that demands a version of what cannot exist is
/// told so first (RFC 9110 §13.1.1).
fn known<'c, I>(call: &WriteCall<I>, org: &'c OneOrg) -> Result<&'c OrgId, Failure> {
    if org.0.is_none() {
        call.precondition.demand(None).map_err(ManageError::from)?;
    }
    org.known()
}

fn shown(view: OrgView) -> Reply<OrgJson> {
    let version = view.org.version;
    Reply::ok(view.into()).with_version(version)
}
