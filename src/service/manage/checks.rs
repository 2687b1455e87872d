//! What the operators' operations share: checks of the input, and what an outcome means.

use std::sync::Arc;

use crate::domain::asked::MAX_SCOPE_LIST_BYTES;
use crate::domain::catalogue::Catalogue;
use crate::domain::org::Org;
use crate::domain::rejection::{FieldError, Rejection, RejectionCode};
use crate::domain::scope::{Scope, join};
use crate::service;
use crate::store::Outcome;

/// What is said of a partner that does not serve the agent. What is out of reach does not exist.
pub(super) const NO_PARTNER: &str = "no partner has this id";

/// An error for each scope that the catalogue lacks.
pub(super) fn unknown_scopes(scopes: &[Scope], catalogue: &Catalogue) -> Vec<FieldError> {
    let unknown = scopes
        .iter()
        .enumerate()
        .filter(|(_, scope)| !catalogue.contains(scope));
    let error = |(place, scope): (usize, &Scope)| {
        let reason = format!("scope {scope} is not in the catalogue: add it first");
        FieldError::new(format!("/scopes/{place}"), reason)
    };
    unknown.map(error).collect()
}

/// The errors of an agent's scopes. Each scope must be in the catalogue before an agent may have
/// it.
pub(super) fn scope_errors(scopes: &[Scope], catalogue: &Catalogue) -> Vec<FieldError> {
    let mut errors = unknown_scopes(scopes, catalogue);
    // If the scopes did not fit into one token, a request without a scope would fail (contract D3).
    if join(scopes).len() >= MAX_SCOPE_LIST_BYTES {
        let rule = "an agent's scopes, joined by spaces, are shorter than 3072 bytes";
        errors.push(FieldError::new("/scopes", rule));
    }
    errors
}

/// The errors of scopes that an agent of this organization would be given.
pub(super) fn org_errors(scopes: &[Scope], org: &Org) -> Vec<FieldError> {
    let forbidden = org.forbidden(scopes).into_iter();
    let rule = "the organization does not allow this scope";
    forbidden
        .map(|place| FieldError::new(format!("/scopes/{place}"), rule))
        .collect()
}

/// Rejects the input if there are any errors.
pub(super) fn demand_none(errors: Vec<FieldError>) -> Result<(), Rejection> {
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Rejection::invalid(errors))
    }
}

/// Whether a change of state was accepted: it was made, or the state was so already.
pub(super) fn accepted(outcome: Outcome) -> Result<(), Rejection> {
    match outcome {
        Outcome::Applied | Outcome::Unchanged => Ok(()),
        Outcome::NotFound => Err(RejectionCode::AgentNotFound.into()),
        // Only a decommissioned agent refuses a change of state or of its secrets.
        Outcome::Conflict => Err(RejectionCode::AgentDecommissioned.into()),
        Outcome::Clash => Err(RejectionCode::IdOfUser.into()),
        Outcome::TooMany => Err(RejectionCode::TooManyCredentials.into()),
        Outcome::PartnerGone => Err(Rejection::of_field("/partnerId", NO_PARTNER)),
        Outcome::TargetChanged | Outcome::CallerChanged => {
            Err(RejectionCode::AgentKeptChanging.into())
        }
        // Whoever sent the request looks for the reply then.
        Outcome::Answered => Err(RejectionCode::IdempotencyInProgress.into()),
    }
}

pub(super) fn fault(why: &str) -> service::Error {
    service::Error::Fault(Arc::new(service::Cause(why.to_owned())))
}

pub(super) fn no_outcome() -> service::Error {
    fault("the store gave no outcome")
}
