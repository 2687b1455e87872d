//! `POST /api/v1/agents/bulk`: stops many agents at once, or kills their tokens, in pieces.

use std::sync::Arc;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use crate::api::bulk::BulkJson;
use crate::domain::about::{Labels, Owner};
use crate::domain::act::ChangeReason;
use crate::domain::agent_filter::{AgentFilter, MAX_IDS};
use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::quota::PlanName;
use crate::domain::rejection::FieldError;
use crate::domain::scope::Scope;
use crate::http::error::Failure;
use crate::http::openapi::schema::one_of;
use crate::http::state::State;
use crate::service::manage::bulk::BulkAction;

use super::answer::Reply;
use super::body::{FieldPlace, FromJson, body};
use super::call::WriteCall;
use super::cursor::CursorScope;
use super::fields::{Fields, Input};
use super::json_value::JsonValue;

/// The name of the list to which cursors are bound.
const LIST: &str = "bulk";

impl FromJson for BulkAction {
    fn schema() -> RefOr<Schema> {
        one_of(Self::ALL.map(Self::as_str)).into()
    }

    fn from_json(
        value: &JsonValue<'_>,
        at: FieldPlace<'_>,
        errors: &mut Vec<FieldError>,
    ) -> Option<Self> {
        let word = String::from_json(value, at, errors)?;
        let action = Self::ALL.into_iter().find(|action| action.as_str() == word);
        if action.is_none() {
            errors.push(at.error("must be suspend or revoke-tokens"));
        }
        action
    }
}

body! {
    /// Which agents: those that meet every member. At least one is given, and none is empty.
    struct BulkFilter {
        /// They have all these labels.
        optional labels("labels"): Labels,
        /// Their whole owner.
        optional owner("owner"): Owner,
        /// A scope that they may ask for.
        optional scope("scope"): Scope,
        /// Their plan.
        optional plan("plan"): PlanName,
        /// Their organization.
        optional org_id("orgId"): OrgId,
        /// Their ids, at most 100.
        optional ids("ids"): Vec<AgentId>,
    }
}

body! {
    /// What is done to which agents.
    struct BulkBody {
        /// What is done to each agent.
        required action("action"): BulkAction,
        /// Which agents.
        required filter("filter"): BulkFilter,
        /// Why it is done: 1 to 200 characters, which stand in every event.
        optional reason("reason"): ChangeReason,
        /// Where the piece begins: the `next` of the piece before it, with the same action and filter.
        optional cursor("cursor"): String,
    }
}

impl BulkFilter {
    /// The filter of the list. A filter that finds every agent, in whatever way, is an error.
    fn read(self, fields: &mut Fields<'_>) -> AgentFilter {
        let none = self.ids.as_ref().is_some_and(Vec::is_empty);
        if none {
            fields.note("/filter/ids", "is empty");
        }
        if self.labels.as_ref().is_some_and(Labels::is_empty) {
            fields.note("/filter/labels", "is empty");
        }
        if self.ids.as_ref().is_some_and(|ids| ids.len() > MAX_IDS) {
            fields.note("/filter/ids", "has more than 100 items");
        }
        let given = [
            self.labels.is_some(),
            self.owner.is_some(),
            self.scope.is_some(),
            self.plan.is_some(),
            self.org_id.is_some(),
            self.ids.is_some(),
        ];
        if !given.contains(&true) {
            fields.note("/filter", "is empty: it would find every agent");
        }
        AgentFilter {
            labels: self.labels.unwrap_or_default().into_pairs(),
            owner: self.owner,
            scope: self.scope,
            plan: self.plan,
            org_id: self.org_id,
            ids: self.ids.unwrap_or_default(),
            ..AgentFilter::default()
        }
    }
}

/// What is done to which agents, and where the piece begins.
pub(super) struct BulkChange {
    action: BulkAction,
    filter: AgentFilter,
    after: Option<AgentId>,
    reason: Option<ChangeReason>,
}

impl BulkChange {
    /// What a cursor is bound to.
    fn binding(action: BulkAction, filter: &AgentFilter) -> String {
        format!("{} {}", action.as_str(), filter.canonical())
    }
}

impl Input for BulkChange {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let body = fields.body::<BulkBody>()?;
        let (action, filter) = (body.action, body.filter.read(fields));
        let after = body.cursor.and_then(|cursor| {
            let binding = Self::binding(action, &filter);
            let position = fields.position(LIST, &binding, &cursor);
            let after = position.and_then(|id| AgentId::from_position(&id));
            if after.is_none() {
                fields.note("/cursor", "is no cursor of these agents");
            }
            after
        });
        Some(Self {
            action,
            filter,
            after,
            reason: body.reason,
        })
    }
}

/// Does one piece. If tokens were killed, this process's revocation list has the kills before the
/// response is sent (contract D7).
pub(super) async fn change_agents(
    state: Arc<State>,
    call: WriteCall<BulkChange>,
) -> Result<Reply<BulkJson>, Failure> {
    let BulkChange {
        action,
        filter,
        after,
        reason,
    } = &call.input;
    let act = call.act(&state, reason.as_ref());
    let request = call.request(&act);
    let is_dry_run = request.is_dry_run();
    let piece = state
        .agents
        .change_many(*action, filter, after.as_ref(), request)
        .await?;
    let kills = !is_dry_run && !piece.changed.is_empty();
    let revocation_version = if kills {
        Some(state.list.read_own_kill().await?)
    } else {
        None
    };
    let cursors = CursorScope::new(&state.cursors, &call.caller);
    let binding = BulkChange::binding(*action, filter);
    let next = piece.next.as_ref();
    let next = next.map(|id| cursors.write(LIST, &binding, id.as_str().as_bytes()));
    Ok(Reply::ok(BulkJson {
        next,
        revocation_version,
        ..piece.into()
    }))
}
