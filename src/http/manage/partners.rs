//! `/api/v1/partners`: platforms whose signed tokens prove who an agent is. An admin of the first
//! organization sees and changes all of them; an admin of another one those of its own.

use std::sync::Arc;

use crate::api::partners::PartnerJson;
use crate::domain::act::ChangeReason;
use crate::domain::org::OrgId;
use crate::domain::partner::draft::{PartnerDraft, PartnerPatch};
use crate::domain::partner::preset::PartnerPreset;
use crate::domain::partner::record::Partner;
use crate::domain::partner::source::{JwksUri, PartnerIssuer};
use crate::domain::partner::terms::{
    MaxAge, PartnerAlgorithms, PartnerAudiences, PartnerId, PartnerName, RequiredClaims,
};
use crate::domain::rejection::RejectionCode;
use crate::http::error::Failure;
use crate::http::state::State;
use crate::service::manage::ManageError;
use crate::service::manage::client_keys::NewKeys;

use super::answer::{Makes, Reply};
use super::body::body;
use super::call::{Call, WriteCall};
use super::cursor::CursorScope;
use super::fields::{Fields, Input};
use super::keyed::KeyedReply;
use super::page::{Page, PageQuery};

/// A page of partners; a position is the id of one.
pub(super) struct PartnersPage(PageQuery<PartnerId>);

impl Input for PartnersPage {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let position = PartnerId::from_position;
        let page = PageQuery::read(fields, "partners", String::new(), position);
        Some(Self(page))
    }
}

/// One page of partners, in the order of their ids.
pub(super) async fn list_partners(
    state: Arc<State>,
    call: Call<PartnersPage>,
) -> Result<Page<PartnerJson>, Failure> {
    let PartnersPage(query) = &call.input;
    let own = call.caller.limited_to();
    let page = state.partners.list(own, query.after, query.limit).await?;
    let cursors = CursorScope::new(&state.cursors, &call.caller);
    let next = page.next.map(|id| query.cursor(cursors, id.0.as_bytes()));
    let partners = page.partners.into_iter().map(PartnerJson::from).collect();
    Ok(Page::new(partners, query.limit, next))
}

/// The partner that the path names. A text that no id can be is simply unknown.
pub(super) struct OnePartner(Option<PartnerId>);

impl OnePartner {
    pub(super) fn of(fields: &Fields<'_>) -> Self {
        let id = fields.path_part("id");
        Self(id.and_then(|text| PartnerId::parse(text).ok()))
    }

    pub(super) fn known(&self) -> Result<PartnerId, Failure> {
        let unknown = || ManageError::from(RejectionCode::PartnerNotFound).into();
        self.0.ok_or_else(unknown)
    }
}

impl Input for OnePartner {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self::of(fields))
    }
}

/// One partner.
pub(super) async fn get_partner(
    state: Arc<State>,
    call: Call<OnePartner>,
) -> Result<Reply<PartnerJson>, Failure> {
    let (partner_id, own) = (call.input.known()?, call.caller.limited_to());
    Ok(shown(state.partners.show(partner_id, own).await?))
}

body! {
    /// A partner to be made.
    pub(super) struct PartnerBody {
        /// Its name; need not be unique.
        required name("name"): PartnerName,
        /// The `iss` of its tokens. Only a preset may know it.
        optional issuer("issuer"): PartnerIssuer,
        /// Where its keys are, if `jwks` does not hold them.
        optional jwks_uri("jwksUri"): JwksUri,
        /// Its public keys, if they are not fetched.
        optional jwks("jwks"): NewKeys,
        /// The audiences of which a token has one; the issuer of this server if it is left out.
        optional audiences("audiences"): PartnerAudiences,
        /// The claims that each credential pins, as JSON Pointers. Only a preset may know them.
        optional required_claims("requiredClaims"): RequiredClaims,
        /// The algorithms of its tokens; every one that its keys have if it is left out.
        optional algorithms("algorithms"): PartnerAlgorithms,
        /// How many seconds old a token may be: 3600 if it is left out, and 600 with the preset `github`.
        optional max_age("maxAgeSeconds"): MaxAge,
        /// What fills what is left out.
        optional preset("preset"): PartnerPreset,
        /// Its organization, which only an admin of `default` chooses; the caller's if it is left out.
        optional org_id("orgId"): OrgId,
        /// Why it is made: 1 to 200 characters, which stand in the event.
        optional reason("reason"): ChangeReason,
    }
}

impl Input for PartnerBody {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.body()
    }
}

/// Makes a partner.
pub(super) async fn create_partner(
    state: Arc<State>,
    call: WriteCall<PartnerBody>,
) -> Result<KeyedReply<PartnerJson, Makes>, Failure> {
    let (body, call) = call.split();
    let act = call.act(&state, body.reason.as_ref());
    let draft = PartnerDraft {
        name: body.name,
        issuer: body.issuer,
        jwks_uri: body.jwks_uri,
        jwks: body.jwks.map(Into::into),
        audiences: body.audiences,
        required_claims: body.required_claims,
        algorithms: body.algorithms,
        max_age: body.max_age,
        preset: body.preset,
    };
    let request = call.request(&act);
    let render = |made: &Partner| created(&state, made.clone()).kept();
    let (state, render, org_id) = (&state, &render, body.org_id);
    call.once(state, &act, |keeper| async move {
        let made = state
            .partners
            .create(org_id, draft, request, keeper.with(render));
        Ok(created(state, made.await?))
    })
    .await
}

fn created(state: &State, made: Partner) -> Reply<PartnerJson, Makes> {
    let version = made.version;
    // Every route also answers below the issuer's path, whether or not a proxy strips it.
    let base = state.metadata.path_of_issuer().unwrap_or_default();
    let location = format!("{base}/api/v1/partners/{}", made.partner_id);
    Reply::created(location, made.into()).with_version(version)
}

body! {
    /// A change of a partner. `null` makes a member what it would be without it.
    struct PartnerChanges {
        /// Its name.
        patch_required name("name"): PartnerName,
        /// Where its keys are. It takes the place of `jwks`.
        patch jwks_uri("jwksUri"): JwksUri,
        /// Its public keys. They take the place of `jwksUri`.
        patch jwks("jwks"): NewKeys,
        /// The audiences of which a token has one; `null` means the issuer of this server.
        patch audiences("audiences"): PartnerAudiences,
        /// The claims that each credential pins, as JSON Pointers.
        patch required_claims("requiredClaims"): RequiredClaims,
        /// The algorithms of its tokens.
        patch algorithms("algorithms"): PartnerAlgorithms,
        /// How many seconds old a token may be.
        patch max_age("maxAgeSeconds"): MaxAge,
        /// Why it is changed: 1 to 200 characters, which stand in the event.
        optional reason("reason"): ChangeReason,
    }
}

/// A change of the partner that the path names.
pub(super) struct PartnerUpdate {
    partner: OnePartner,
    patch: PartnerPatch,
    reason: Option<ChangeReason>,
}

impl Input for PartnerUpdate {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (partner, changes) = (OnePartner::of(fields), fields.body::<PartnerChanges>()?);
        let jwks = changes.jwks.nullable();
        Some(Self {
            partner,
            patch: PartnerPatch {
                name: changes.name,
                jwks_uri: changes.jwks_uri.nullable(),
                jwks: jwks.map(|keys| keys.map(Into::into)),
                audiences: changes.audiences.nullable(),
                required_claims: changes.required_claims.nullable(),
                algorithms: changes.algorithms.nullable(),
                max_age: changes.max_age.nullable(),
            },
            reason: changes.reason,
        })
    }
}

/// Changes what is decided about a partner.
pub(super) async fn patch_partner(
    state: Arc<State>,
    call: WriteCall<PartnerUpdate>,
) -> Result<Reply<PartnerJson>, Failure> {
    let act = call.act(&state, call.input.reason.as_ref());
    let partner_id = known(&call, &call.input.partner)?;
    let (patch, request) = (&call.input.patch, call.request(&act));
    Ok(shown(
        state.partners.update(partner_id, patch, request).await?,
    ))
}

/// The partner that a request changes. A request that demands a version of what cannot exist is told
/// so first (RFC 9110 §13.1.1).
pub(super) fn known<I>(call: &WriteCall<I>, partner: &OnePartner) -> Result<PartnerId, Failure> {
    if partner.0.is_none() {
        call.precondition.demand(None).map_err(ManageError::from)?;
    }
    partner.known()
}

/// The reply that shows a partner.
pub(super) fn shown(partner: Partner) -> Reply<PartnerJson> {
    let version = partner.version;
    Reply::ok(partner.into()).with_version(version)
}
