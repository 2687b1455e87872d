//! What of a request for a token is allowed: its scopes and its audiences. Must not know how the
//! token is counted, or how long it lives.

use super::agent::{Agent, Audience};
use super::catalogue::Catalogue;
use super::refusal::Refusal;
use super::scope::Scope;

/// The longest joined scope list that a token carries, in bytes. It keeps every token far below the
/// length at which this server would refuse to read the token back.
pub(crate) const MAX_SCOPE_LIST_BYTES: usize = 3_072;

/// The longest list of audiences that a token carries, in bytes.
const MAX_AUDIENCE_BYTES: usize = 1_024;

/// The scopes that a token gets (contract D3, D4). `opens` says which the agent's proof opens.
pub(super) fn decide_scopes(
    agent: &Agent,
    catalogue: &Catalogue,
    opens: impl Fn(&Scope) -> bool,
    asked: Option<&[Scope]>,
) -> Result<Vec<Scope>, Refusal> {
    match asked {
        // Contract D3: all scopes that this agent is allowed, in the catalogue's order.
        None | Some([]) => {
            let mut all = catalogue.in_order(&agent.profile.terms.scopes);
            all.retain(opens);
            if all.is_empty() {
                return Err(Refusal::NoScopes);
            }
            fits(all)
        }
        // Contract D4: one scope that is not allowed refuses the whole request.
        Some(asked) => {
            let held = &agent.profile.terms.scopes;
            let allowed = |s: &Scope| held.contains(s) && catalogue.contains(s) && opens(s);
            if asked.iter().all(allowed) {
                fits(asked.to_vec())
            } else {
                Err(Refusal::ScopeNotAllowed)
            }
        }
    }
}

/// Refuses more scopes than a token carries. The list is never cut short (contract D4).
fn fits(scopes: Vec<Scope>) -> Result<Vec<Scope>, Refusal> {
    let length: usize = scopes.iter().map(|s| s.as_str().len() + 1).sum();
    if length <= MAX_SCOPE_LIST_BYTES {
        Ok(scopes)
    } else {
        Err(Refusal::MalformedScope)
    }
}

/// The `aud` claim that a token gets.
pub(super) fn decide_audience(
    agent: &Agent,
    default: &Audience,
    asked: &[Audience],
) -> Result<Vec<Audience>, Refusal> {
    let list = &agent.profile.terms.audiences;
    if asked.is_empty() {
        // The agent's list binds every token, so also the token of a client that names no audience.
        let first = list
            .first()
            .filter(|_| !list.contains(default))
            .unwrap_or(default);
        return Ok(vec![first.clone()]);
    }
    let length: usize = asked.iter().map(|a| a.as_str().len()).sum();
    if length <= MAX_AUDIENCE_BYTES && (list.is_empty() || asked.iter().all(|a| list.contains(a))) {
        Ok(asked.to_vec())
    } else {
        Err(Refusal::InvalidTarget)
    }
}
