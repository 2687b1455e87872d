//! Upkeep of a store, on SQLite: signs of life, and the removal of what only time removes. The same
//! functions in the same order as on PostgreSQL.

use async_trait::async_trait;

use crate::domain::time::Timestamp;
use crate::domain::verifier::VERIFIER_TTL;
use crate::store::credential::ENDED_CREDENTIAL_TTL;
use crate::store::error::StoreError;
use crate::store::lane_use::LaneUse;
use crate::store::process::PROCESS_TTL;
use crate::store::records::{BATCH_TTL, Upkeep};
use crate::store::reply::REPLY_TTL;
use crate::store::revocation::{REVOCATION_GRACE, REVOKED_KEY_TTL};
use crate::store::terms::TermsBounds;
use crate::store::token::SPENT_GRACE;
use crate::store::usage::KEPT_USAGE;

use super::errors::bounded;
use super::lane::{Readers, Writer};
use super::open::SqliteStore;
use super::terms;

#[async_trait]
impl Upkeep for SqliteStore {
    async fn clock(&self) -> Result<Option<i64>, StoreError> {
        Ok(None)
    }

    async fn prune(&self, now: Timestamp, keep_events: i64, most: i64) -> Result<u64, StoreError> {
        let gone = prune(&self.writer, now, keep_events, most).await?;
        let terms = bounded(terms::prune(&self.writer, now, keep_events, most)).await?;
        Ok(gone.saturating_add(terms))
    }

    fn lanes(&self) -> Vec<LaneUse> {
        vec![self.writer.uses(), self.readers.uses()]
    }

    async fn refresh_terms(&self) -> Result<(), StoreError> {
        terms::refresh(&self.readers, &self.terms).await
    }

    async fn intern_terms(&self, now: Timestamp, bounds: TermsBounds) -> Result<(), StoreError> {
        let lanes = (&self.writer, &self.readers);
        terms::intern(lanes, &self.terms, now, bounds).await
    }

    /// Finds out whether the file is still there and undamaged.
    async fn rest(&self) -> Result<(), StoreError> {
        ping(&self.readers).await
    }
}

/// Reads the file's header, its schema and one row of each table that a token needs.
pub(super) async fn ping(lane: &Readers) -> Result<(), StoreError> {
    const SQL: &str =
        "select (select max(agent_id) from agent), (select max(position) from credential),
                      (select max(version) from revision), (select max(agent_id) from quota),
                      (select max(at) from batch), (select max(id) from audit_event),
                      (select max(id) from token_event), (select max(id) from token_terms),
                      (select max(version) from revoked_token), (select max(kid) from signing_key)";
    lane.look(SQL).await
}

/// The statements that remove credentials which ended long ago, and what is noted of them.
const REMOVE_ENDED: [&str; 6] = [
    "delete from credential_use where (agent_id, credential_id) in (
         select agent_id, credential_id from ended_credential
         where ended_at < ?1
         order by ended_at, credential_id limit ?2)",
    "delete from expiry_notice where credential_id in (
         select credential_id from ended_credential
         where ended_at < ?1
         order by ended_at, credential_id limit ?2)",
    "delete from ended_credential where credential_id in (
         select credential_id from ended_credential
         where ended_at < ?1
         order by ended_at, credential_id limit ?2)",
    "delete from credential_use where (agent_id, credential_id) in (
         select agent_id, credential_id from credential
         where expires_at < ?1
         order by expires_at, credential_id limit ?2)",
    "delete from expiry_notice where credential_id in (
         select credential_id from credential
         where expires_at < ?1
         order by expires_at, credential_id limit ?2)",
    "delete from credential where credential_id in (
         select credential_id from credential
         where expires_at < ?1
         order by expires_at, credential_id limit ?2)",
];

pub(super) async fn prune(
    lane: &Writer,
    now: Timestamp,
    keep_events: i64,
    most: i64,
) -> Result<u64, StoreError> {
    let steps = [
        (
            "delete from revoked_token where jti in (
                 select jti from revoked_token where expires_at < ?1 order by expires_at limit ?2)",
            now.saturating_add(-REVOCATION_GRACE),
        ),
        (
            "delete from revoked_key where kid in (
                 select kid from revoked_key where revoked_at < ?1 order by revoked_at limit ?2)",
            now.saturating_add(-REVOKED_KEY_TTL),
        ),
        (
            "delete from verifier where (agent_id, name) in (
                 select agent_id, name from verifier where seen_at < ?1 * 1000 limit ?2)",
            now.saturating_add(-VERIFIER_TTL / 1_000),
        ),
        (
            // Events are in the order of their times, except those of a clock that was wrong for a
            // while. So the search ends at the thousandth event that is too young.
            "delete from audit_event where id in (
                 select id from audit_event
                 where at < ?1 and kind = 'token.issued'
                   and id <= (select place from reader where name = 'prune') and id < coalesce(
                     (select id from audit_event where at >= ?1 order by id limit 1 offset 999),
                     9223372036854775807)
                 order by id limit ?2)",
            now.saturating_add(-keep_events),
        ),
        (
            "delete from token_event where id in (
                 select id from token_event
                 where at < ?1 and id <= (select place from reader where name = 'prune') and id < coalesce(
                     (select id from token_event where at >= ?1 order by id limit 1 offset 999),
                     9223372036854775807)
                 order by id limit ?2)",
            now.saturating_add(-keep_events),
        ),
        (
            "delete from batch where batch_id in (select batch_id from batch where at < ?1 limit ?2)",
            now.saturating_add(-BATCH_TTL),
        ),
        (
            "delete from spent_code where code_id in (
                 select code_id from spent_code where expires_at < ?1 order by expires_at limit ?2)",
            now.saturating_add(-SPENT_GRACE),
        ),
        (
            "delete from spent_assertion where assertion in (
                 select assertion from spent_assertion where expires_at < ?1 order by expires_at limit ?2)",
            now.saturating_add(-SPENT_GRACE),
        ),
        (
            "delete from kept_reply where place in (
                 select place from kept_reply where made_at <= ?1 order by made_at limit ?2)",
            now.saturating_add(-REPLY_TTL),
        ),
        (
            "delete from process where process_id in (
                 select process_id from process where seen_at < ?1 * 1000 order by seen_at limit ?2)",
            now.saturating_add(-PROCESS_TTL),
        ),
        (
            "delete from usage_day where (day, agent_id) in (
                 select day, agent_id from usage_day where day < ?1 / 86400 order by day limit ?2)",
            now.saturating_add(-KEPT_USAGE),
        ),
        (
            "delete from refused_day where (day, agent_id, reason) in (
                 select day, agent_id, reason from refused_day where day < ?1 / 86400
                 order by day limit ?2)",
            now.saturating_add(-KEPT_USAGE),
        ),
    ];
    let mut gone = 0;
    let ended = REMOVE_ENDED.map(|sql| (sql, now.saturating_add(-ENDED_CREDENTIAL_TTL)));
    for (sql, before) in steps.into_iter().chain(ended) {
        gone += delete(lane, sql, before, most).await?;
    }
    Ok(gone)
}

/// Runs one statement, which is its own transaction.
async fn delete(
    lane: &Writer,
    sql: &'static str,
    before: Timestamp,
    most: i64,
) -> Result<u64, StoreError> {
    bounded(async {
        let mut held = lane.take().await?;
        let done = sqlx::query(sql)
            .bind(before.0)
            .bind(most)
            .execute(&mut held.conn)
            .await?;
        held.keep();
        Ok(done.rows_affected())
    })
    .await
}
