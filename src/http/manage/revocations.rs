//! `GET /api/v1/revocations/convergence` and `DELETE /api/v1/revocations/verifiers/{verifier}`: which
//! verifiers already enforce a version of the revocation list.

use std::sync::Arc;

use crate::api::verifiers::{ConvergenceJson, VerifierJson};
use crate::domain::act::ChangeReason;
use crate::domain::rejection::{FieldError, Rejection, RejectionCode};
use crate::domain::verifier::VerifierId;
use crate::http::error::Failure;
use crate::http::state::State;
use crate::service::manage::ManageError;

use super::agent_changes::ActionBody;
use super::answer::Reply;
use super::authority::demand_reach_over_all;
use super::call::{Call, WriteCall};
use super::fields::{Fields, Input};

/// The version that is asked about. `None` for the present one.
pub(super) struct ConvergenceQuery(Option<i64>);

impl Input for ConvergenceQuery {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let version = fields.query("version", |text| {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            let version = text.parse().ok().filter(|_| is_number);
            version.ok_or("must be a version of the revocation list")
        });
        Some(Self(version))
    }
}

/// Which of the known verifiers enforce the version.
pub(super) async fn get_convergence(
    state: Arc<State>,
    call: Call<ConvergenceQuery>,
) -> Result<ConvergenceJson, Failure> {
    demand_reach_over_all(&call.caller)?;
    let version = call.input.0.unwrap_or_else(|| state.list.version());
    if version > state.list.version() {
        // Another process may have given it just now.
        state.list.await_look().await?;
    }
    if version > state.list.version() {
        let error = FieldError::new("version", "is no version of the revocation list yet");
        return Err(Rejection::invalid(vec![error]).into());
    }
    Ok(state.verifiers.convergence(version).await?.into())
}

/// The verifier that the path names, and why it is removed.
pub(super) struct VerifierRemoval {
    id: Option<VerifierId>,
    reason: Option<ChangeReason>,
}

impl Input for VerifierRemoval {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let id = fields.path_part("verifier").and_then(VerifierId::parse);
        let reason = fields.action_body::<ActionBody>()?.reason;
        Some(Self { id, reason })
    }
}

/// Forgets a verifier that does not run any more.
pub(super) async fn remove_verifier(
    state: Arc<State>,
    call: WriteCall<VerifierRemoval>,
) -> Result<Reply<VerifierJson>, Failure> {
    demand_reach_over_all(&call.caller)?;
    let act = call.act(&state, call.input.reason.as_ref());
    let unknown = || ManageError::from(RejectionCode::VerifierNotFound);
    let id = call.input.id.as_ref().ok_or_else(unknown)?;
    let removed = state.verifiers.remove(id, call.request(&act)).await?;
    Ok(Reply::ok((&removed).into()))
}
