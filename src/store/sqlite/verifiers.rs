//! The reports of verifiers, on SQLite. The same functions in the same order as on PostgreSQL.

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;

use crate::domain::time::Moment;
use crate::domain::verifier::{MAX_UNPROVEN, MAX_VERIFIERS, VerifierReport};
use crate::store::error::StoreError;
use crate::store::row::json;
use crate::store::verifier::{ReportColumns, Verifiers, agent_column, report};

use super::errors::{bounded, broken};
use super::lane::{Writer, ask_again};
use super::open::SqliteStore;

#[async_trait]
impl Verifiers for SqliteStore {
    async fn verifiers(&self, seen_after: Moment) -> Result<Vec<VerifierReport>, StoreError> {
        ask_again!(self.readers, verifiers, seen_after).await
    }

    async fn put_reports(&self, reports: &[VerifierReport]) -> Result<(), StoreError> {
        bounded(put_reports(&self.writer, reports)).await
    }
}

async fn verifiers(
    conn: &mut SqliteConnection,
    seen_after: Moment,
) -> sqlx::Result<Vec<VerifierReport>> {
    let sql = "select agent_id, name, version, previous, version_at, seen_at, every
               from verifier
               where seen_at > ?1";
    let query = sqlx::query_as(sql).bind(seen_after.0);
    let rows: Vec<ReportColumns> = query.fetch_all(conn).await?;
    rows.into_iter()
        .map(|row| report(row).map_err(broken))
        .collect()
}

async fn put_reports(lane: &Writer, reports: &[VerifierReport]) -> sqlx::Result<()> {
    let sql = "with n as (
                   select count(*) filter (where agent_id <> '') as proven, count(*) filter (where agent_id = '') as others
                   from verifier
               )
               insert into verifier as v (agent_id, name, version, previous, version_at, seen_at, every)
               select r.value ->> 0, r.value ->> 1, r.value ->> 2, r.value ->> 3, r.value ->> 4, r.value ->> 5,
                      r.value ->> 6
               from json_each(?1) as r
               cross join n
               where exists (select 1 from verifier k where k.agent_id = r.value ->> 0 and k.name = r.value ->> 1)
                  or case r.value ->> 0 when '' then n.others <= ?3 else n.proven <= ?2 end
               on conflict (agent_id, name) do update
               set previous = case when excluded.version = v.version then v.previous else v.version end,
                   version_at = case when excluded.version = v.version then v.version_at else excluded.version_at end,
                   version = excluded.version, seen_at = excluded.seen_at, every = excluded.every
               where v.seen_at <= excluded.seen_at";
    let row = |r: &VerifierReport| {
        let (agent, name) = (
            agent_column(&r.id).to_owned(),
            r.id.name.as_str().to_owned(),
        );
        (
            agent,
            name,
            r.version,
            r.previous,
            r.version_at.0,
            r.seen_at.0,
            r.every,
        )
    };
    let rows: Vec<_> = reports.iter().map(row).collect();
    let rows = json(&rows).map_err(sqlx::Error::Encode)?;
    let bound = |most: usize| i64::try_from(most).unwrap_or(i64::MAX);
    let mut held = lane.take().await?;
    sqlx::query(sql)
        .bind(rows)
        .bind(bound(MAX_VERIFIERS))
        .bind(bound(MAX_UNPROVEN))
        .execute(&mut held.conn)
        .await?;
    held.keep();
    Ok(())
}
