//! `GET /api/v1/keys` and `POST /api/v1/keys/rotate`: the signing keys, of which an admin of the first
//! organisation is told.

use std::sync::Arc;

use crate::api::keys::KeyJson;
use crate::domain::rejection::Rejection;
use crate::http::error::Failure;
use crate::http::state::State;
use crate::service::manage::view::KeyView;

use super::agent_changes::ActionBody;
use super::answer::Reply;
use super::authority::demand_reach_over_all;
use super::call::{Call, WriteCall};
use super::fields::{Fields, Input};
use super::page::{MAX_PAGE, Page};

/// All signing keys, the oldest first. There are never more than a few, so they have no pages.
pub(super) async fn list_keys(state: Arc<State>, call: Call<()>) -> Result<Page<KeyJson>, Failure> {
    demand_reach_over_all(&call.caller)?;
    let keys = state.keys.list().await?;
    let keys = keys.into_iter().map(KeyJson::from);
    Ok(Page::new(keys.collect(), MAX_PAGE, None))
}

/// Why a new key is made.
pub(super) struct KeyRotation(ActionBody);

impl Input for KeyRotation {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.action_body().map(Self)
    }
}

/// Announces a new key, which signs once it was published long enough. A dry run shows a key as it
/// would be announced now; no server ever has that key.
pub(super) async fn rotate_keys(
    state: Arc<State>,
    call: WriteCall<KeyRotation>,
) -> Result<Reply<KeyJson>, Failure> {
    demand_reach_over_all(&call.caller)?;
    let act = call.act(&state, call.input.0.reason.as_ref());
    let request = call.request(&act);
    request.demand(None).map_err(Rejection::from)?;
    let key = if request.is_dry_run() {
        state.keys.draft().await?
    } else {
        state.keys.rotate(&act).await?
    };
    Ok(Reply::ok(KeyView::from(&key).into()))
}
