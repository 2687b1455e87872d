//! The reports of verifiers, on PostgreSQL. The same functions in the same order as on SQLite.

use async_trait::async_trait;
use sqlx::postgres::PgConnection;

use crate::domain::time::Moment;
use crate::domain::verifier::{MAX_UNPROVEN, MAX_VERIFIERS, VerifierReport};
use crate::store::error::StoreError;
use crate::store::verifier::{ReportColumns, Verifiers, agent_column, report};

use super::errors::broken;
use super::lane::{ask, ask_again};
use super::open::PostgresStore;

#[async_trait]
impl Verifiers for PostgresStore {
    async fn verifiers(&self, seen_after: Moment) -> Result<Vec<VerifierReport>, StoreError> {
        ask_again!(self.general, verifiers, seen_after).await
    }

    async fn put_reports(&self, reports: &[VerifierReport]) -> Result<(), StoreError> {
        ask!(self.general, put_reports, reports).await
    }
}

async fn verifiers(
    conn: &mut PgConnection,
    seen_after: Moment,
) -> sqlx::Result<Vec<VerifierReport>> {
    let sql = "select agent_id, name, version, previous, version_at, seen_at, every
               from verifier
               where seen_at > $1";
    let query = sqlx::query_as(sql).bind(seen_after.0);
    let rows: Vec<ReportColumns> = query.fetch_all(conn).await?;
    rows.into_iter()
        .map(|row| report(row).map_err(broken))
        .collect()
}

/// In the order of the key, so that two servers that write the same rows wait for each other in turn.
async fn put_reports(conn: &mut PgConnection, reports: &[VerifierReport]) -> sqlx::Result<()> {
    let sql = "with n as (
                   select count(*) filter (where agent_id <> '') as proven, count(*) filter (where agent_id = '') as others
                   from verifier
               )
               insert into verifier as v (agent_id, name, version, previous, version_at, seen_at, every)
               select r.* from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                                      $7::bigint[]) as r (agent_id, name, version, previous, version_at, seen_at, every)
               cross join n
               where exists (select 1 from verifier k where k.agent_id = r.agent_id and k.name = r.name)
                  or case r.agent_id when '' then n.others <= $9 else n.proven <= $8 end
               order by r.agent_id collate \"C\", r.name collate \"C\"
               on conflict (agent_id, name) do update
               set previous = case when excluded.version = v.version then v.previous else v.version end,
                   version_at = case when excluded.version = v.version then v.version_at else excluded.version_at end,
                   version = excluded.version, seen_at = excluded.seen_at, every = excluded.every
               where v.seen_at <= excluded.seen_at";
    let column = |of: fn(&VerifierReport) -> i64| reports.iter().map(of).collect::<Vec<i64>>();
    let agents: Vec<&str> = reports.iter().map(|r| agent_column(&r.id)).collect();
    let names: Vec<&str> = reports.iter().map(|r| r.id.name.as_str()).collect();
    let bound = |most: usize| i64::try_from(most).unwrap_or(i64::MAX);
    sqlx::query(sql)
        .bind(agents)
        .bind(names)
        .bind(column(|r| r.version))
        .bind(column(|r| r.previous))
        .bind(column(|r| r.version_at.0))
        .bind(column(|r| r.seen_at.0))
        .bind(column(|r| r.every))
        .bind(bound(MAX_VERIFIERS))
        .bind(bound(MAX_UNPROVEN))
        .execute(conn)
        .await
        .map(drop)
}
