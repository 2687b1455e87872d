//! Upkeep of a store, on PostgreSQL: signs of life, its clock, and the removal of what only time
//! removes. The same functions in the same order as on SQLite.

use async_trait::async_trait;
use sqlx::postgres::PgConnection;

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

use super::lane::{Lane, ask, ask_again};
use super::open::PostgresStore;
use super::rights;
use super::terms;

#[async_trait]
impl Upkeep for PostgresStore {
    async fn clock(&self) -> Result<Option<i64>, StoreError> {
        ask_again!(self.lanes.standing(), clock).await.map(Some)
    }

    async fn prune(&self, now: Timestamp, keep_events: i64, most: i64) -> Result<u64, StoreError> {
        let gone = prune(&self.general, now, keep_events, most).await?;
        let terms = ask!(self.general, terms::prune, now, keep_events, most).await?;
        Ok(gone.saturating_add(terms))
    }

    fn lanes(&self) -> Vec<LaneUse> {
        self.lanes.uses()
    }

    async fn refresh_terms(&self) -> Result<(), StoreError> {
        terms::refresh(&self.general, &self.terms).await
    }

    async fn intern_terms(&self, now: Timestamp, bounds: TermsBounds) -> Result<(), StoreError> {
        terms::intern(&self.general, &self.terms, now, bounds).await
    }

    /// Keeps connections ready, and looks whether the role may still do what it must: a server that
    /// lost a right says which one in its log.
    async fn rest(&self) -> Result<(), StoreError> {
        let rested = self.lanes.rest().await;
        rested.and(rights::demand(self.lanes.standing()).await)
    }
}

pub(super) async fn clock(conn: &mut PgConnection) -> sqlx::Result<i64> {
    let sql = "select floor(extract(epoch from clock_timestamp()) * 1000)::bigint";
    sqlx::query_scalar(sql).fetch_one(conn).await
}

/// The statements that remove credentials which ended long ago, and what is noted of them.
const REMOVE_ENDED: [&str; 6] = [
    "delete from credential_use where (agent_id, credential_id) in (
         select agent_id, credential_id from ended_credential
         where ended_at < least($1, floor(extract(epoch from now()))::bigint) - $2
         order by ended_at, credential_id limit $3)",
    "delete from expiry_notice where credential_id in (
         select credential_id from ended_credential
         where ended_at < least($1, floor(extract(epoch from now()))::bigint) - $2
         order by ended_at, credential_id limit $3)",
    "delete from ended_credential where credential_id in (
         select credential_id from ended_credential
         where ended_at < least($1, floor(extract(epoch from now()))::bigint) - $2
         order by ended_at, credential_id limit $3)",
    "delete from credential_use where (agent_id, credential_id) in (
         select agent_id, credential_id from credential
         where expires_at < least($1, floor(extract(epoch from now()))::bigint) - $2
         order by expires_at, credential_id limit $3)",
    "delete from expiry_notice where credential_id in (
         select credential_id from credential
         where expires_at < least($1, floor(extract(epoch from now()))::bigint) - $2
         order by expires_at, credential_id limit $3)",
    "delete from credential where credential_id in (
         select credential_id from credential
         where expires_at < least($1, floor(extract(epoch from now()))::bigint) - $2
         order by expires_at, credential_id limit $3)",
];

/// The rows to remove, each kind with the seconds for which it is kept past its time. The smaller
/// of both clocks decides, and each statement reads the database's clock itself. Of the issued
/// tokens, only those that were announced are removed.
pub(super) async fn prune(
    lane: &Lane,
    now: Timestamp,
    keep_events: i64,
    most: i64,
) -> Result<u64, StoreError> {
    let steps = [
        (
            "delete from revoked_token where jti in (
                 select jti from revoked_token
                 where expires_at < least($1, floor(extract(epoch from now()))::bigint) - $2
                 order by expires_at limit $3)",
            REVOCATION_GRACE,
        ),
        (
            "delete from revoked_key where kid in (
                 select kid from revoked_key
                 where revoked_at < least($1, floor(extract(epoch from now()))::bigint) - $2
                 order by revoked_at limit $3)",
            REVOKED_KEY_TTL,
        ),
        (
            "delete from verifier where (agent_id, name) in (
                 select agent_id, name from verifier
                 where seen_at < (least($1, floor(extract(epoch from now()))::bigint) - $2) * 1000 limit $3)",
            VERIFIER_TTL / 1_000,
        ),
        (
            "delete from audit_event where ctid in (
                 select ctid from audit_event
                 where at < least($1, floor(extract(epoch from now()))::bigint) - $2
                   and id <= (select place from reader where name = 'prune')
                   and kind = 'token.issued' limit $3)",
            keep_events,
        ),
        (
            "delete from token_event where ctid in (
                 select ctid from token_event
                 where at < least($1, floor(extract(epoch from now()))::bigint) - $2
                   and id <= (select place from reader where name = 'prune') limit $3)",
            keep_events,
        ),
        (
            "delete from batch where batch_id in (
                 select batch_id from batch
                 where at < least($1, floor(extract(epoch from now()))::bigint) - $2 limit $3)",
            BATCH_TTL,
        ),
        (
            "delete from spent_code where code_id in (
                 select code_id from spent_code
                 where expires_at < least($1, floor(extract(epoch from now()))::bigint) - $2
                 order by expires_at limit $3)",
            SPENT_GRACE,
        ),
        (
            "delete from spent_assertion where assertion in (
                 select assertion from spent_assertion
                 where expires_at < least($1, floor(extract(epoch from now()))::bigint) - $2
                 order by expires_at limit $3)",
            SPENT_GRACE,
        ),
        (
            "delete from kept_reply where place in (
                 select place from kept_reply
                 where made_at <= least($1, floor(extract(epoch from now()))::bigint) - $2
                 order by made_at limit $3)",
            REPLY_TTL,
        ),
        (
            "delete from process where process_id in (
                 select process_id from process
                 where seen_at < (least($1, floor(extract(epoch from now()))::bigint) - $2) * 1000
                 order by seen_at limit $3)",
            PROCESS_TTL,
        ),
        (
            "delete from usage_day where (day, agent_id) in (
                 select day, agent_id from usage_day
                 where day < (least($1, floor(extract(epoch from now()))::bigint) - $2) / 86400
                 order by day limit $3)",
            KEPT_USAGE,
        ),
        (
            "delete from refused_day where (day, agent_id, reason) in (
                 select day, agent_id, reason from refused_day
                 where day < (least($1, floor(extract(epoch from now()))::bigint) - $2) / 86400
                 order by day limit $3)",
            KEPT_USAGE,
        ),
    ];
    let mut gone = 0;
    let ended = REMOVE_ENDED.map(|sql| (sql, ENDED_CREDENTIAL_TTL));
    for (sql, kept) in steps.into_iter().chain(ended) {
        gone += ask!(lane, delete, sql, now, kept, most).await?;
    }
    Ok(gone)
}

async fn delete(
    conn: &mut PgConnection,
    sql: &'static str,
    now: Timestamp,
    kept: i64,
    most: i64,
) -> sqlx::Result<u64> {
    let delete = sqlx::query(sql).bind(now.0).bind(kept).bind(most);
    delete.execute(conn).await.map(|done| done.rows_affected())
}
