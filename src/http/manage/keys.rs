//! `GET /api/v1/keys` and `POST /api/v1/keys/rotate`: the signing keys, of which an admin of the first
//! organisation is told.

use std::sync::Arc;

use crate::api::keys::KeyJson;
use crate::domain::act::ChangeReason;
use crate::domain::rejection::Rejection;
use crate::http::error::Failure;
use crate::http::state::State;
use crate::service::key_rotation::RotationMode;
use crate::service::manage::view::KeyView;

use super::answer::{Replaces, Reply};
use super::authority::demand_reach_over_all;
use super::body::body;
use super::call::{Call, WriteCall};
use super::fields::{Fields, Input};
use super::keyed::KeyedReply;
use super::page::{MAX_PAGE, Page};

/// All signing keys, the oldest first. There are never more than a few, so they have no pages.
pub(super) async fn list_keys(state: Arc<State>, call: Call<()>) -> Result<Page<KeyJson>, Failure> {
    demand_reach_over_all(&call.caller)?;
    let keys = state.keys.list().await?;
    let keys = keys.into_iter().map(KeyJson::from);
    Ok(Page::new(keys.collect(), MAX_PAGE, None))
}

body! {
    /// How the keys are rotated.
    struct KeyRotationBody {
        /// Whether the new key signs at once. If a key is announced, that one does.
        optional now("now"): bool,
        /// Whether the keys that have signed so far are gone at once and their tokens dead. Needs `now`.
        optional revoke("revoke"): bool,
        /// Why it is done: 1 to 200 characters, which stand in the event.
        optional reason("reason"): ChangeReason,
    }
}

/// How the keys are rotated, and why.
pub(super) struct KeyRotation {
    rotation: RotationMode,
    reason: Option<ChangeReason>,
}

impl Input for KeyRotation {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let body: KeyRotationBody = fields.action_body()?;
        let rotation = RotationMode::of(
            body.now.unwrap_or_default(),
            body.revoke.unwrap_or_default(),
        );
        if rotation.is_none() {
            fields.note("/revoke", RotationMode::RULE);
        }
        Some(Self {
            rotation: rotation?,
            reason: body.reason,
        })
    }
}

/// Announces a new key, which signs once it was published long enough, or replaces the key that signs
/// at once. A dry run shows the key as it would be now; if it is a new one, no server ever has it.
pub(super) async fn rotate_keys(
    state: Arc<State>,
    call: WriteCall<KeyRotation>,
) -> Result<KeyedReply<KeyJson, Replaces>, Failure> {
    demand_reach_over_all(&call.caller)?;
    let (input, call) = call.split();
    let act = call.act(&state, input.reason.as_ref());
    let request = call.request(&act);
    request.demand(None).map_err(Rejection::from)?;
    let (rotation, is_dry_run) = (input.rotation, request.is_dry_run());
    let render = |key: &KeyView| shown(key.clone()).kept();
    let (keys, act, render) = (&state.keys, &act, &render);
    let reply = call.once(&state, act, |keeper| async move {
        if is_dry_run {
            let key = keys.draft(rotation).await?;
            return Ok(shown(KeyView::from(&key)));
        }
        let key = keys.commit_rotation(rotation, act, keeper.with(render));
        Ok(shown(KeyView::from(&key.await?)))
    });
    let reply = reply.await?;
    if !is_dry_run {
        // Whoever asks again may do so because the first answer, which had to wait, never came.
        if rotation == RotationMode::NowRevoking {
            // Those who wait for news of the list need not wait for the leases. If the list cannot be
            // read now, it soon will be; the keys are revoked in any case.
            let _ = state.list.read_own_kill().await;
        }
        state.keys.outlast_leases(rotation).await;
    }
    Ok(reply)
}

fn shown(key: KeyView) -> Reply<KeyJson, Replaces> {
    Reply::ok(key.into())
}
