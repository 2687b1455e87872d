//! The columns of an agent, as every read on PostgreSQL selects them.

use sqlx::{Row, postgres::PgRow};

use crate::domain::agent::Agent;
use crate::store::agent_row::AgentRow;

use super::errors::broken;

/// The columns of an agent, for [`agent_row`]. The table's alias is `a`.
macro_rules! agent_columns {
    () => {
        "a.agent_id, a.org_id, a.name, a.description, a.owner, a.labels, a.status, a.agent_suspension_epoch,
         a.scopes, a.audiences, a.redirect_uris, a.user_ids, a.ttl, a.plan, a.expires_at, a.epoch, a.version,
         a.created_at, a.updated_at"
    };
}

pub(super) use agent_columns;

/// An agent from these columns.
pub(super) fn agent_row(row: &PgRow) -> sqlx::Result<Agent> {
    let row = AgentRow {
        agent_id: row.try_get("agent_id")?,
        org_id: row.try_get("org_id")?,
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        owner: row.try_get("owner")?,
        labels: row.try_get("labels")?,
        status: row.try_get("status")?,
        agent_suspension_epoch: row.try_get("agent_suspension_epoch")?,
        scopes: row.try_get("scopes")?,
        audiences: row.try_get("audiences")?,
        redirect_uris: row.try_get("redirect_uris")?,
        user_ids: row.try_get("user_ids")?,
        ttl: row.try_get("ttl")?,
        plan: row.try_get("plan")?,
        expires_at: row.try_get("expires_at")?,
        epoch: row.try_get("epoch")?,
        version: row.try_get("version")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    };
    row.parse().map_err(broken)
}
