//! The processes that serve from the store, on SQLite. The same functions in the same order as on
//! PostgreSQL.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::domain::id::ProcessId;
use crate::domain::time::Moment;
use crate::store::error::StoreError;
use crate::store::process::{ProcessRecord, ProcessReport, Processes, SilentUser};

use super::errors::bounded;
use super::lane::{Writer, ask_again};
use super::open::SqliteStore;
use super::schema::newest_known;
use super::serve_lock::{NotAlone, ServeLock};

#[async_trait]
impl Processes for SqliteStore {
    async fn report_process(&self, report: &ProcessReport, now: Moment) -> Result<(), StoreError> {
        bounded(report_process(&self.writer, report, now)).await
    }

    async fn end_process(&self, process_id: ProcessId) -> Result<(), StoreError> {
        bounded(end_process(&self.writer, process_id)).await
    }

    async fn processes(&self, now: Moment) -> Result<Vec<ProcessRecord>, StoreError> {
        ask_again!(self.readers, processes, now).await
    }

    async fn finish_upgrade(&self) -> Result<(), StoreError> {
        bounded(finish_upgrade(&self.writer)).await
    }

    /// The file has one server, which holds its lock.
    async fn silent_users(&self, since: Moment) -> Result<Vec<SilentUser>, StoreError> {
        if !matches!(ServeLock::take(&self.path), Err(NotAlone::AlreadyServing)) {
            return Ok(vec![]);
        }
        let reports = ask_again!(self.readers, reports_since, since).await?;
        let holder = SilentUser {
            who: "the server that holds the lock of the database file".to_owned(),
            may_report: true,
        };
        Ok(if reports { vec![] } else { vec![holder] })
    }
}

async fn report_process(lane: &Writer, report: &ProcessReport, now: Moment) -> sqlx::Result<()> {
    let sql = "insert into process (process_id, host, pid, release, schema, master_keys, started_at, seen_at)
               values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
               on conflict (process_id) do update set seen_at = excluded.seen_at";
    let mut held = lane.take().await?;
    sqlx::query(sql)
        .bind(report.process_id.0)
        .bind(&report.host)
        .bind(report.pid)
        .bind(&report.release)
        .bind(newest_known())
        .bind(report.master_keys.join(" "))
        .bind(now.0)
        .execute(&mut held.conn)
        .await?;
    held.keep();
    Ok(())
}

async fn end_process(lane: &Writer, process_id: ProcessId) -> sqlx::Result<()> {
    let mut held = lane.take().await?;
    sqlx::query("delete from process where process_id = ?1")
        .bind(process_id.0)
        .execute(&mut held.conn)
        .await?;
    held.keep();
    Ok(())
}

async fn processes(conn: &mut SqliteConnection, now: Moment) -> sqlx::Result<Vec<ProcessRecord>> {
    let sql = "select process_id, host, pid, release, schema, master_keys, started_at, seen_at,
                      ?1 - seen_at as age
               from process
               order by started_at, process_id";
    let rows = sqlx::query(sql).bind(now.0).fetch_all(conn).await?;
    rows.iter().map(process).collect()
}

fn process(row: &SqliteRow) -> sqlx::Result<ProcessRecord> {
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

async fn finish_upgrade(lane: &Writer) -> sqlx::Result<()> {
    let sql = "insert into store_default (name) values ('key_revocation'), ('organizations') on conflict do nothing";
    let mut held = lane.take().await?;
    sqlx::query(sql).execute(&mut held.conn).await?;
    held.keep();
    Ok(())
}

async fn reports_since(conn: &mut SqliteConnection, since: Moment) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists (select 1 from process where seen_at >= ?1)")
        .bind(since.0)
        .fetch_one(conn)
        .await
}
