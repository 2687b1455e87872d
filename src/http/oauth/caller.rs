//! Who calls introspection and revocation: the holder of a Bearer token, or a client with its secret.
//!
//! Owns what both endpoints ask of a request before they look at its token. Must not know what they do.

use std::sync::Arc;

use crate::domain::agent::Terms;
use crate::domain::id::AgentId;
use crate::domain::refusal::Refusal;
use crate::service::look::Look;

use crate::http::authorization::{Authorization, authorization, client_credentials};
use crate::http::error::Failure;
use crate::http::incoming::{CREDENTIALS, Incoming};
use crate::http::parameters::Parameters;
use crate::http::state::State;

/// What callers may send, besides what proves a client.
pub(super) const KNOWN: [&str; 3] = ["token", "token_type_hint", "access_token"];

/// A caller's proof, and the token that it asks about.
pub(super) struct TokenQuestion<'f> {
    /// The `token` parameter.
    pub token: &'f str,
    authorization: Authorization,
}

/// How a caller proved itself.
pub(super) enum CallerProof<'c> {
    /// With a Bearer token, not looked at yet.
    Bearer(&'c str),
    /// With its secret: an active agent, and what it is allowed.
    Client(AgentId, Arc<Terms>),
}

impl<'f> TokenQuestion<'f> {
    /// Reads the parameters, before anybody is authenticated (contract D6).
    pub(super) fn read(incoming: &Incoming, form: &'f Parameters<'_>) -> Result<Self, Failure> {
        let authorization = authorization(&incoming.headers)?;
        let token = form
            .one("token")?
            .ok_or(Refusal::MissingParameter("token"))?;
        // RFC 7009 §2.1, RFC 7662 §2.1: advice that nobody needs, but it must be well-formed.
        form.one("token_type_hint")?;
        form.one("access_token")?;
        Ok(Self {
            token,
            authorization,
        })
    }

    /// Authenticates the caller. No counting statement compares a version here, so a client's row is
    /// read fresh.
    pub(super) async fn prove(
        &self,
        state: &State,
        incoming: &Incoming,
        form: &Parameters<'_>,
    ) -> Result<CallerProof<'_>, Failure> {
        if let Authorization::Bearer(bearer) = &self.authorization {
            // RFC 6749 §2.3: a Bearer token beside a secret or another token is two methods.
            if form.one("client_secret")?.is_some() || form.one("access_token")?.is_some() {
                return Err(Refusal::InvalidRequest(
                    "More than one authentication method is used.",
                )
                .into());
            }
            return Ok(CallerProof::Bearer(bearer));
        }
        let Some(credentials) =
            client_credentials(&self.authorization, form, incoming.context.from)?
        else {
            // Half of a client's credentials is a client that failed; nothing at all may become either.
            let mut tried = false;
            for name in CREDENTIALS {
                tried |= form.one(name)?.is_some();
            }
            let refusal = if tried {
                Refusal::InvalidClient
            } else {
                Refusal::MissingToken
            };
            return Err(refusal.into());
        };
        let context = &incoming.context;
        let record = state
            .authenticator
            .authenticate(&credentials, Look::FRESH, context)
            .await?;
        Ok(CallerProof::Client(
            record.agent.agent_id.clone(),
            Arc::clone(&record.agent.profile.terms),
        ))
    }
}
