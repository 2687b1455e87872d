//! `GET /api/v1/keys`: the signing keys.

use std::sync::Arc;

use crate::api::keys::KeyJson;
use crate::http::error::Failure;
use crate::http::state::State;

use super::endpoint::Call;
use super::page::{MAX_PAGE, Page};

/// All signing keys, the oldest first. There are never more than a few, so they have no pages.
pub(super) async fn list_keys(
    state: Arc<State>,
    _call: Call<()>,
) -> Result<Page<KeyJson>, Failure> {
    let keys = state.keys.list().await?;
    let keys = keys.into_iter().map(KeyJson::from);
    Ok(Page::new(keys.collect(), MAX_PAGE, None))
}
