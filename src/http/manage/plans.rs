//! `GET /api/v1/plans`.

use std::sync::Arc;

use crate::api::plans::PlanJson;
use crate::http::error::Failure;
use crate::http::state::State;

use super::call::Call;
use super::page::{MAX_PAGE, Page};

/// All plans in the order of their names. They have no pages.
pub(super) async fn list_plans(
    state: Arc<State>,
    call: Call<()>,
) -> Result<Page<PlanJson>, Failure> {
    let plans = state.agents.plans(call.caller.limited_to()).await?;
    let plans = plans.into_iter().map(PlanJson::from).collect();
    Ok(Page::new(plans, MAX_PAGE, None))
}
