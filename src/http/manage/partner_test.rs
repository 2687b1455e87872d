//! `POST /api/v1/partners/{id}/test`: what a partner's token would open, and which check fails.

use std::sync::Arc;

use crate::api::partners::ExaminedTokenJson;
use crate::domain::id::AgentId;
use crate::http::error::Failure;
use crate::http::state::State;

use super::answer::Reply;
use super::body::body;
use super::call::WriteCall;
use super::fields::{Fields, Input};
use super::partners::OnePartner;

body! {
    /// A token of a partner, and for whom it is to be tried.
    struct PartnerTestBody {
        /// The token, as a client would send it in `client_assertion`.
        required assertion("assertion"): String,
        /// The agent, as a client would name it in `client_id`.
        required agent_id("agentId"): AgentId,
    }
}

/// A trial of a token of the partner that the path names.
pub(super) struct PartnerTrial {
    partner: OnePartner,
    body: PartnerTestBody,
}

impl Input for PartnerTrial {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (partner, body) = (OnePartner::of(fields), fields.body()?);
        Some(Self { partner, body })
    }
}

/// Says what a token would open. Issues nothing, and changes nothing.
pub(super) async fn test_partner(
    state: Arc<State>,
    call: WriteCall<PartnerTrial>,
) -> Result<Reply<ExaminedTokenJson>, Failure> {
    let PartnerTrial { partner, body } = &call.input;
    let (partner_id, own) = (partner.known()?, call.caller.limited_to());
    let partner = state.partners.show(partner_id, own).await?;
    let tokens = state.authenticator.assertions().partners();
    let caller = Some(&call.caller);
    let examined = tokens
        .examine(&partner, &body.agent_id, &body.assertion, caller)
        .await?;
    Ok(Reply::ok(examined.into()))
}
