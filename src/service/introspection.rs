//! Introspection (RFC 7662): who may ask about a token, and what the caller is told.
//!
//! Owns the scope that the caller needs. Must not know how the caller's proof arrived, or how the
//! response looks.

use std::sync::Arc;

use crate::domain::agent::Terms;
use crate::domain::context::RequestContext;
use crate::domain::id::AgentId;
use crate::domain::org::{OrgId, Reach};
use crate::domain::refusal::Refusal;
use crate::domain::scope::{Scope, is_admin};
use crate::domain::scope_pattern::ScopePattern;

use super::error::Error;
use super::limits::Limits;
use super::tokens::{Genuine, Tokens};

/// The scope that a caller needs.
const SCOPE: &str = "tokens:read";

/// Who asks about a token.
pub enum Introspector<'a> {
    /// An active agent that authenticated with its secret.
    Client {
        /// The agent.
        agent_id: &'a AgentId,
        /// Its organisation.
        org_id: &'a OrgId,
        /// Its terms.
        terms: &'a Terms,
    },
    /// The holder of this Bearer token, which has not been verified yet.
    Bearer(&'a str),
}

/// Answers questions about tokens.
pub struct Introspection {
    tokens: Arc<Tokens>,
    limits: Arc<Limits>,
    /// Whether a client's secret opens introspection.
    by_secret: bool,
}

impl Introspection {
    /// `tokens` verifies the tokens of this store. A client's secret opens no scope of `secretless`.
    pub fn new(tokens: Arc<Tokens>, limits: Arc<Limits>, secretless: &[ScopePattern]) -> Self {
        let is_closed = |scope: Scope| secretless.iter().any(|one| one.covers(&scope));
        Self {
            tokens,
            limits,
            by_secret: !Scope::parse(SCOPE).is_ok_and(is_closed),
        }
    }

    /// The token, if it is alive and within the caller's reach. Notes in `context` who holds the Bearer token, before anything is
    /// refused to that holder.
    pub async fn introspect(
        &self,
        asks: &Introspector<'_>,
        token: &str,
        context: &RequestContext,
    ) -> Result<Option<Arc<Genuine>>, Error> {
        match asks {
            Introspector::Client {
                agent_id,
                org_id,
                terms,
            } => {
                self.limits.charge_introspection(agent_id)?;
                let mut held = terms.scopes.iter().map(Scope::as_str);
                demand_scope(self.by_secret && held.clone().any(|scope| scope == SCOPE))?;
                let reach = Reach::of(org_id.as_str(), held.any(is_admin));
                self.tokens.live(token, reach, org_id).await
            }
            Introspector::Bearer(bearer) => {
                let (caller, found) = self.tokens.caller_and_live(bearer, token).await?;
                context.prove(caller.agent_id());
                demand_scope(caller.may(SCOPE))?;
                self.limits.charge_introspection(caller.agent_id())?;
                Ok(found)
            }
        }
    }
}

fn demand_scope(has_it: bool) -> Result<(), Refusal> {
    if has_it {
        Ok(())
    } else {
        Err(Refusal::InsufficientScope(SCOPE))
    }
}
