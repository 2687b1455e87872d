//! Actions on partners: `POST /api/v1/partners/{id}/suspend` and `/reactivate`, and
//! `DELETE /api/v1/partners/{id}`.

use std::sync::Arc;

use crate::api::partners::PartnerJson;
use crate::domain::act::ChangeReason;
use crate::domain::agent::LiveTokens;
use crate::http::error::Failure;
use crate::http::state::State;

use super::agent_changes::ActionBody;
use super::answer::{Ends, Reply};
use super::call::WriteCall;
use super::fields::{Fields, Input};
use super::partners::{OnePartner, known, shown};

/// An action on the partner that the path names.
pub(super) struct PartnerAction {
    partner: OnePartner,
    reason: Option<ChangeReason>,
}

impl Input for PartnerAction {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            partner: OnePartner::of(fields),
            reason: fields.action_body::<ActionBody>()?.reason,
        })
    }
}

/// The suspension of the partner that the path names.
pub(super) struct PartnerSuspension {
    action: PartnerAction,
    tokens: LiveTokens,
}

impl Input for PartnerSuspension {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let tokens = if fields.flag("revokeTokens") {
            LiveTokens::Kill
        } else {
            LiveTokens::Keep
        };
        let action = PartnerAction::read(fields)?;
        Some(Self { action, tokens })
    }
}

/// Makes a partner's tokens prove nothing, and kills the tokens of its agents if that is asked.
pub(super) async fn suspend_partner(
    state: Arc<State>,
    call: WriteCall<PartnerSuspension>,
) -> Result<Reply<PartnerJson>, Failure> {
    let action = &call.input.action;
    let act = call.act(&state, action.reason.as_ref());
    let partner_id = known(&call, &action.partner)?;
    let request = call.request(&act);
    if call.input.tokens == LiveTokens::Keep {
        return Ok(shown(state.partners.suspend(partner_id, request).await?));
    }
    let (agents, partners) = (&state.agents, &state.partners);
    let stopped = agents.stop_partner(partners, partner_id, request).await?;
    let version = stopped.partner.version;
    let mut partner = PartnerJson::from(stopped.partner);
    if stopped.tokens_killed {
        partner.revocation_version = Some(state.list.read_own_kill().await?);
    }
    Ok(Reply::ok(partner).with_version(version))
}

/// Lets a suspended partner's tokens prove agents again.
pub(super) async fn reactivate_partner(
    state: Arc<State>,
    call: WriteCall<PartnerAction>,
) -> Result<Reply<PartnerJson>, Failure> {
    let act = call.act(&state, call.input.reason.as_ref());
    let partner_id = known(&call, &call.input.partner)?;
    let changed = state.partners.reactivate(partner_id, call.request(&act));
    Ok(shown(changed.await?))
}

/// Deletes a partner.
pub(super) async fn delete_partner(
    state: Arc<State>,
    call: WriteCall<PartnerAction>,
) -> Result<Reply<(), Ends>, Failure> {
    let act = call.act(&state, call.input.reason.as_ref());
    let partner_id = known(&call, &call.input.partner)?;
    state
        .partners
        .delete(partner_id, call.request(&act))
        .await?;
    Ok(Reply::nothing())
}
