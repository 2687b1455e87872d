//! The processes that serve from the store, on PostgreSQL. The same functions in the same order as on
//! SQLite.
//!
//! Each connection of a program that reports holds a shared advisory lock, so that the others can be
//! told apart: an older release has the same name in `pg_stat_activity`.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use crate::domain::id::ProcessId;
use crate::domain::time::Moment;
use crate::store::error::StoreError;
use crate::store::process::{ProcessRecord, ProcessReport, Processes, SilentUser};

use super::lane::ask_again;
use super::open::PostgresStore;
use super::query_planning::REPORTS;
use super::schema::newest_known;

#[async_trait]
impl Processes for PostgresStore {
    async fn report_process(&self, report: &ProcessReport, _now: Moment) -> Result<(), StoreError> {
        ask_again!(self.general, report_process, report).await
    }

    async fn end_process(&self, process_id: ProcessId) -> Result<(), StoreError> {
        ask_again!(self.general, end_process, process_id).await
    }

    async fn processes(&self, _now: Moment) -> Result<Vec<ProcessRecord>, StoreError> {
        ask_again!(self.general, processes).await
    }

    async fn finish_upgrade(&self) -> Result<(), StoreError> {
        ask_again!(self.general, finish_upgrade).await
    }

    async fn silent_users(&self, _since: Moment) -> Result<Vec<SilentUser>, StoreError> {
        ask_again!(self.general, silent_users).await
    }
}

async fn report_process(conn: &mut PgConnection, report: &ProcessReport) -> sqlx::Result<()> {
    let sql = "with clock as (select floor(extract(epoch from clock_timestamp()) * 1000)::bigint as millis)
               insert into process (process_id, host, pid, release, schema, master_keys, started_at, seen_at)
               select $1, $2, $3, $4, $5, $6, millis, millis from clock
               on conflict (process_id) do update set seen_at = excluded.seen_at";
    sqlx::query(sql)
        .bind(report.process_id.0)
        .bind(&report.host)
        .bind(report.pid)
        .bind(&report.release)
        .bind(newest_known())
        .bind(report.master_keys.join(" "))
        .execute(conn)
        .await
        .map(drop)
}

async fn end_process(conn: &mut PgConnection, process_id: ProcessId) -> sqlx::Result<()> {
    sqlx::query("delete from process where process_id = $1")
        .bind(process_id.0)
        .execute(conn)
        .await
        .map(drop)
}

async fn processes(conn: &mut PgConnection) -> sqlx::Result<Vec<ProcessRecord>> {
    let sql = "select process_id, host, pid, release, schema, master_keys, started_at, seen_at,
                      floor(extract(epoch from clock_timestamp()) * 1000)::bigint - seen_at as age
               from process
               order by started_at, process_id";
    let rows = sqlx::query(sql).fetch_all(conn).await?;
    rows.iter().map(process).collect()
}

fn process(row: &PgRow) -> sqlx::Result<ProcessRecord> {
    let keys: String = row.try_get("master_keys")?;
    Ok(ProcessRecord {
        report: ProcessReport {
            process_id: ProcessId(row.try_get("process_id")?),
            host: row.try_get("host")?,
            pid: row.try_get("pid")?,
            release: row.try_get("release")?,
            master_keys: keys.split(' ').map(str::to_owned).collect(),
        },
        schema: row.try_get("schema")?,
        started_at: Moment(row.try_get("started_at")?),
        seen_at: Moment(row.try_get("seen_at")?),
        age_millis: row.try_get("age")?,
    })
}

async fn finish_upgrade(conn: &mut PgConnection) -> sqlx::Result<()> {
    let sql = "insert into store_default (name) values ('key_revocation'), ('organizations') on conflict do nothing";
    sqlx::query(sql).execute(conn).await.map(drop)
}

/// A connection that was opened a moment ago may not hold the lock yet. Old connections of the same
/// name are looked for under the name that this program has by default, and under that of this
/// session.
async fn silent_users(conn: &mut PgConnection) -> sqlx::Result<Vec<SilentUser>> {
    let sql = "select concat('pid ', a.pid, ' (', concat_ws(', ', a.application_name, 'user ' || a.usename,
                          'from ' || host(a.client_addr),
                          'since ' || to_char(a.backend_start at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
                      ), ')'),
                      coalesce(a.backend_start > pg_catalog.clock_timestamp() - interval '2 seconds', false)
               from pg_stat_activity a
               where a.datname = current_database() and a.pid <> pg_backend_pid()
                 and a.application_name in ('sealwright', current_setting('application_name'))
                 and coalesce(a.backend_type, 'client backend') = 'client backend'
                 and not exists (
                     select from pg_locks l
                     where l.pid = a.pid and l.locktype = 'advisory' and l.granted
                       and l.classid::bigint = $1 and l.objid::bigint = $2)
               order by a.backend_start, a.pid";
    let (class, object) = REPORTS;
    let rows: Vec<(String, bool)> = sqlx::query_as(sql)
        .bind(i64::from(class))
        .bind(i64::from(object))
        .fetch_all(conn)
        .await?;
    let user = |(who, may_report)| SilentUser { who, may_report };
    Ok(rows.into_iter().map(user).collect())
}
