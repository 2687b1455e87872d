//! The caller of introspection and revocation: the holder of a Bearer token, or a client with its
//! secret.
//!
//! Owns what both endpoints require of a request before they examine its token. Must not know what
//! the endpoints do.

use std::sync::Arc;

use crate::domain::agent::Terms;
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::org::OrgId;
use crate::domain::refusal::Refusal;
use crate::service::look::Look;

use crate::http::authorization::{Authorization, authorization, client_credentials};
use crate::http::error::Failure;
use crate::http::incoming::{CREDENTIALS, Incoming};
use crate::http::parameters::Parameters;
use crate::http::state::State;

/// The parameters that a caller may send, besides the client's credentials.
pub(crate) const KNOWN: [&str; 3] = ["token", "token_type_hint", "access_token"];

/// The token that the caller asks about, and how the caller authenticates.
pub(super) struct TokenQuestion<'f> {
    /// The `token` parameter.
    pub token: &'f str,
    authorization: Authorization,
}

/// How a caller authenticated.
pub(super) enum CallerProof<'c> {
    /// With a Bearer token, which has not been verified yet.
    Bearer(&'c str),
    /// With its secret.
    Client {
        /// An active agent.
        agent_id: AgentId,
        /// Its organisation.
        org_id: OrgId,
        /// Its terms.
        terms: Arc<Terms>,
        /// The credential that the secret belongs to. `None` if it has expired since.
        credential: Option<CredentialId>,
    },
}

impl<'f> TokenQuestion<'f> {
    /// Reads the parameters, before the caller is authenticated (contract D6).
    pub(super) fn read(incoming: &Incoming, form: &'f Parameters<'_>) -> Result<Self, Failure> {
        let authorization = authorization(&incoming.headers)?;
        let token = form
            .one("token")?
            .ok_or(Refusal::MissingParameter("token"))?;
        // RFC 7009 §2.1, RFC 7662 §2.1: a hint that this server does not use, but it must be
        // well-formed.
        form.one("token_type_hint")?;
        form.one("access_token")?;
        Ok(Self {
            token,
            authorization,
        })
    }

    /// Authenticates the caller. No statement that counts tokens compares the row's version here,
    /// so a client's row is read fresh.
    pub(super) async fn prove(
        &self,
        state: &State,
        incoming: &Incoming,
        form: &Parameters<'_>,
    ) -> Result<CallerProof<'_>, Failure> {
        if let Authorization::Bearer(bearer) = &self.authorization {
            // RFC 6749 §2.3: a Bearer token beside a secret or another token makes two methods.
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
            // If a part of a client's credentials was sent, client authentication has failed. If
            // nothing was sent, the caller may still use either method.
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
        Ok(CallerProof::Client {
            agent_id: record.agent.agent_id.clone(),
            org_id: record.agent.org_id.clone(),
            terms: Arc::clone(&record.agent.profile.terms),
            credential: state.authenticator.credential_of(&record, &credentials),
        })
    }
}
