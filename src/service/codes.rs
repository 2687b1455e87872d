//! Authorization codes. Anybody who names an agent may get one, but without the agent's secret the
//! code is worthless.
//!
//! Owns who gets a code and when the code has expired. Must not know how a code is transported.
//! Making a code writes nothing. That a code is exchanged only once is the store's part, in the
//! commit that counts the token.

use std::sync::Arc;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::agent::{RedirectUri, UserId};
use crate::domain::code::{self, Code, CodeRef};
use crate::domain::id::{AgentId, ClientId, CodeId};
use crate::domain::refusal::Refusal;
use crate::entropy::{Entropy, uuid_v7};
use crate::keys::code::{Binding, CodeKey, PkceChallenge};
use crate::store::Store;

use super::clock::MAX_SKEW_MILLIS;
use super::error::Error;

/// The same refusal for everything that is not allowed, so that it does not reveal which agents,
/// redirect URIs and users exist.
const REFUSED: Refusal = Refusal::InvalidRequest("The authorization request is not allowed.");

/// A code as a client presents it, with what the client says about the authorization request. It
/// has no `Debug`, because a code must not be logged.
pub struct PresentedCode {
    /// The code.
    pub code: String,
    /// The redirect URI to which the code was sent.
    pub redirect_uri: String,
    /// The user on whose behalf the agent acts.
    pub user: Option<String>,
    /// The code verifier (RFC 7636 §4.5) for the challenge of the authorization request.
    pub verifier: Option<String>,
}

/// Makes and opens codes.
pub struct Codes {
    store: Arc<dyn Store>,
    key: CodeKey,
    clock: Arc<StoreClock>,
    entropy: Arc<dyn Entropy>,
}

impl Codes {
    /// Makes codes for this store, with its code key.
    pub fn new(
        store: Arc<dyn Store>,
        key: CodeKey,
        clock: Arc<StoreClock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            store,
            key,
            clock,
            entropy,
        }
    }

    /// A code of the active agent `client_id` for one of its redirect URIs and, if asked for, for
    /// one of its users. The agent is read from the store of record, so an operator's change holds
    /// for the next request.
    pub async fn authorize(
        &self,
        client_id: &ClientId,
        redirect_uri: &str,
        user: Option<&str>,
        challenge: Option<&PkceChallenge>,
    ) -> Result<String, Error> {
        let agent_id = client_id.agent_id().ok_or(REFUSED)?;
        let registered = RedirectUri::parse(redirect_uri).map_err(|_| REFUSED)?;
        let about = user.map(UserId::parse).transpose().map_err(|_| REFUSED)?;
        if !self
            .store
            .admits_code(agent_id, &registered, about.as_ref(), self.clock.now())
            .await?
        {
            return Err(REFUSED.into());
        }
        let id = CodeId(uuid_v7(&*self.clock, &*self.entropy)?);
        let expires_at = self.clock.now().saturating_add(code::CODE_TTL);
        let binding = Binding {
            client_id: agent_id.as_str(),
            redirect_uri,
            user,
            challenge,
        };
        Ok(self
            .key
            .seal(CodeRef { id, expires_at }, binding, &*self.entropy)?)
    }

    /// The reference of a code, expired or not, if this store made the code for this agent and for
    /// everything that is presented with it. A code with a challenge needs the verifier. A code
    /// without a challenge accepts no verifier: an attacker who removes the challenge from a
    /// request on its way gains nothing (RFC 9700 §4.8.2).
    pub fn recognize(&self, agent_id: &AgentId, presented: &PresentedCode) -> Option<CodeRef> {
        let PresentedCode {
            code,
            redirect_uri,
            user,
            verifier,
        } = presented;
        let challenge = verifier
            .as_deref()
            .map(PkceChallenge::of_verifier)
            .transpose()
            .ok()?;
        let (client_id, user, challenge) = (agent_id.as_str(), user.as_deref(), challenge.as_ref());
        self.key.unseal(
            code,
            Binding {
                client_id,
                redirect_uri,
                user,
                challenge,
            },
        )
    }

    /// What a code stands for, if this store made it for this agent and it has not expired. Whether
    /// the code is already spent is decided by the store, where the token is counted.
    pub fn open(&self, agent_id: &AgentId, presented: &PresentedCode) -> Result<Code, Refusal> {
        let reference = self
            .recognize(agent_id, presented)
            .ok_or(Refusal::InvalidCode)?;
        let rest = reference.expires_at.0.saturating_sub(self.clock.now().0);
        // A code that would live longer than any code does was made while a clock was ahead.
        if !(1..=code::CODE_TTL + MAX_SKEW_MILLIS / 1_000).contains(&rest) {
            return Err(Refusal::InvalidCode);
        }
        let (redirect_uri, user) = (presented.redirect_uri.clone(), presented.user.clone());
        Ok(Code {
            reference,
            redirect_uri,
            user,
        })
    }
}
