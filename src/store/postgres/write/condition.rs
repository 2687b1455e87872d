//! Whether what a write was decided upon is still so, on PostgreSQL. The same functions in the same
//! order as on SQLite.

use std::collections::BTreeMap;

use sqlx::postgres::PgConnection;

use crate::store::write::{
    Change, OrgSeen, Outcome, PartnerChange, RowLock, Write, failed, failed_orgs, org_conditions,
    row_locks, suspended_partners,
};

/// The outcome of a write if one of its conditions fails. If all are met, the rows of agents and
/// organizations stay locked until the commit. A partner's row is only read: if it is reactivated at
/// that moment, tokens die that would have died a moment earlier.
pub(super) async fn failure(
    conn: &mut PgConnection,
    write: &Write,
) -> sqlx::Result<Option<Outcome>> {
    let locks = row_locks(&write.conditions, write.change.agent_id());
    let mut rows = BTreeMap::new();
    for (agent_id, lock) in locks {
        let sql = match lock {
            RowLock::Share => "select version, epoch from agent where agent_id = $1 for share",
            RowLock::Update => "select version, epoch from agent where agent_id = $1 for update",
        };
        let row: Option<(i64, i64)> = sqlx::query_as(sql)
            .bind(agent_id.as_str())
            .fetch_optional(&mut *conn)
            .await?;
        rows.extend(row.map(|row| (agent_id, row)));
    }
    if let Some(outcome) = failed(&write.conditions, &rows) {
        return Ok(Some(outcome));
    }
    let mut orgs = BTreeMap::new();
    for org_id in org_conditions(&write.conditions) {
        // One that is changed too is locked for that at once.
        let sql = match write.change {
            Change::Org(_) | Change::Partner(PartnerChange::Create(..)) => {
                "select version, epoch, status = 'active' from org where org_id = $1 for no key update"
            }
            _ => "select version, epoch, status = 'active' from org where org_id = $1 for share",
        };
        let row: Option<OrgSeen> = sqlx::query_as(sql)
            .bind(org_id.as_str())
            .fetch_optional(&mut *conn)
            .await?;
        orgs.extend(row.map(|row| (org_id, row)));
    }
    if let Some(outcome) = failed_orgs(&write.conditions, &orgs) {
        return Ok(Some(outcome));
    }
    for partner_id in suspended_partners(&write.conditions) {
        let sql = "select true from partner where partner_id = $1 and status = 'suspended'";
        let found: Option<bool> = sqlx::query_scalar(sql)
            .bind(partner_id.0)
            .fetch_optional(&mut *conn)
            .await?;
        if found.is_none() {
            return Ok(Some(Outcome::TargetChanged));
        }
    }
    Ok(None)
}
