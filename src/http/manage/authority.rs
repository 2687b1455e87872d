//! Who may use which route of the management API: a caller with a live Bearer token that was issued
//! for this server and has the scope that the route names.
//!
//! Must not know what the route does.

use crate::domain::org::Reach;
use crate::domain::refusal::Refusal;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::http::authorization::bearer;
use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::http::route::Needs;
use crate::http::state::State;
use crate::service::tokens::Caller;

/// Rejects a caller that is no admin of the first organisation.
pub(super) fn demand_reach_over_all(caller: &Caller) -> Result<(), Rejection> {
    match caller.reach() {
        Reach::All => Ok(()),
        Reach::Own => Err(RejectionCode::Forbidden.into()),
    }
}

/// The caller, if the route is open to that caller.
pub(super) async fn admit(
    needs: Needs,
    state: &State,
    incoming: &Incoming,
) -> Result<Caller, Failure> {
    let caller = state
        .tokens
        .caller(&bearer(&incoming.headers, Refusal::InvalidToken)?)
        .await?;
    incoming.context.prove(caller.agent_id());
    match needs {
        Needs::AnyToken => {}
        Needs::Scope(scope) => caller.require(scope)?,
        Needs::ScopeOrOwn(scope) => {
            if incoming.path_part("id") != Some(caller.agent_id().as_str()) {
                caller.require(scope)?;
            }
        }
    }
    Ok(caller)
}
