//! `POST /api/v1/agents`, and `PUT` and `PATCH` of `/api/v1/agents/{id}`.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::agents::AgentJson;
use crate::domain::about::{About, Description, Labels, Owner};
use crate::domain::agent::{AgentName, Audience, LiveTokens, Profile, RedirectUri, Terms, UserId};
use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::quota::PlanName;
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;
use crate::domain::ttl::Ttl;
use crate::http::error::Failure;
use crate::http::state::State;
use crate::service::manage::agents::NewAgent;
use crate::service::manage::create::{CreatedAgent, PutAgent};
use crate::service::manage::patch::{LabelsPatch, ProfilePatch};

use super::agent_changes::{after_change, shown};
use super::answer::{Creates, Makes, MakesOrShows, Reply};
use super::body::{PatchMember, body};
use super::call::WriteCall;
use super::fields::{Fields, Input};
use super::keyed::KeyedReply;
use super::values::ExpiryTime;

body! {
    /// What an operator decides about an agent. A member that is left out has the value that
    /// creation gives it.
    struct AgentBody {
        /// Its name; need not be unique.
        required name("name"): AgentName,
        /// Its id. Without it a UUID is drawn.
        optional agent_id("agentId"): AgentId,
        /// Its organization; the caller's own if it is left out. It never changes.
        optional org_id("orgId"): OrgId,
        /// What it is for.
        optional description("description"): Description,
        /// Who answers for it.
        optional owner("owner"): Owner,
        /// Its labels.
        optional labels("labels"): Labels,
        /// The scopes that it may ask for.
        required scopes("scopes"): Vec<Scope>,
        /// How many seconds its tokens live; the server's default if it is left out.
        optional ttl("ttl"): Ttl,
        /// Its plan; `free` if it is left out.
        optional plan("plan"): PlanName,
        /// The audiences that it may ask for; any if it is left out.
        optional audiences("audiences"): Vec<Audience>,
        /// Where its authorization codes may be sent.
        optional redirect_uris("redirectUris"): Vec<RedirectUri>,
        /// The users on whose behalf it may act.
        optional user_ids("userIds"): Vec<UserId>,
        /// From when on it is expired; never if it is left out.
        optional expires_at("expiresAt"): ExpiryTime,
    }
}

body! {
    /// A merge patch of what an operator decides about an agent.
    struct AgentPatch {
        /// Its name.
        patch_required name("name"): AgentName,
        /// What it is for.
        patch description("description"): Description,
        /// Who answers for it.
        patch owner("owner"): Owner,
        /// Its labels, of which `null` removes one.
        patch labels("labels"): LabelsPatch,
        /// The scopes that it may ask for.
        patch_required scopes("scopes"): Vec<Scope>,
        /// How many seconds its tokens live.
        patch ttl("ttl"): Ttl,
        /// Its plan.
        patch plan("plan"): PlanName,
        /// The audiences that it may ask for.
        patch audiences("audiences"): Vec<Audience>,
        /// Where its authorization codes may be sent.
        patch redirect_uris("redirectUris"): Vec<RedirectUri>,
        /// The users on whose behalf it may act.
        patch user_ids("userIds"): Vec<UserId>,
        /// From when on it is expired.
        patch expires_at("expiresAt"): ExpiryTime,
    }
}

impl AgentBody {
    fn profile(self) -> Profile {
        Profile {
            name: self.name,
            about: About {
                description: self.description,
                owner: self.owner,
                labels: self.labels.unwrap_or_default(),
            },
            terms: Arc::new(Terms {
                scopes: self.scopes,
                ttl: self.ttl,
                plan: self.plan.unwrap_or_else(PlanName::free),
                audiences: self.audiences.unwrap_or_default(),
                redirect_uris: self.redirect_uris.unwrap_or_default(),
                user_ids: self.user_ids.unwrap_or_default(),
            }),
            expires_at: self.expires_at.map(|end| end.0),
        }
    }
}

/// An agent to be made.
pub(super) struct NewAgentInput(AgentBody);

impl Input for NewAgentInput {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.body().map(Self)
    }
}

/// An agent that is to be exactly so.
pub(super) struct PutAgentInput(AgentId, AgentBody);

impl Input for PutAgentInput {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let body: Option<AgentBody> = fields.body();
        let id = fields.path_part("id").unwrap_or_default();
        // Not an unknown id: the request may be about to make the agent.
        let id = AgentId::parse(id).map_err(|rule| fields.note("/agentId", rule.0));
        let (id, body) = (id.ok()?, body?);
        if body.agent_id.as_ref().is_some_and(|given| *given != id) {
            fields.note("/agentId", "is another one than in the path");
        }
        Some(Self(id, body))
    }
}

/// The changes to an agent.
pub(super) struct PatchAgentInput(AgentId, ProfilePatch);

impl Input for PatchAgentInput {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (id, body) = (fields.agent_id(), fields.body::<AgentPatch>());
        let tokens = if fields.flag("revokeTokens") {
            LiveTokens::Kill
        } else {
            LiveTokens::Keep
        };
        let (id, body) = (id?, body?);
        let patch = ProfilePatch {
            agent_id: None,
            org_id: None,
            name: body.name,
            description: body.description.nullable(),
            owner: body.owner.nullable(),
            labels: body.labels.or(LabelsPatch::Replace(Labels::default())),
            scopes: body.scopes,
            ttl: body.ttl.nullable(),
            plan: body.plan.or(PlanName::free()),
            audiences: body.audiences.or(vec![]),
            redirect_uris: body.redirect_uris.or(vec![]),
            user_ids: body.user_ids.or(vec![]),
            expires_at: expiry(body.expires_at),
            tokens,
        };
        Some(Self(id, patch))
    }
}

/// The change of the end.
#[expect(
    clippy::option_option,
    reason = "a patch leaves, removes or sets a value"
)]
fn expiry(member: PatchMember<ExpiryTime>) -> Option<Option<Timestamp>> {
    member.nullable().map(|end| end.map(|end| end.0))
}

/// An agent, with its secret if it was just made. It holds a secret, so it has no `Debug`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AgentWithSecret)]
pub(super) struct WrittenAgent {
    #[serde(flatten)]
    agent: AgentJson,
    /// Its secret, shown only where it was just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    /// The credential that the secret belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_id: Option<String>,
}

/// Makes an agent.
pub(super) async fn create_agent(
    state: Arc<State>,
    call: WriteCall<NewAgentInput>,
) -> Result<KeyedReply<WrittenAgent, Makes>, Failure> {
    let (NewAgentInput(body), call) = call.split();
    let act = call.act(&state, None);
    let new = NewAgent {
        agent_id: body.agent_id.clone(),
        org_id: body.org_id.clone(),
        secret: None,
        profile: body.profile(),
    };
    let request = call.request(&act);
    state.agents.may_create(&new, &request).await?;
    let render = |created: &CreatedAgent| made::<Makes>(&state, created).kept();
    let (state, render) = (&state, &render);
    call.once(state, &act, |keeper| async move {
        let keep = keeper.with(render);
        let created = state.agents.create_and_show(new, request, keep);
        Ok(made(state, &created.await?))
    })
    .await
}

/// Makes an agent, or replaces all that an operator decides about it.
pub(super) async fn put_agent(
    state: Arc<State>,
    call: WriteCall<PutAgentInput>,
) -> Result<KeyedReply<WrittenAgent, MakesOrShows>, Failure> {
    let (PutAgentInput(id, body), call) = call.split();
    let act = call.act(&state, None);
    let new = NewAgent {
        agent_id: Some(id.clone()),
        org_id: body.org_id.clone(),
        secret: None,
        profile: body.profile(),
    };
    let request = call.request(&act);
    state.agents.may_put(&id, &new, &request).await?;
    let render = |created: &CreatedAgent| made::<MakesOrShows>(&state, created).kept();
    let (state, render) = (&state, &render);
    call.once(state, &act, |keeper| async move {
        let keep = keeper.with(render);
        match state.agents.put(&id, new, request, keep).await? {
            PutAgent::Created(created) => Ok(made(state, &created)),
            PutAgent::Replaced(view) => {
                let version = view.agent.version;
                let agent = WrittenAgent {
                    agent: after_change(state, *view).await?,
                    client_secret: None,
                    credential_id: None,
                };
                Ok(Reply::ok(agent).with_version(version))
            }
        }
    })
    .await
}

/// Changes an agent.
pub(super) async fn patch_agent(
    state: Arc<State>,
    call: WriteCall<PatchAgentInput>,
) -> Result<Reply<AgentJson>, Failure> {
    let act = call.act(&state, None);
    let PatchAgentInput(id, patch) = &call.input;
    let changed = state.agents.update(id, patch, call.request(&act)).await?;
    shown(&state, changed).await
}

fn made<K: Creates>(state: &State, created: &CreatedAgent) -> Reply<WrittenAgent, K> {
    let CreatedAgent { view, secret } = created;
    let version = view.agent.version;
    // Every route also answers below the issuer's path, whether or not a proxy strips it.
    let base = state.metadata.path_of_issuer().unwrap_or_default();
    let location = format!("{base}/api/v1/agents/{}", view.agent.agent_id);
    let shown = secret.secret.as_ref();
    let credential_id = secret.credential.credential_id.to_string();
    let agent = WrittenAgent {
        agent: view.clone().into(),
        client_secret: shown.map(|secret| secret.expose().to_owned()),
        credential_id: shown.map(|_| credential_id),
    };
    Reply::created(location, agent).with_version(version)
}
