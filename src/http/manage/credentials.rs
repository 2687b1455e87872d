//! `GET` and `POST /api/v1/agents/{id}/credentials`, `POST /api/v1/agents/{id}/credentials/rotate`
//! and `DELETE /api/v1/agents/{id}/credentials/{credentialId}`.

use std::sync::Arc;

use crate::api::credentials::{CredentialJson, NewCredentialJson};
use crate::domain::act::ChangeReason;
use crate::domain::agent::LiveTokens;
use crate::domain::credential::{CredentialKind, CredentialLabel};
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::http::error::Failure;
use crate::http::state::State;
use crate::service::manage::client_keys::NewKeys;
use crate::service::manage::credentials::{ListedCredentials, Rotation};
use crate::service::manage::view::NewSecret;

use super::agent_changes::ActionBody;
use super::agents::within_reach;
use super::answer::{Ends, Makes, Reply};
use super::body::body;
use super::call::{Call, WriteCall};
use super::cursor::CursorScope;
use super::fields::{Fields, Input};
use super::keyed::KeyedReply;
use super::new_credentials::{CredentialCreation, keys_of, terms};
use super::page::{Page, PageQuery};
use super::values::{ExpiryTime, Overlap};

body! {
    /// A rotation of all credentials of one kind.
    struct RotationBody {
        /// How many seconds the older credentials of this kind stay valid at most; 0 if it is left out.
        optional overlap("overlapSeconds"): Overlap,
        /// What the new credential is called.
        optional label("label"): CredentialLabel,
        /// From when on the new credential is refused; never if it is left out.
        optional expires_at("expiresAt"): ExpiryTime,
        /// Which kind is rotated; secrets if it is left out.
        optional kind("kind"): CredentialKind,
        /// The new public keys: of the kind `publicKey` only, which demands them.
        optional jwks("jwks"): NewKeys,
    }
}

/// A page of the credentials of the agent that the path names. A position is that of a credential in
/// the order in which they were made.
pub(super) struct CredentialsOf {
    agent_id: AgentId,
    listed: ListedCredentials,
    page: PageQuery<i64>,
}

impl Input for CredentialsOf {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let listed = if fields.flag("all") {
            ListedCredentials::All
        } else {
            ListedCredentials::Live
        };
        let agent_id = fields.agent_id();
        let of = agent_id.as_ref().map_or("", AgentId::as_str);
        let filters = format!("{listed:?} {of}");
        let position = |bytes: &[u8]| bytes.try_into().ok().map(i64::from_be_bytes);
        let page = PageQuery::read(fields, "credentials", filters, position);
        Some(Self {
            agent_id: agent_id?,
            listed,
            page,
        })
    }
}

/// One page of an agent's credentials, the newest first.
pub(super) async fn list_credentials(
    state: Arc<State>,
    call: Call<CredentialsOf>,
) -> Result<Page<CredentialJson>, Failure> {
    let CredentialsOf {
        agent_id,
        listed,
        page,
    } = &call.input;
    within_reach(&call.caller, state.agents.show(agent_id).await?)?;
    let found = state
        .agents
        .credentials(agent_id, *listed, page.after, page.limit)
        .await?;
    let cursors = CursorScope::new(&state.cursors, &call.caller);
    let next = found.next.map(|at| page.cursor(cursors, &at.to_be_bytes()));
    let rows = found.credentials.into_iter().map(CredentialJson::from);
    Ok(Page::new(rows.collect(), page.limit, next))
}

/// Gives an agent one more credential.
pub(super) async fn create_credential(
    state: Arc<State>,
    call: WriteCall<CredentialCreation>,
) -> Result<KeyedReply<NewCredentialJson, Makes>, Failure> {
    let act = call.act(&state, None);
    let CredentialCreation(agent_id, terms) = &call.input;
    let request = call.request(&act);
    let agents = &state.agents;
    let may = agents.may_give_credential(agent_id, terms.kind(), &request);
    may.await?;
    let render = |made: &NewSecret| made_reply(&state, made).kept();
    let (state, render) = (&state, &render);
    call.once(state, &act, |keeper| async move {
        let keep = keeper.with(render);
        let made = agents.create_credential(agent_id, terms.clone(), request, keep);
        Ok(made_reply(state, &made.await?))
    })
    .await
}

/// A rotation of the credentials of one kind of the agent that the path names.
pub(super) struct CredentialRotation(AgentId, Rotation);

impl Input for CredentialRotation {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let agent_id = fields.agent_id();
        let RotationBody {
            kind,
            jwks,
            overlap,
            label,
            expires_at,
        } = fields.action_body()?;
        if kind == Some(CredentialKind::Federated) {
            fields.note("/kind", "is not rotated: make one more, and end the other");
            return None;
        }
        let keys = keys_of(fields, kind, jwks)?;
        let rotation = Rotation {
            chosen: None,
            overlap: overlap.map_or(0, |overlap| overlap.0),
            terms: terms(keys, label, expires_at),
        };
        Some(Self(agent_id?, rotation))
    }
}

/// Gives an agent a new credential in place of all others of its kind.
pub(super) async fn rotate_credentials(
    state: Arc<State>,
    call: WriteCall<CredentialRotation>,
) -> Result<KeyedReply<NewCredentialJson, Makes>, Failure> {
    let act = call.act(&state, None);
    let CredentialRotation(agent_id, rotation) = &call.input;
    let request = call.request(&act);
    let agents = &state.agents;
    let may = agents.may_give_credential(agent_id, rotation.terms.kind(), &request);
    may.await?;
    let render = |made: &NewSecret| made_reply(&state, made).kept();
    let (state, render) = (&state, &render);
    call.once(state, &act, |keeper| async move {
        let keep = keeper.with(render);
        let made = agents.rotate_credential(agent_id, rotation.clone(), request, keep);
        Ok(made_reply(state, &made.await?))
    })
    .await
}

/// The end of the credential that the path names. Its id is `None` if no credential can have it.
pub(super) struct CredentialEnd {
    agent_id: AgentId,
    credential_id: Option<CredentialId>,
    tokens: LiveTokens,
    reason: Option<ChangeReason>,
}

impl Input for CredentialEnd {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let tokens = if fields.flag("revokeTokens") {
            LiveTokens::Kill
        } else {
            LiveTokens::Keep
        };
        let credential_id = fields.path_part("credentialId");
        let credential_id = credential_id.and_then(|text| CredentialId::parse(text).ok());
        let agent_id = fields.agent_id();
        let ActionBody { reason } = fields.action_body()?;
        Some(Self {
            agent_id: agent_id?,
            credential_id,
            tokens,
            reason,
        })
    }
}

/// Ends one credential of an agent. If tokens were killed, this process's revocation list has the
/// kill before the response is sent (contract D7).
pub(super) async fn end_credential(
    state: Arc<State>,
    call: WriteCall<CredentialEnd>,
) -> Result<Reply<(), Ends>, Failure> {
    let act = call.act(&state, call.input.reason.as_ref());
    let CredentialEnd {
        agent_id,
        credential_id,
        tokens,
        ..
    } = &call.input;
    let missing = || Rejection::from(RejectionCode::CredentialNotFound);
    let credential_id = credential_id.ok_or_else(missing)?;
    let request = call.request(&act);
    let ended = state
        .agents
        .end_credential(agent_id, credential_id, *tokens, request);
    if ended.await? {
        state.list.read_own_kill().await?;
    }
    Ok(Reply::nothing())
}

fn made_reply(state: &State, made: &NewSecret) -> Reply<NewCredentialJson, Makes> {
    let base = state.metadata.path_of_issuer().unwrap_or_default();
    let (agent_id, credential_id) = (&made.agent_id, made.credential.credential_id);
    let location = format!("{base}/api/v1/agents/{agent_id}/credentials/{credential_id}");
    Reply::created(location, NewCredentialJson::from(made))
}
